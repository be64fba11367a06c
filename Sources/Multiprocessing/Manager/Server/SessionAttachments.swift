// SPDX-License-Identifier: Apache-2.0

/// The values in which a client waits, or may hold something. They are told when it ends.
struct SessionAttachments {
    private struct Weak {
        weak var value: HostedValue?
    }

    private var values: [ObjectIdentifier: Weak] = [:]
    /// How many there may be before it is looked which of them are gone.
    private var limit = 64
    private var hasEnded = false

    /// Notes a value. Returns false when the client is gone.
    mutating func add(_ value: HostedValue) -> Bool {
        guard !hasEnded else { return false }
        let identifier = ObjectIdentifier(value)
        // One that is gone may have been in the same place.
        if values[identifier]?.value === value { return true }
        values[identifier] = Weak(value: value)
        if values.count > limit {
            values = values.filter { $0.value.value != nil }
            limit = max(64, values.count * 2)
        }
        return true
    }

    /// The client is gone. Returns the values.
    mutating func end() -> [HostedValue] {
        hasEnded = true
        defer { values = [:] }
        return values.values.compactMap(\.value)
    }
}
