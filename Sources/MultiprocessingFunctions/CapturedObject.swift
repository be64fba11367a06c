// SPDX-License-Identifier: Apache-2.0

/// What a captured object tells of the generic code around the closure.
enum CapturedObject {
    /// The type that `source` stands for in the closure whose captures lie at `fields`; nil where it cannot be found out.
    static func argument(
        _ source: ClosureContext.ObjectSource,
        of context: ClosureContext,
        in environment: GenericEnvironment,
        _ fields: UnsafeRawPointer
    ) -> Any.Type? {
        guard let declared = context.declaredClass(of: source) else { return nil }
        var field = fields
        for capture in context.captures(in: environment).prefix(source.capture) {
            if case .refused = capture { return nil }
            field = field.alignedUp(toMultipleOf: capture.layout.alignment) + capture.layout.size
        }
        field = field.alignedUp(toMultipleOf: 8)
        // The object may be of a subclass, which has other arguments.
        var type: AnyClass? = Swift.type(of: field.load(as: Unmanaged<AnyObject>.self).takeUnretainedValue())
        while let known = type {
            if let nominal = NominalType(known), nominal.descriptor == declared {
                guard nominal.typeArguments.indices.contains(source.argument) else { return nil }
                // Metadata is what a metatype points to.
                return unsafeBitCast(nominal.typeArguments[source.argument], to: Any.Type.self)
            }
            type = _getSuperclass(known)
        }
        return nil
    }
}
