// SPDX-License-Identifier: Apache-2.0
//
// Why a capture is refused, as far as it can be told from the name that the program keeps of its type: which it is, why not, and the cure.

extension FunctionNotPortable {
    /// The error for a capture with that name, of which the runtime has no type.
    static func capture(named name: MangledName) -> FunctionNotPortable {
        let source = name.source
        switch name.special {
        case .pack:
            return FunctionNotPortable(
                .captureTypeUnknown,
                "the closure captures a parameter pack, which cannot be carried; pass the values as arguments"
            )
        case .weak: return reference("weak", source)
        case .unowned: return reference("unowned", source)
        case .box: return box(source)
        case nil: break
        }
        if name.hasAssociatedType(ofFirst: true) || name.hasAssociatedType(ofFirst: false) {
            return FunctionNotPortable(
                .captureTypeUnknown,
                type: source,
                "the closure captures a value of an associated type\(source.map { " (\($0))" } ?? "") in generic code, which does not say which type that is; pass it as an argument, or make the closure in code that is not generic"
            )
        }
        if source?.contains("->") == true {
            return FunctionNotPortable(
                .captureNotCodable,
                type: source,
                "the closure captures a value of type \(source ?? "") with a function in it, which cannot be carried; capture the function by itself, as a constant or an optional"
            )
        }
        if let context = name.firstContext, NotCodable.isNeverCopyable(context) {
            return noncopyable(source ?? "a type that cannot be copied")
        }
        let type = source ?? "a type without a name"
        return FunctionNotPortable(
            .captureTypeUnknown,
            type: source,
            "the closure captures a value of type \(type), of which the program keeps no metadata (builds with optimisation drop that of types that are not public and that nothing uses generically); pass it as an argument, or through `with:`"
        )
    }

    /// The error for a function without a context, which is one word where others are two.
    static func thinFunction() -> FunctionNotPortable {
        FunctionNotPortable(
            .captureNotCodable,
            "the closure captures a function of C, or another that is an address alone, of which nothing tells whether another process has it; call it by its name inside the closure, or capture a Swift closure that does"
        )
    }

    /// The error for an object that is the closure's only capture and that only the compiler knows, by the kind of its metadata (ABI/MetadataKind.def).
    static func object(ofKind kind: UInt) -> FunctionNotPortable {
        switch kind {
        case 0x500: return box(nil)
        case 0x501:
            return FunctionNotPortable(
                .captureNotCodable,
                type: "any Error",
                "the closure captures an `any Error`, whose type is not known to be Codable; capture an error of a concrete type, or what it says"
            )
        case 0x502: return task("Task")
        default:
            return FunctionNotPortable(
                .captureNotCodable,
                "the closure captures an object without a type (metadata of kind \(kind)), which cannot be carried; capture a value that is Codable"
            )
        }
    }

    /// The error for a task, whatever its result.
    static func task(_ type: String) -> FunctionNotPortable {
        FunctionNotPortable(
            .captureNotCodable,
            type: type,
            "the closure captures a handle of type \(type): a task runs in the process that has started it, and no other can wait for it; await it before and capture what comes of it, or start it inside the closure"
        )
    }

    private static func reference(_ kind: String, _ source: String?) -> FunctionNotPortable {
        let type = source.map { source in
            // "weak Account?", or in generic code "<A> { weak var Box<A>? } <A>".
            var type = inside(source)?.type ?? source
            for prefix in ["weak ", "unowned(unsafe) ", "unowned ", "var ", "let "] where type.hasPrefix(prefix) {
                type = String(type.dropFirst(prefix.count))
            }
            return type
        }
        return FunctionNotPortable(
            .captureNotCodable,
            type: type,
            "the closure captures a \(kind) reference\(type.map { " of type \($0)" } ?? ""), and nothing would keep the object in another process; capture the object itself, or what is needed of it"
        )
    }

    /// The error for an object around a variable, or around a value that cannot be copied.
    private static func box(_ source: String?) -> FunctionNotPortable {
        let content = source.flatMap { inside($0) }
        if let content, !content.isVariable { return noncopyable(content.type) }
        return FunctionNotPortable(
            .captureNotCodable,
            type: content?.type,
            "the closure captures a variable\(content.map { " of type \($0.type)" } ?? ""), which another process could not share; capture its value, with `[x]` or as a `let`, or use a SharedValue"
        )
    }

    /// The error for a value of a type that cannot be copied, and so cannot be encoded either.
    static func noncopyable(_ type: String) -> FunctionNotPortable {
        FunctionNotPortable(
            .captureNotCodable,
            type: type,
            "the closure captures a value of type \(type), which cannot be copied, so that no other process can have it; make it inside the closure, or capture what processes share, such as a SharedValue or a Lock"
        )
    }

    /// Takes "{ var Int }" apart.
    private static func inside(_ source: String) -> (isVariable: Bool, type: String)? {
        guard let start = source.firstIndex(of: "{"), let end = source.lastIndex(of: "}"), start < end else {
            return nil
        }
        let content = source[source.index(after: start)..<end].drop { $0 == " " }
        let isVariable = content.hasPrefix("var ")
        guard isVariable || content.hasPrefix("let ") else { return nil }
        var type = content.dropFirst(4)
        while type.last == " " { type.removeLast() }
        return (isVariable, String(type))
    }
}
