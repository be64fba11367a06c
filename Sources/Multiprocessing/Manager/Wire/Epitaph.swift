// SPDX-License-Identifier: Apache-2.0
//
// Pages that all processes with a handle of a manager share, where the process that made the manager writes how it ended.
//
//   offset   size
//        0      4   how many of its processes have ended (a futex word)
//        4      4   pid of the one that serves
//        8      4   how many of its processes will have ended when no other follows; 0 while that is not known
//     4096   4096   the first record; three more follow. The end of the manager's process number n, from 0, is told in record n modulo 4: who lost it reads of that one, though its successor is at work, or
//                   dead, by then
//
// A record:
//
//        0      4   pid
//        4      4   code of the exit, or the negative of the signal's number
//        8      1   kind of end (ManagerLost.Code): 0 crashed, 1 killed, 2 exited, 3 shut down
//       12      4   size of the last words
//       16      4   number of calls on the stack
//       64   1984   last words
//     2048   2048   the calls, 16 bytes each: identity of the image, offset in it

internal import MultiprocessingPrimitives

/// How a manager ended, for all who ask.
final class Epitaph: Sendable {
    private static let page = 4096
    private static let recordCount = 4
    private static let size = (1 + recordCount) * page
    private static let messageRange = 64..<2048
    private static let callsRange = 2048..<page

    /// How long to wait for word of how a manager ended, which comes as soon as who made it, and its fork server, have the processor.
    static let timeout = Duration.seconds(5)

    private let region: MemoryRegion

    /// The number of the descriptor, valid as long as this object lives.
    var descriptor: Int32 { region.descriptor }

    /// Makes the page of a manager that lives.
    init() throws(SystemError) {
        region = try MemoryRegion(size: Self.size, name: "multiprocessing-manager")
    }

    /// Maps the page that came from another process.
    init(adopting descriptor: consuming OwnedDescriptor) throws(SystemError) {
        region = try MemoryRegion(adopting: descriptor, minimumSize: Self.size)
    }

    private var word: SharedWord { SharedWord(region.base, offset: 0) }

    private var finalWord: SharedWord { SharedWord(region.base, offset: 8) }

    /// Where the end of the process of that number, from 0, is told.
    private func record(_ number: UInt32) -> UnsafeMutableRawPointer {
        region.base + (1 + Int(number) % Self.recordCount) * Self.page
    }

    // MARK: - Writing

    /// Says which process the manager is.
    func begin(processIdentifier: Int32) {
        region.base.storeBytes(of: processIdentifier, toByteOffset: 4, as: Int32.self)
    }

    /// Says that no process follows the one of that number, from 0. Before its end is written, so that whoever learns of that end knows that it is the last.
    func endWith(_ number: UInt64) {
        finalWord.store(UInt32(truncatingIfNeeded: number) &+ 1)
    }

    /// Writes how the manager ended, and wakes those who wait for that. Who reads it makes names of the addresses: that takes time.
    ///
    /// - Parameter failure: Why it was ended by the process that made it, if it was, unasked.
    func write(_ status: ExitStatus, _ report: CrashReport?, wasAsked: Bool, failure: String? = nil) {
        let kind: UInt8 =
            switch status {
            case _ where wasAsked: 3
            case .exited: 2
            case .signaled where failure != nil: 1
            case .signaled(let signal): report?.signal == signal || signal.isCrash ? 0 : 1
            }
        // Only this process writes here, and one end at a time.
        let record = record(deaths)
        record.storeBytes(of: processIdentifier, as: Int32.self)
        record.storeBytes(of: status.code, toByteOffset: 4, as: Int32.self)
        record.storeBytes(of: kind, toByteOffset: 8, as: UInt8.self)
        Self.write(failure ?? report?.message ?? "", into: record)
        Self.write(report?.frames ?? [], into: record)
        // Pairs with the load in `read`: what was written before is seen then.
        word.add(1)
        word.wake(.max)
    }

    private static func write(_ message: String, into record: UnsafeMutableRawPointer) {
        let bytes = Array(message.utf8.prefix(messageRange.count))
        bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            (record + messageRange.lowerBound).copyMemory(from: source, byteCount: bytes.count)
        }
        record.storeBytes(of: UInt32(bytes.count), toByteOffset: 12, as: UInt32.self)
    }

    private static func write(_ frames: [CrashReport.Frame], into record: UnsafeMutableRawPointer) {
        let kept = frames.prefix(callsRange.count / 16)
        for (index, frame) in kept.enumerated() {
            let offset = callsRange.lowerBound + index * 16
            record.storeBytes(of: frame.image, toByteOffset: offset, as: UInt64.self)
            record.storeBytes(of: frame.offset, toByteOffset: offset + 8, as: UInt64.self)
        }
        record.storeBytes(of: UInt32(kept.count), toByteOffset: 16, as: UInt32.self)
    }

    // MARK: - Reading

    /// The pid of the process that serves, or did last.
    var processIdentifier: Int32 { region.base.load(fromByteOffset: 4, as: Int32.self) }

    /// How many of the manager's processes have ended.
    var deaths: UInt32 { word.load() }

    /// Whether another process follows when one ends, as far as is known.
    var willRestart: Bool { finalWord.load() == 0 }

    /// How the process ended that came after so many others. Blocks until that is known or the time is up; nil for the latter.
    func read(after deaths: UInt32, within timeout: Duration) -> ManagerLost? {
        let deadline = Deadline(timeout: timeout)
        while word.load() == deaths {
            if let last { return last }
            guard word.wait(while: deaths, until: deadline) != .timedOut else { return nil }
        }
        // Of more ends than there are records for, the last is told.
        let number = word.load() &- deaths <= Self.recordCount ? deaths : word.load() &- 1
        return Self.read(record(number))
    }

    /// How the manager ended, when no process follows.
    var last: ManagerLost? {
        let final = finalWord.load()
        // A later number, when it was not known that another follows.
        return final > 0 && deaths >= final ? Self.read(record(deaths - 1)) : nil
    }

    private static func read(_ record: UnsafeMutableRawPointer) -> ManagerLost {
        let code: ManagerLost.Code =
            switch record.load(fromByteOffset: 8, as: UInt8.self) {
            case 0: .crashed
            case 1: .killed
            case 2: .exited
            default: .shutDown
            }
        let number = record.load(fromByteOffset: 4, as: Int32.self)
        let message = code == .shutDown ? "" : readMessage(record)
        return ManagerLost(
            code,
            status: number < 0 ? .signaled(Signal(rawValue: -number)) : .exited(number),
            processIdentifier: record.load(as: Int32.self),
            message: message.isEmpty ? nil : message,
            trace: Backtrace(frames: code == .crashed ? readFrames(record) : [])
        )
    }

    private static func readMessage(_ record: UnsafeMutableRawPointer) -> String {
        let size = min(Int(record.load(fromByteOffset: 12, as: UInt32.self)), messageRange.count)
        let start = record + messageRange.lowerBound
        return String(decoding: UnsafeRawBufferPointer(start: start, count: size), as: UTF8.self)
    }

    private static func readFrames(_ record: UnsafeMutableRawPointer) -> [CrashReport.Frame] {
        let count = min(Int(record.load(fromByteOffset: 16, as: UInt32.self)), callsRange.count / 16)
        return (0..<count).map { index in
            let offset = callsRange.lowerBound + index * 16
            return (
                record.load(fromByteOffset: offset, as: UInt64.self),
                record.load(fromByteOffset: offset + 8, as: UInt64.self)
            )
        }
    }
}
