// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Where progress is shown.
struct ProgressTerminal: Sendable {
    let descriptor: Int32
    let isTerminal: Bool

    init(descriptor: Int32) {
        self.descriptor = descriptor
        isTerminal = isatty(descriptor) == 1
    }

    /// Shows how far something has come: over the last bar of it, or as a line.
    func show(_ label: String, _ state: PoolProgress.State) {
        if isTerminal {
            let bar = ProgressBar(label: label, state: state).text(width: width)
            write("\r\u{1b}[K\(bar)\(state.isLast ? "\n" : "")")
        } else {
            write(ProgressBar(label: label, state: state).line + "\n")
        }
    }

    /// The columns of the terminal.
    private var width: Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes all of `text` in one go where the kernel takes it; nobody is helped by an error when standard error is closed.
    private func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let base = rest.baseAddress, !rest.isEmpty {
                let written = Glibc.write(descriptor, base, rest.count)
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
    }
}
