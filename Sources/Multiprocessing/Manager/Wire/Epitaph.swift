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
//       20      4   number of calls on the stack
//       64   1984   last words
//     2048   2048   the calls, 16 bytes each: identity of the image, offset in it

internal import MultiprocessingPrimitives

/// How a manager ended, for all who ask.
final class Epitaph: Sendable {
    private static let messageRange = 64..<2048
    private static let callsRange = 2048..<4096

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

    /// Writes how the manager ended, and wakes those who wait for that. Who reads it makes names of the addresses: that takes time.
    func write(_ status: ExitStatus, _ report: CrashReport?, wasAsked: Bool) {
        let kind: UInt8 =
            switch status {
            case _ where wasAsked: 3
            case .exited: 2
            case .signaled(let signal): report?.signal == signal || signal.isCrash ? 0 : 1
            }
        region.base.storeBytes(of: status.code, toByteOffset: 8, as: Int32.self)
        region.base.storeBytes(of: kind, toByteOffset: 12, as: UInt8.self)
        write(report?.message ?? "")
        write(report?.frames ?? [])
        // Pairs with the load in `read`: what was written before is seen then.
        word.exchange(1)
        word.wake(.max)
    }

    private func write(_ message: String) {
        let bytes = Array(message.utf8.prefix(Self.messageRange.count))
        bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            (region.base + Self.messageRange.lowerBound).copyMemory(from: source, byteCount: bytes.count)
        }
        region.base.storeBytes(of: UInt32(bytes.count), toByteOffset: 16, as: UInt32.self)
    }

    private func write(_ frames: [CrashReport.Frame]) {
        let kept = frames.prefix(Self.callsRange.count / 16)
        for (index, frame) in kept.enumerated() {
            let offset = Self.callsRange.lowerBound + index * 16
            region.base.storeBytes(of: frame.image, toByteOffset: offset, as: UInt64.self)
            region.base.storeBytes(of: frame.offset, toByteOffset: offset + 8, as: UInt64.self)
        }
        region.base.storeBytes(of: UInt32(kept.count), toByteOffset: 20, as: UInt32.self)
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
        let message = code == .crashed ? readMessage() : ""
        return ManagerLost(
            code,
            status: number < 0 ? .signaled(Signal(rawValue: -number)) : .exited(number),
            processIdentifier: processIdentifier,
            message: message.isEmpty ? nil : message,
            trace: Backtrace(frames: code == .crashed ? readFrames() : [])
        )
    }

    private func readMessage() -> String {
        let size = min(Int(region.base.load(fromByteOffset: 16, as: UInt32.self)), Self.messageRange.count)
        let start = region.base + Self.messageRange.lowerBound
        return String(decoding: UnsafeRawBufferPointer(start: start, count: size), as: UTF8.self)
    }

    private func readFrames() -> [CrashReport.Frame] {
        let count = min(Int(region.base.load(fromByteOffset: 20, as: UInt32.self)), Self.callsRange.count / 16)
        return (0..<count).map { index in
            let offset = Self.callsRange.lowerBound + index * 16
            return (
                region.base.load(fromByteOffset: offset, as: UInt64.self),
                region.base.load(fromByteOffset: offset + 8, as: UInt64.self)
            )
        }
    }
}
