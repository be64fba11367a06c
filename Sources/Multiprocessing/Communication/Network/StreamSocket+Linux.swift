// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// Making and asking stream sockets. All of them do not block: whoever waits does it by poll or by the reactor.
enum StreamSocket {
    /// Makes a socket for addresses like `address`.
    static func make(for address: SocketAddress) throws(SystemError) -> OwnedDescriptor {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        return try OwnedDescriptor(checking: socket(address.family, type, 0), "making a socket")
    }

    /// Makes a socket that listens at `address`.
    static func listen(at address: SocketAddress, _ name: Address, backlog: Int32) throws -> OwnedDescriptor {
        let made = try make(for: address)
        if address.family == AF_UNIX {
            // What the file of the socket may be opened by: its mode is that of the socket (unix_bind in the kernel's net/unix/af_unix.c), so there is no moment at which others may connect.
            fchmod(made.number, 0o600)
        } else {
            enable(SO_REUSEADDR, of: SOL_SOCKET, on: made.number)
            // One family each, so that "::" does not take the port of "0.0.0.0" as well or not as the machine is set.
            if address.family == AF_INET6 { enable(IPV6_V6ONLY, of: Int32(IPPROTO_IPV6), on: made.number) }
        }
        // Held until this socket listens, so that nobody takes it for a dead one before.
        let lock = name.path.flatMap { FolderLock(ofFolderWith: $0) }
        defer { withExtendedLifetime(lock) {} }
        var result = address.withPointer { bind(made.number, $0, $1) }
        if result != 0, errno == EADDRINUSE, let path = name.path, lock != nil, removeIfDead(path, address) {
            result = address.withPointer { bind(made.number, $0, $1) }
        }
        guard result == 0, Glibc.listen(made.number, backlog) == 0 else {
            throw SystemError("listening at \(name)")
        }
        return made
    }

    /// Sets what a stream of messages wants of a connected socket; failures cost speed only.
    static func prepare(_ descriptor: Int32, family: Int32) {
        guard family != AF_UNIX else { return }
        let tcp = Int32(IPPROTO_TCP)
        enable(TCP_NODELAY, of: tcp, on: descriptor)
        // A machine that has gone without a word is noticed after two minutes.
        enable(SO_KEEPALIVE, of: SOL_SOCKET, on: descriptor)
        set(TCP_KEEPIDLE, of: tcp, on: descriptor, to: 60)
        set(TCP_KEEPINTVL, of: tcp, on: descriptor, to: 10)
        set(TCP_KEEPCNT, of: tcp, on: descriptor, to: 6)
    }

    private static func enable(_ option: Int32, of level: Int32, on descriptor: Int32) {
        set(option, of: level, on: descriptor, to: 1)
    }

    private static func set(_ option: Int32, of level: Int32, on descriptor: Int32, to value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// The error that a connection attempt ended with; 0: none.
    static func pendingError(of descriptor: Int32) -> Int32 {
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 else { return errno }
        return error
    }

    /// The address that a socket has.
    static func ownAddress(of descriptor: Int32) -> SocketAddress? {
        SocketAddress { getsockname(descriptor, $0, $1) == 0 }
    }

    /// Whether the other end of a Unix socket belongs to the user of this process, or to root.
    static func isPeerTrusted(_ descriptor: Int32) -> Bool {
        let user = mp_peer_user(descriptor)
        return user == Int64(geteuid()) || user == 0
    }

    /// Sends bytes that are few enough for any fresh socket; false when they do not go.
    static func sendAtOnce(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        bytes.isEmpty
            || mp_send(descriptor, bytes, bytes.count, nil, 0, nil, 0, Int32(MSG_DONTWAIT)) == bytes.count
    }
}

extension StreamSocket {
    /// Removes the file at `path` if it is a socket that nobody listens at any more, because its listener was killed; with the lock of its folder.
    private static func removeIfDead(_ path: String, _ address: SocketAddress) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK, let probe = try? make(for: address) else {
            errno = EADDRINUSE
            return false
        }
        let result = address.withPointer { connect(probe.number, $0, $1) }
        let isDead = result != 0 && errno == ECONNREFUSED
        if isDead, unlink(path) == 0 { return true }
        errno = EADDRINUSE
        return false
    }
}

/// Keeps other listeners from making or removing sockets in a folder, as long as it lives. Nil when somebody else has it.
private final class FolderLock {
    private let descriptor: Int32

    init?(ofFolderWith path: String) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return nil }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }
}
