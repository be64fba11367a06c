// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives

/// An address as the kernel has it.
struct SocketAddress: Sendable {
    private(set) var storage = sockaddr_storage()
    private(set) var size: socklen_t = 0

    /// The address family.
    var family: Int32 { Int32(storage.ss_family) }

    /// Copies an address of `size` bytes.
    init(copying address: UnsafePointer<sockaddr>, size: socklen_t) {
        let count = min(Int(size), MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: count))
        }
        self.size = socklen_t(count)
    }

    /// Makes the address of a Unix socket: a path, or with a zero byte in front an abstract name.
    ///
    /// - Throws: `ConnectionError` (`invalidAddress`).
    init(unix bytes: [UInt8]) throws(ConnectionError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // A path has to leave room for its zero byte; for a name the limit is the same, to be simple.
        guard bytes.count > 1 || bytes.first != 0, !bytes.isEmpty else {
            throw ConnectionError(.invalidAddress, "the path or name of a Unix socket is empty")
        }
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.dropFirst().contains(0) else {
            throw ConnectionError(
                .invalidAddress,
                "the path or name of a Unix socket has \(bytes.count) bytes, or a zero byte among them; 107 without are allowed"
            )
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let isPath = bytes[0] != 0
        let used = MemoryLayout<sockaddr_un>.offset(of: \.sun_path).map { $0 + bytes.count + (isPath ? 1 : 0) } ?? 0
        self = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                SocketAddress(copying: $0, size: socklen_t(used))
            }
        }
    }

    /// Calls `body` with the address as system calls take it.
    func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        withUnsafePointer(to: storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, size) }
        }
    }

    /// Asks for an address by a call that fills it in; nil when that fails.
    init?(_ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Bool) {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isFilled = withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &size) }
        }
        guard isFilled else { return nil }
        self.storage = storage
        self.size = min(size, socklen_t(MemoryLayout<sockaddr_storage>.size))
    }

    /// The address as users know it.
    var address: Address {
        family == AF_UNIX ? unixAddress : internetAddress
    }

    private var unixAddress: Address {
        let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        var bytes = withUnsafeBytes(of: storage) { Array($0[start..<max(start, Int(size))]) }
        if bytes.first == 0 { return .abstract(name: String(decoding: bytes.dropFirst(), as: UTF8.self)) }
        if bytes.last == 0 { bytes.removeLast() }
        return .unix(path: String(decoding: bytes, as: UTF8.self))
    }

    private var internetAddress: Address {
        // Longer than any numeric address with its scope.
        var host = [CChar](repeating: 0, count: 256)
        var service = [CChar](repeating: 0, count: 32)
        let error = withPointer {
            getnameinfo($0, $1, &host, 256, &service, 32, NI_NUMERICHOST | NI_NUMERICSERV)
        }
        guard error == 0 else { return .tcp(host: "", port: 0) }
        func text(_ characters: [CChar]) -> String {
            String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return .tcp(host: text(host), port: Int(text(service)) ?? 0)
    }
}

extension SocketAddress {
    /// What stands behind `address`, most wanted first.
    ///
    /// Blocks while a name is looked up, but not for a numeric host.
    ///
    /// - Parameter isToListen: Whether an empty host means all addresses of this machine.
    /// - Throws: `ConnectionError` (`invalidAddress`).
    static func resolve(
        _ address: Address,
        isToListen: Bool = false,
        isNumeric: Bool = false
    ) throws(ConnectionError)
        -> [SocketAddress]
    {
        switch address.value {
        case .unix(let path): return [try SocketAddress(unix: Array(path.utf8))]
        case .abstract(let name): return [try SocketAddress(unix: [0] + Array(name.utf8))]
        case .tcp(let host, let port):
            guard (0...65535).contains(port), isToListen || port != 0 else {
                throw ConnectionError(
                    .invalidAddress,
                    "\(port) is no port to \(isToListen ? "listen at" : "connect to")"
                )
            }
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = AI_NUMERICSERV | (isToListen ? AI_PASSIVE : 0) | (isNumeric ? AI_NUMERICHOST : 0)
            var list: UnsafeMutablePointer<addrinfo>?
            let error = getaddrinfo(host, String(port), &hints, &list)
            guard error == 0 else {
                let reason =
                    error == EAI_SYSTEM ? String(cString: strerror(errno)) : String(cString: gai_strerror(error))
                throw ConnectionError(.invalidAddress, "looking up '\(host)': \(reason)")
            }
            defer { freeaddrinfo(list) }
            var found: [SocketAddress] = []
            var next = list
            while let entry = next {
                if let address = entry.pointee.ai_addr {
                    found.append(SocketAddress(copying: address, size: entry.pointee.ai_addrlen))
                }
                next = entry.pointee.ai_next
            }
            return found
        }
    }
}
