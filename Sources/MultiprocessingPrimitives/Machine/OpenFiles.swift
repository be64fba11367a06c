// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How many descriptors this process may have.
package enum OpenFiles {
    /// The limit that holds now (RLIMIT_NOFILE, getrlimit(2)).
    package static var limit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur)
    }
}
