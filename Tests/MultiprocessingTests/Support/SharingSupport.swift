// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import MultiprocessingPrimitives
import MultiprocessingWireCoding
import Synchronization

/// Runs `body` on a thread of its own and returns its result when it is done.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
    try onThreadAsync(body).get()
}

/// Runs `body` on a thread of its own and returns the place where its result will be.
func onThreadAsync<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> OneResult<Result> {
    let outcome = OneResult<Result>()
    try MultiprocessingPrimitives.Thread.start(name: "mp-test") {
        outcome.set(Swift.Result { try body() })
    }
    return outcome
}

/// A result that one thread waits for and another one sets.
final class OneResult<Value: Sendable>: Sendable {
    private let value = Mutex<Result<Value, any Error>?>(nil)
    private let isSet = try? Event()

    func set(_ result: Result<Value, any Error>) {
        value.withLock { $0 = result }
        isSet?.set()
    }

    func get() throws -> Value {
        guard try isSet?.wait(timeout: .seconds(90)) == true, let result = value.withLock({ $0 }) else {
            throw TestFailure()
        }
        return try result.get()
    }
}

/// Something took too long, or did not happen at all.
struct TestFailure: Error, Codable {}

/// A second handle on the same thing, as another process would get it.
func copy<Handle: Codable>(_ handle: Handle) throws -> Handle {
    let sent = CarriedDescriptors()
    var writer = WireWriter()
    try WireCoding.encode(handle, into: &writer, userInfo: [CarriedDescriptors.userInfoKey: sent])
    let received = CarriedDescriptors(received: sent.numbers.map { fcntl($0, F_DUPFD_CLOEXEC, 3) })
    return try writer.withUnsafeBytes { bytes in
        try WireCoding.decode(Handle.self, from: bytes, userInfo: [CarriedDescriptors.userInfoKey: received])
    }
}
