// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingWireCoding
internal import Synchronization

/// What values are encoded with: a list for the descriptors of handles, used again and again, given away only when something was put into it.
///
/// `@unchecked Sendable` is safe because one thread at a time has it.
final class EncodingContext: @unchecked Sendable {
    @exclusivity(unchecked) private(set) var carried = CarriedDescriptors()
    @exclusivity(unchecked) private(set) var userInfo: [CodingUserInfoKey: Any]
    /// Memory to encode into.
    @exclusivity(unchecked) var writer = WireWriter(capacity: 512)
    /// Who lends memory for large arguments. Whoever calls `with` has it meanwhile; each call would count its references otherwise.
    @exclusivity(unchecked) private var lender: Unmanaged<PoolCore>?
    /// What was lent last, and may be what the writer writes into.
    @exclusivity(unchecked) private var loan: (any LentMemory)?

    private init() {
        userInfo = [CarriedDescriptors.userInfoKey: carried]
        lendMemory()
    }

    /// A spare one; taken with an exchange, so that no thread waits for another.
    private static let spare = Atomic<Unmanaged<EncodingContext>?>(nil)

    /// Calls `body` with a context in which nothing is.
    ///
    /// - Parameter lender: The pool that the arguments are for, which is asked for memory when they are large.
    static func with<R>(_ lender: PoolCore? = nil, _ body: (EncodingContext) throws -> R) rethrows -> R {
        // Acquiring and releasing: pairs with itself, between the thread that gives back and the one that takes.
        let context = spare.exchange(nil, ordering: .acquiringAndReleasing)?.takeRetainedValue() ?? EncodingContext()
        context.lender = lender.map(Unmanaged.passUnretained)
        defer {
            _ = context.takeIfUsed()
            context.writer.removeAll(keepingCapacity: context.writer.capacity <= 1 << 16)
            context.loan = nil
            context.lender = nil
            spare.exchange(.passRetained(context), ordering: .acquiringAndReleasing)?.release()
        }
        return try body(context)
    }

    /// The list, if something is in it; another takes its place.
    func takeIfUsed() -> CarriedDescriptors? {
        guard !carried.numbers.isEmpty else { return nil }
        defer {
            carried = CarriedDescriptors()
            userInfo = [CarriedDescriptors.userInfoKey: carried]
        }
        return carried
    }

    /// Makes a block of what was written, which takes the memory.
    func takeBlock(_ carried: CarriedDescriptors?) -> TaskInput.Block {
        // What was lent first and has not sufficed is given back.
        let used = writer.isLent ? loan : nil
        loan = nil
        writer.lender = nil
        defer { lendMemory() }
        return TaskInput.Block(taking: &writer, carried, used)
    }

    /// Has the writer ask for memory.
    private func lendMemory() {
        // Safe without a reference: this object has the writer, or has taken the function away from it.
        writer.lender = { [unowned self] size in
            loan = lender?._withUnsafeGuaranteedRef { $0.lend(size) }
            return loan?.bytes
        }
    }
}
