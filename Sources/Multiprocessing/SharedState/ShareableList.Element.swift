// SPDX-License-Identifier: Apache-2.0

extension ShareableList {
    /// An element of a shareable list.
    public enum Element: Codable, Hashable, Sendable {
        /// No value.
        case none
        /// A Boolean.
        case boolean(Bool)
        /// A whole number.
        case integer(Int64)
        /// A floating-point number.
        case double(Double)
        /// A string.
        case string(String)
        /// Bytes.
        case bytes([UInt8])

        /// The whole number, if it is one.
        public var integer: Int? {
            guard case .integer(let value) = self else { return nil }
            return Int(value)
        }

        /// The floating-point number, if it is one.
        public var double: Double? {
            guard case .double(let value) = self else { return nil }
            return value
        }

        /// The Boolean, if it is one.
        public var boolean: Bool? {
            guard case .boolean(let value) = self else { return nil }
            return value
        }

        /// The string, if it is one.
        public var string: String? {
            guard case .string(let value) = self else { return nil }
            return value
        }

        /// The bytes, if they are.
        public var bytes: [UInt8]? {
            guard case .bytes(let value) = self else { return nil }
            return value
        }
    }
}

extension ShareableList.Element: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral
{
    /// No value.
    public init(nilLiteral: ()) { self = .none }

    /// A Boolean.
    public init(booleanLiteral value: Bool) { self = .boolean(value) }

    /// A whole number.
    public init(integerLiteral value: Int64) { self = .integer(value) }

    /// A floating-point number.
    public init(floatLiteral value: Double) { self = .double(value) }

    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
}

extension ShareableList.Element: CustomStringConvertible {
    /// The value as Swift writes it.
    public var description: String {
        switch self {
        case .none: "nil"
        case .boolean(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value.debugDescription
        case .bytes(let value): "\(value)"
        }
    }
}
