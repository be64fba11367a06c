// SPDX-License-Identifier: Apache-2.0

import Glibc
import MultiprocessingPrimitives
import Synchronization
import Testing

extension PrimitivesTests {
    @Suite(.timeLimit(.minutes(30))) struct LargeCopyTests {
        @Test(arguments: [0, 1, 4096, LargeCopy.smallest - 1, LargeCopy.smallest, (80 << 20) + 12345], [0, 5])
        func `every byte is copied, and no other`(_ count: Int, _ shift: Int) {
            let (size, filler) = (count + 64, UInt8(0xa5))
            let source = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
            let target = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
            defer {
                source.deallocate()
                target.deallocate()
            }
            for start in stride(from: 0, to: size, by: 4099) {
                memset(source + start, Int32(truncatingIfNeeded: start / 4099), min(4099, size - start))
            }
            memset(target, Int32(filler), size)
            LargeCopy.copy(source + shift, to: target + 16, count: count)
            #expect(memcmp(target + 16, source + shift, count) == 0)
            let around = Array(0..<16) + Array(16 + count..<size)
            #expect(around.allSatisfy { target.load(fromByteOffset: $0, as: UInt8.self) == filler })
        }

        @Test func `what runs on several threads has returned on all of them`() {
            let counts = Counts()
            Thread.together(3, name: "mp-test") {
                counts.begun.add(1, ordering: .relaxed)
                // Nobody ends before all have begun: they run at the same time.
                while counts.begun.load(ordering: .relaxed) < 3 { sched_yield() }
                counts.ended.add(1, ordering: .relaxed)
            }
            #expect(counts.ended.load(ordering: .relaxed) == 3)
        }
    }
}

private final class Counts: Sendable {
    let begun = Atomic<Int>(0)
    let ended = Atomic<Int>(0)
}
