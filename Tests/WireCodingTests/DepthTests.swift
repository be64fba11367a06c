// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingWireCoding
internal import Testing

@Suite(.timeLimit(.minutes(30)))
struct `Values nested deeply` {
    /// A list that nests as deep as it is long.
    private final class Node: Codable {
        var value: Int
        var next: Node?

        init(_ value: Int, next: Node?) {
            self.value = value
            self.next = next
        }

        /// Returns a list of the given length.
        static func chain(_ length: Int) -> Node {
            var node = Node(0, next: nil)
            for value in 1..<length { node = Node(value, next: node) }
            return node
        }

        /// The number of nodes from here on.
        var length: Int {
            var count = 1
            var node = next
            while let current = node {
                count += 1
                node = current.next
            }
            return count
        }
    }

    /// Runs `body` on a thread with a stack of the given size.
    private func onThread(stack: Int, _ body: @escaping () -> Void) {
        final class Work {
            let body: () -> Void
            init(_ body: @escaping () -> Void) { self.body = body }
        }
        let work = Unmanaged.passRetained(Work(body))
        var thread: pthread_t = 0
        let result = withUnsafeTemporaryAllocation(of: pthread_attr_t.self, capacity: 1) { buffer -> Int32 in
            guard let attributes = buffer.baseAddress else { return -1 }
            pthread_attr_init(attributes)
            pthread_attr_setstacksize(attributes, stack)
            return pthread_create(
                &thread,
                attributes,
                { pointer in
                    if let pointer { Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body() }
                    return nil
                },
                work.toOpaque()
            )
        }
        #expect(result == 0)
        pthread_join(thread, nil)
    }

    @Test func `a value five hundred levels deep arrives, given a stack`() {
        onThread(stack: 16 << 20) {
            #expect(throws: Never.self) {
                let length = try carried(Node.chain(500)).length
                #expect(length == 500)
            }
        }
    }

    @Test func `a cycle of objects is an error when encoded`() {
        for stack in [256 << 10, 512 << 10, 8 << 20] {
            onThread(stack: stack) {
                let node = Node.chain(3)
                node.next?.next?.next = node
                defer { node.next = nil }
                #expect { try bytes(of: node) } throws: { ($0 as? WireCodingError)?.code == .tooDeep }
                #expect { try bytes(of: [[node]]) } throws: { ($0 as? WireCodingError)?.code == .tooDeep }
            }
        }
    }

    @Test func `bytes nested too deeply are an error on a small stack as well`() {
        var inner: [UInt8] = [0x92, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        for _ in 0..<2000 {
            var outer: [UInt8] = [0x92]
            withUnsafeBytes(of: UInt64(inner.count + 4).littleEndian) { outer += $0.prefix(7) }
            inner = outer + [1, 0, 0, 0] + inner
        }
        let message = inner
        for stack in [256 << 10, 512 << 10, 8 << 20] {
            onThread(stack: stack) {
                #expect { try value(Dynamic.self, from: message) } throws: { error in
                    (error as? WireCodingError)?.code == .tooDeep || error is DecodingError
                }
                #expect { try value(Nested.self, from: message) } throws: { error in
                    (error as? WireCodingError)?.code == .tooDeep
                }
            }
        }
    }

    @Test func `how deep a small stack takes a value is more than a few levels`() {
        onThread(stack: 512 << 10) {
            #expect(throws: Never.self) {
                let length = try carried(Node.chain(60)).length
                #expect(length == 60)
            }
        }
    }

    /// A list of lists of lists.
    private struct Nested: Codable {
        var children: [Nested]

        init(from decoder: any Decoder) throws {
            children = try decoder.singleValueContainer().decode([Nested].self)
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(children)
        }
    }
}
