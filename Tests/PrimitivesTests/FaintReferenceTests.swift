// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingPrimitives
import Synchronization
import Testing

/// Notes when it is gone.
private final class Guest: Sendable {
    let isGone: GoneFlag
    let number = 42

    init(_ isGone: GoneFlag) {
        self.isGone = isGone
    }

    deinit {
        isGone.value.add(1, ordering: .sequentiallyConsistent)
    }
}

/// Has a guest until it is told to let go.
private final class Host: Sendable {
    private let guest: Mutex<Guest?>

    init(_ guest: Guest) {
        self.guest = Mutex(guest)
    }

    var reference: FaintReference? { guest.withLock { $0.map { FaintReference($0) } } }

    func letGo() {
        guest.withLock { $0 = nil }
    }
}

/// How often something is gone.
private final class GoneFlag: Sendable {
    let value = Atomic<Int>(0)

    var count: Int { value.load(ordering: .sequentiallyConsistent) }
}

/// The word of an object in which its reference counts are, or which tells where they are.
private func counts(of object: AnyObject) -> UInt64 {
    UnsafeRawPointer(Unmanaged.passUnretained(object).toOpaque()).load(fromByteOffset: 8, as: UInt64.self)
}

extension PrimitivesTests {
    /// References that keep nothing alive and cost nothing.
    @Suite(.timeLimit(.minutes(30))) struct FaintReferenceTests {
        @Test func `an object is found as long as somebody else has it`() {
            let isGone = GoneFlag()
            var guest: Guest? = Guest(isGone)
            let reference = guest.map { FaintReference($0) }
            for _ in 0..<3 { #expect((reference?.object as? Guest)?.number == 42) }
            #expect(isGone.count == 0)
            guest = nil
            #expect(isGone.count == 1)
            for _ in 0..<3 { #expect(reference?.object == nil) }
        }

        @Test func `who has found an object keeps it`() {
            let isGone = GoneFlag()
            var guest: Guest? = Guest(isGone)
            let reference = guest.map { FaintReference($0) }
            var found = reference?.object
            guest = nil
            #expect((found as? Guest)?.number == 42)
            #expect(isGone.count == 0)
            found = nil
            #expect(isGone.count == 1)
            #expect(reference?.object == nil)
        }

        @Test func `an object outlives its references`() {
            let isGone = GoneFlag()
            let guest = Guest(isGone)
            for _ in 0..<100 { #expect(FaintReference(guest).object === guest) }
            #expect(isGone.count == 0)
        }

        @Test func `an object that goes while others ask for it is whole for each, or gone`() async {
            for _ in 0..<500 {
                let isGone = GoneFlag()
                let host = Host(Guest(isGone))
                guard let reference = host.reference else { continue }
                await withTaskGroup { group in
                    for _ in 0..<3 {
                        group.addTask {
                            // Not for ever: as long as one of them has it, it does not go.
                            for _ in 0..<100 {
                                guard let found = reference.object as? Guest else { break }
                                #expect(found.number == 42)
                            }
                        }
                    }
                    group.addTask { host.letGo() }
                }
                #expect(isGone.count == 1)
            }
        }

        @Test func `the counts of an object stay in it`() {
            let guest = Guest(GoneFlag())
            let reference = FaintReference(guest)
            #expect(reference.object === guest)
            // The highest bit says that they are elsewhere (RefCount.h of the Swift runtime), as they are for an object with weak references.
            #expect(counts(of: guest) >> 63 == 0)
            weak let other = guest
            #expect(other === guest)
            #expect(counts(of: guest) >> 63 == 1)
        }
    }
}
