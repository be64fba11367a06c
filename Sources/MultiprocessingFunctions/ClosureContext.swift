// SPDX-License-Identifier: Apache-2.0
//
// What a closure captured lies in an object made by the compiler:
//
//    0  metadata         its first word is 0x400 for such a box; at +16 a pointer to the capture descriptor
//    8  reference count
//   16  bindings         a word each: the generic arguments of the code around the closure
//    …  captures         in order, each at its natural alignment
//
//   capture descriptor
//    0  number of captures   4  of metadata sources   8  of bindings
//   12  a relative pointer for each capture to its mangled type name
//    …  a pair of relative pointers for each source: mangled parameter, where it comes from
//
//   source
//    B0        binding 0
//    G1R0_     generic argument 1 of the class of the object that is capture 0
//
// A closure that captured one native object has no box: its context is that object (kind 0, a class).

internal import CMultiprocessing

/// The box of a closure, taken apart.
struct ClosureContext {
    /// How a capture can be carried.
    enum Capture {
        /// A value of a type that is known.
        case value(any Any.Type)
        /// A function: two words, like the closure itself; within so many optionals.
        case function(optionals: Int)
        /// A type as a pointer to its metadata, which always is that one: in generic code the compiler does not know so.
        case type(any Any.Type)
        /// One that cannot be carried.
        case refused(FunctionNotPortable)
    }

    /// The kind of metadata that a closure's box has.
    static let boxKind: UInt = 0x400

    /// A generic parameter that only a captured object tells.
    struct ObjectSource {
        /// The parameter's mangled name.
        let parameter: [UInt8]
        /// Which of the captures the object is.
        let capture: Int
        /// Which argument of its class it is.
        let argument: Int
    }

    /// The number of words of generic arguments.
    let bindingCount: Int
    /// The generic parameters that are in no binding.
    let objectSources: [ObjectSource]
    private let bindingSources: [(parameter: [UInt8], binding: Int)]
    private let names: [MangledName]

    /// Takes the box with that metadata apart. Nil when the program was compiled without reflection metadata.
    init?(metadata: UnsafeRawPointer) {
        guard let descriptor = metadata.load(fromByteOffset: 16, as: UnsafeRawPointer?.self) else { return nil }
        let captureCount = Int(descriptor.load(as: UInt32.self))
        let sourceCount = Int(descriptor.load(fromByteOffset: 4, as: UInt32.self))
        bindingCount = Int(descriptor.load(fromByteOffset: 8, as: UInt32.self))
        guard captureCount < 1 << 16, sourceCount < 1 << 16, bindingCount < 1 << 16 else { return nil }

        var (inBindings, inObjects): ([(parameter: [UInt8], binding: Int)], [ObjectSource]) = ([], [])
        let sources = descriptor + 12 + captureCount * 4
        for index in 0..<sourceCount {
            let parameter = Array(MangledName(relativeTo: sources + index * 8).bytes)
            let source = MangledName(relativeTo: sources + index * 8 + 4).text
            if source.hasPrefix("B"), let binding = Int(source.dropFirst().prefix { $0.isNumber }) {
                inBindings.append((parameter, binding))
            } else if source.hasPrefix("G"), source.hasSuffix("_") {
                let numbers = source.dropFirst().dropLast().split(separator: "R").map { Int($0) }
                guard numbers.count == 2, let argument = numbers[0], let capture = numbers[1] else { continue }
                inObjects.append(ObjectSource(parameter: parameter, capture: capture, argument: argument))
            }
        }
        bindingSources = inBindings
        objectSources = inObjects.filter { source in
            source.capture < captureCount && !inBindings.contains { $0.parameter == source.parameter }
        }
        names = (0..<captureCount).map { MangledName(relativeTo: descriptor + 12 + $0 * 4) }
    }

    /// What the generic parameters stand for.
    ///
    /// - Parameter genericArgument: Returns the type in a binding.
    func environment(_ genericArgument: (Int) -> Any.Type?) -> GenericEnvironment {
        var environment = GenericEnvironment()
        for source in bindingSources {
            if let type = genericArgument(source.binding) { environment.set(source.parameter, to: type) }
        }
        return environment
    }

    /// The captures in the order in which they lie in memory.
    func captures(in environment: GenericEnvironment) -> [Capture] {
        names.map { Self.capture($0, in: environment) }
    }

    /// The descriptor of the class that a source's object is declared to be of.
    func declaredClass(of source: ObjectSource) -> UnsafeRawPointer? { names[source.capture].firstContext }

    private static func capture(_ name: MangledName, in environment: GenericEnvironment) -> Capture {
        let (function, optionals) = name.withoutOptionals
        if function.isFunction {
            if function.isThinFunction { return .refused(.thinFunction()) }
            return optionals <= OptionalFunction.deepest
                ? .function(optionals: optionals) : .refused(.capture(named: name))
        }
        if name.special == nil, let type = environment.type(named: name) {
            if name.isThickMetatype, layout(of: type).size == 0, let instance = StructuralType.instance(of: type) {
                return .type(instance)
            }
            return .value(type)
        }
        return .refused(.capture(named: name))
    }
}

extension ClosureContext.Capture {
    /// The size and alignment of its field, in bytes; nothing where that is not known.
    var layout: (size: Int, alignment: Int) {
        switch self {
        case .value(let type): MultiprocessingFunctions.layout(of: type)
        case .function: (16, 8)
        case .type: (8, 8)
        case .refused: (0, 1)
        }
    }
}
