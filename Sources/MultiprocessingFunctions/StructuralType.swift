// SPDX-License-Identifier: Apache-2.0
//
// Types that are neither struct, enum nor class, as the runtime describes them (offsets in bytes):
//
//   tuple      0 kind 0x301   8 number of elements   16 labels   24 pairs of (type, offset)
//   function   0 kind 0x302        metatype   0 kind 0x304 (of one type), 0x306 (of any type)   8 the type

/// A type without a name of its own, taken apart.
enum StructuralType {
    /// A tuple, with the types of its elements and where they lie.
    case tuple([(type: Any.Type, offset: Int)])
    /// A function: code and context.
    case function
    /// A type as a value: a pointer to its metadata; of any type (`any P.Type`), its witnesses for the protocols behind that.
    case metatype
    /// The empty tuple, or a metatype without storage.
    case empty

    /// Takes `type` apart; nil when it is of another kind.
    init?(_ type: Any.Type) {
        let metadata = unsafeBitCast(type, to: UnsafeRawPointer.self)  // a thick metatype is a pointer to its metadata
        switch metadata.load(as: UInt.self) {
        case 0x301:
            let count = metadata.load(fromByteOffset: 8, as: Int.self)
            guard count > 0 else {
                self = .empty
                return
            }
            self = .tuple(
                (0..<count).map { index in
                    let element = metadata + 24 + index * 16
                    // The second word is 32 bits of offset on this platform's ABI and padding.
                    return (element.load(as: Any.Type.self), Int(element.load(fromByteOffset: 8, as: UInt32.self)))
                }
            )
        case 0x302 where layout(of: type).size == 16: self = .function
        case 0x304, 0x306: self = layout(of: type).size == 0 ? .empty : .metatype
        default: return nil
        }
    }

    /// Whether a capture of the type is carried as it is.
    var isCarried: Bool {
        switch self {
        case .metatype, .empty: true
        case .tuple, .function: false
        }
    }

    /// The type that a type is the type of: `Int` of `Int.Type`.
    static func instance(of type: Any.Type) -> Any.Type? {
        let metadata = unsafeBitCast(type, to: UnsafeRawPointer.self)  // a thick metatype is a pointer to its metadata
        guard metadata.load(as: UInt.self) == 0x304 else { return nil }
        return metadata.load(fromByteOffset: 8, as: Any.Type.self)
    }
}

/// The size and alignment of values of `type`, in bytes.
func layout(of type: Any.Type) -> (size: Int, alignment: Int) {
    func open<T>(_: T.Type) -> (size: Int, alignment: Int) { (MemoryLayout<T>.size, MemoryLayout<T>.alignment) }
    return open(type)
}

/// A word that a closure's box holds for the generic code it was made in.
struct Binding {
    /// Whether it is a type's metadata; otherwise a witness table.
    let isType: Bool

    /// Tells the two apart by their first words: a small kind, or a pointer to a conformance.
    init(_ word: UnsafeRawPointer) {
        isType = Self.isPointer(word) && word.load(as: UInt.self) < 0x800
    }

    /// Whether the word is a pointer at all. For a parameter pack it is a number (how many there are) or a marked pointer (bit 0) to a list.
    static func isPointer(_ word: UnsafeRawPointer) -> Bool {
        let value = UInt(bitPattern: word)
        return value % 8 == 0 && value > 0xffff
    }
}

/// The storage objects behind the collections of the standard library, which are one reference to such an object.
enum CollectionStorage {
    /// The storage of every array whose elements are references.
    static let ofReferences: AnyClass = {
        final class Anything {}
        let array: [AnyObject] = [Anything()]
        return type(of: unsafeBitCast(array, to: AnyObject.self))  // an array is one pointer to its storage
    }()

    /// Returns the array, set or dictionary type whose storage has the class `storage`; nil for other classes.
    static func collectionType(of storage: AnyClass) -> Any.Type? {
        let name = _typeName(storage, qualified: true)
        guard let nominal = NominalType(storage) else { return nil }
        // Metadata is what a metatype points to.
        let arguments = nominal.typeArguments.map { unsafeBitCast($0, to: Any.Type.self) }
        if name.hasPrefix("Swift._ContiguousArrayStorage<"), arguments.count == 1 { return array(of: arguments[0]) }
        if name.hasPrefix("Swift._SetStorage<"), arguments.count == 1 {
            return (arguments[0] as? any Hashable.Type).map { set(of: $0) }
        }
        if name.hasPrefix("Swift._DictionaryStorage<"), arguments.count == 2 {
            return (arguments[0] as? any Hashable.Type).map { dictionary(from: $0, to: arguments[1]) }
        }
        return nil
    }

    /// Whether values of that type are one pointer to their storage: whether it is an array, a set or a dictionary.
    static func isCollection(_ type: Any.Type) -> Bool { type is any StoredInOneObject.Type }

    static func array<Element>(of _: Element.Type) -> Any.Type { [Element].self }

    static func set<Element: Hashable>(of _: Element.Type) -> Any.Type { Set<Element>.self }

    static func dictionary<Key: Hashable, Value>(from _: Key.Type, to _: Value.Type) -> Any.Type {
        [Key: Value].self
    }
}

/// The collections whose values are one pointer to an object with their elements.
private protocol StoredInOneObject {}
extension Array: StoredInOneObject {}
extension Set: StoredInOneObject {}
extension Dictionary: StoredInOneObject {}
