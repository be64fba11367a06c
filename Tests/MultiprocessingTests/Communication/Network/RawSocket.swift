// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// A socket as a stranger uses it, at addresses of this machine.
final class RawSocket: Sendable {
    let descriptor: Int32
    let address: Address

    private init(_ descriptor: Int32, _ address: Address) {
        self.descriptor = descriptor
        self.address = address
    }

    deinit {
        close(descriptor)
    }

    private static func make(_ family: Int32) throws -> Int32 {
        let made = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard made >= 0 else { throw CheckFailed(description: "socket: \(errno)") }
        return made
    }

    private static func with<R>(_ address: Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        if let path = address.path {
            var place = sockaddr_un()
            place.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &place.sun_path) { $0.copyBytes(from: path.utf8) }
            return withUnsafePointer(to: place) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        place.sin_port = UInt16(address.port ?? 0).bigEndian
        return withUnsafePointer(to: place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    /// Connects to a listener at a path or a port.
    static func connected(to address: Address) throws -> RawSocket {
        let socket = RawSocket(try make(address.path == nil ? AF_INET : AF_UNIX), address)
        guard with(address, { connect(socket.descriptor, $0, $1) }) == 0 else {
            throw CheckFailed(description: "connect to \(address): \(errno)")
        }
        return socket
    }

    /// Listens at a port that is free.
    static func listening() throws -> RawSocket {
        let made = try make(AF_INET)
        var place = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = with(.tcp(host: "127.0.0.1", port: 0)) { bind(made, $0, $1) } == 0 && listen(made, 64) == 0
        let hasName = withUnsafeMutablePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(made, $0, &size) } == 0
        }
        guard isBound, hasName else { throw CheckFailed(description: "listen: \(errno)") }
        return RawSocket(made, .tcp(host: "127.0.0.1", port: Int(UInt16(bigEndian: place.sin_port))))
    }

    /// Takes a connection.
    func accepted() throws -> RawSocket {
        let made = accept(descriptor, nil, nil)
        guard made >= 0 else { throw CheckFailed(description: "accept: \(errno)") }
        return RawSocket(made, address)
    }

    /// Sends bytes, as far as somebody takes them.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Receives exactly so many bytes; nil when they do not come.
    func receive(_ count: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: max(1, count))
        while bytes.count < count {
            let received = recv(descriptor, &buffer, count - bytes.count, 0)
            guard received > 0 else { return nil }
            bytes += buffer[..<received]
        }
        return bytes
    }

    /// Reads to the end of the stream; false when more than `most` bytes come before.
    func readToEnd(most: Int) -> Bool {
        var count = 0
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let received = recv(descriptor, &buffer, buffer.count, 0)
            if received <= 0 { return true }
            count += received
            if count > most { return false }
        }
    }

    /// Says that nothing more comes.
    func endSending() {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Does what a connector without a key does.
    func greet(messageLimit: Int = 1 << 30, carriesDescriptors: Bool = false) {
        let greeting = Greeting(
            role: .connector,
            hasKey: false,
            carriesDescriptors: carriesDescriptors,
            build: 1,
            messageLimit: messageLimit,
            nonce: [UInt8](repeating: 3, count: 32)
        )
        send(greeting.bytes)
        _ = receive(Greeting.size)
    }
}
