// SPDX-License-Identifier: Apache-2.0

/// Where a ``Listener`` is found: a Unix socket of this machine, or a host and a TCP port.
///
/// ```swift
/// let local = Address.unix(path: "/run/indexer.sock")
/// let remote = Address.tcp(host: "indexer.example.org", port: 7000)
/// ```
public struct Address: Hashable, Sendable, Codable {
    enum Value: Hashable, Sendable, Codable {
        case unix(path: String)
        case abstract(name: String)
        case tcp(host: String, port: Int)
    }

    let value: Value

    init(_ value: Value) {
        self.value = value
    }

    /// A Unix socket with a path in the file system; at most 107 bytes. The listener makes it, for its own user only, and removes it when it is closed.
    public static func unix(path: String) -> Address {
        Address(.unix(path: path))
    }

    /// A Unix socket with a name of its own kind (unix(7), abstract), which has no file and is gone with its listener, however that ends; at most 107 bytes. Such names have no permissions:
    /// without a key a listener takes only processes of its own user.
    public static func abstract(name: String) -> Address {
        Address(.abstract(name: name))
    }

    /// A TCP port. The host is a name, or an address of IPv4 or IPv6 without brackets. A listener takes port 0 for any that is free, and host "0.0.0.0" or "::" for all of the machine's addresses.
    public static func tcp(host: String, port: Int) -> Address {
        Address(.tcp(host: host, port: port))
    }

    /// The host, of a TCP address.
    public var host: String? {
        if case .tcp(let host, _) = value { host } else { nil }
    }

    /// The port, of a TCP address.
    public var port: Int? {
        if case .tcp(_, let port) = value { port } else { nil }
    }

    /// The path, of a Unix socket that has one.
    public var path: String? {
        if case .unix(let path) = value { path } else { nil }
    }
}

extension Address: LosslessStringConvertible {
    /// Reads an address as a user writes it: a path with at least one "/", "@name" for an abstract one, "host:port", or "[::1]:port". Nil for anything else.
    public init?(_ description: String) {
        if description.hasPrefix("@") {
            self = .abstract(name: String(description.dropFirst()))
        } else if description.contains("/") {
            self = .unix(path: description)
        } else {
            guard let colon = description.lastIndex(of: ":"),
                let port = UInt16(description[description.index(after: colon)...])
            else { return nil }
            var host = description[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                return nil
            }
            self = .tcp(host: String(host), port: Int(port))
        }
    }

    /// The address as ``init(_:)`` reads it.
    public var description: String {
        switch value {
        case .unix(let path): path
        case .abstract(let name): "@" + name
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
