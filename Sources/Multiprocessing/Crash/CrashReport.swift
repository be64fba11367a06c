// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing

/// What a crashed child said from its signal handler.
struct CrashReport: Sendable {
    /// The signal.
    let signal: Signal
    /// Its last words, without the line end.
    let message: String?
    /// Where it was, innermost call first, as places in images.
    let frames: [(image: UInt64, offset: UInt64)]

    /// Reads the packet that the handler sent. Nil when it is no such packet.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == MemoryLayout<mp_crash_report>.size else { return nil }
        let report = bytes.loadUnaligned(as: mp_crash_report.self)
        signal = Signal(rawValue: report.signal)
        let frameCount = min(Int(report.frame_count), Int(MP_CRASH_FRAMES))
        let textSize = min(Int(report.text_size), Int(MP_CRASH_TEXT))
        frames = withUnsafeBytes(of: report.frames) { frames in
            frames.bindMemory(to: mp_crash_frame.self).prefix(frameCount).map { ($0.image, $0.offset) }
        }
        let text = withUnsafeBytes(of: report.text) {
            String(decoding: UnsafeRawBufferPointer(rebasing: $0[..<textSize]), as: UTF8.self)
        }
        // Words are the cause of a trap or an abort; before a bad access they are about something else.
        let isTold = signal == .illegalInstruction || signal == .trap || signal == .abort || text.contains("atal error")
        var line = text[...]
        while line.last?.isWhitespace == true { line = line.dropLast() }
        message = isTold && !line.isEmpty ? String(line) : nil
    }

    /// The frames in words, now. Reads the symbol tables of the images: some milliseconds for a large program; see `Backtrace` for later.
    var backtrace: [String] { Backtrace(self).lines }
}
