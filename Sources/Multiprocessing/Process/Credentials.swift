// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// With whose rights a process runs.
struct Credentials: Equatable, Sendable {
    let user: uid_t
    let effectiveUser: uid_t
    let group: gid_t
    let effectiveGroup: gid_t

    /// Those of this process.
    static var current: Credentials {
        Credentials(user: getuid(), effectiveUser: geteuid(), group: getgid(), effectiveGroup: getegid())
    }
}
