// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the user is told beside the figures.
enum Console {
    /// Writes a line to the standard error.
    static func say(_ text: String) {
        var line = text + "\n"
        // What has been printed so far comes first, also where both go to the same file.
        fflush(nil)
        line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    }
}
