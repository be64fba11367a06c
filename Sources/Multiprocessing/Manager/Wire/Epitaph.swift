// SPDX-License-Identifier: Apache-2.0
//
// A page that all processes with a handle of a manager share, where the process that made the manager writes how it ended.
//
//   offset   size
//        0      4   not 0: the manager has ended (a futex word), and what follows is written
//        4      4   pid
//        8      4   code of the exit, or the negative of the signal's number
//       12      1   kind of end (ManagerLost.Code): 0 crashed, 1 killed, 2 exited, 3 shut down
//       16      4   size of the last words
//       20      4   size of the backtrace
//       64   1024   last words
//     1088   3008   backtrace, a line each

internal import MultiprocessingPrimitives

/// How a manager ended, for all who ask.
final class Epitaph: Sendable {
    private static let messageRange = 64..<1088
    private static let backtraceRange = 1088..<4096

    private let region: MemoryRegion

    /// The number of the descriptor, valid as long as this object lives.
    var descriptor: Int32 { region.descriptor }

    /// Makes the page of a manager that lives.
    init() throws(SystemError) {
        region = try MemoryRegion(size: 4096, name: "multiprocessing-manager")
    }

    /// Maps the page that came from another process.
    init(adopting descriptor: consuming OwnedDescriptor) throws(SystemError) {
        region = try MemoryRegion(adopting: descriptor, minimumSize: 4096)
    }

    private var word: SharedWord { SharedWord(region.base, offset: 0) }

    // MARK: - Writing

    /// Says which process the manager is.
    func begin(processIdentifier: Int32) {
        region.base.storeBytes(of: processIdentifier, toByteOffset: 4, as: Int32.self)
    }

    /// Writes how the manager ended, and wakes those who wait for that.
    func write(_ lost: ManagerLost) {
        let kind: UInt8 =
            switch lost.code {
            case .crashed: 0
            case .killed: 1
            case .exited: 2
            default: 3
            }
        region.base.storeBytes(of: lost.processIdentifier, toByteOffset: 4, as: Int32.self)
        region.base.storeBytes(of: lost.status?.code ?? 0, toByteOffset: 8, as: Int32.self)
        region.base.storeBytes(of: kind, toByteOffset: 12, as: UInt8.self)
        write(lost.message ?? "", in: Self.messageRange, sizeAt: 16)
        write(lost.backtrace.joined(separator: "\n"), in: Self.backtraceRange, sizeAt: 20)
        // Pairs with the load in `read`: what was written before is seen then.
        word.exchange(1)
        word.wake(.max)
    }

    private func write(_ text: String, in range: Range<Int>, sizeAt offset: Int) {
        let bytes = Array(text.utf8.prefix(range.count))
        bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            (region.base + range.lowerBound).copyMemory(from: source, byteCount: bytes.count)
        }
        region.base.storeBytes(of: UInt32(bytes.count), toByteOffset: offset, as: UInt32.self)
    }

    // MARK: - Reading

    /// The manager's pid.
    var processIdentifier: Int32 { region.base.load(fromByteOffset: 4, as: Int32.self) }

    /// How the manager ended. Blocks until that is known or the deadline has come.
    func read(until deadline: Deadline) -> ManagerLost {
        while word.load() == 0 {
            guard word.wait(while: 0, until: deadline) != .timedOut else {
                return ManagerLost(.unknown, status: nil, processIdentifier: processIdentifier)
            }
        }
        return written
    }

    private var written: ManagerLost {
        let code: ManagerLost.Code =
            switch region.base.load(fromByteOffset: 12, as: UInt8.self) {
            case 0: .crashed
            case 1: .killed
            case 2: .exited
            default: .shutDown
            }
        let number = region.base.load(fromByteOffset: 8, as: Int32.self)
        let message = read(Self.messageRange, sizeAt: 16)
        return ManagerLost(
            code,
            status: number < 0 ? .signaled(Signal(rawValue: -number)) : .exited(number),
            processIdentifier: processIdentifier,
            message: message.isEmpty ? nil : message,
            backtrace: read(Self.backtraceRange, sizeAt: 20).split(separator: "\n").map(String.init)
        )
    }

    private func read(_ range: Range<Int>, sizeAt offset: Int) -> String {
        let size = min(Int(region.base.load(fromByteOffset: offset, as: UInt32.self)), range.count)
        return String(
            decoding: UnsafeRawBufferPointer(start: region.base + range.lowerBound, count: size),
            as: UTF8.self
        )
    }
}
