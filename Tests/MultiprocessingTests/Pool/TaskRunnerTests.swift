// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingFunctions
import MultiprocessingWireCoding
import Testing

@testable import Multiprocessing

/// Attempts in the pool's own process.
@Suite(.leavesNothing) struct TaskRunnerTests {
    private func task(_ function: TaskFunction) -> LocalTask {
        LocalTask(
            TaskEnvelope(
                ticket: 1,
                function: function,
                input: .pieces(TaskInput()),
                pieces: 0..<1,
                attempt: 0,
                isElementwise: false,
                timeout: nil
            )
        )
    }

    @Test func `a function that could not be decoded for want of descriptors is decoded with the next task`()
        async throws
    {
        try await isolated {
            let event = try Event()
            var writer = WireWriter()
            let carried = CarriedDescriptors()
            try PortableFunction(closure: { () -> Bool in
                event.set()
                return event.isSet
            }).encode(into: &writer, userInfo: [CarriedDescriptors.userInfoKey: carried])
            let bytes = writer.withUnsafeBytes { Array($0) }
            let function = TaskFunction(number: 1, isMapping: false, bytes: bytes, carried)
            try checkEqual(function.descriptors.count, 1)
            let runner = TaskRunner()

            var opened: [Int32] = []
            while case let number = open("/dev/null", O_RDONLY | O_CLOEXEC), number >= 0 { opened.append(number) }
            let answer = runner.run(task(function)) { _, _ in true }
            for number in opened { close(number) }
            try check(answer.threw, "without descriptors the event cannot arrive")
            let error = try answer.bytes.withUnsafeBytes { bytes in
                var reader = WireReader(bytes)
                try checkEqual(try reader.read(UInt8.self), 1)
                return try Outcome.readError(from: &reader, "")
            }
            try checkEqual((error as? SystemError)?.code, EMFILE)

            try check(!runner.run(task(function)) { _, _ in true }.threw, "it was not tried anew")
            try check(event.isSet, "the function was not called")
        }
    }
}
