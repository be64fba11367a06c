// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives
internal import Synchronization

/// Handles that were sent to other processes of this machine, of managers to which no descriptor can be sent: this process keeps its own as long as the message exists.
enum HandlesUnderWay {
    private struct Entry {
        let handle: any AnyObject & Sendable
        let socket: SharedDescriptor
        let watch: Reactor.Token
    }

    private final class Table: Sendable {
        let entries = Mutex<[Int32: Entry]>([:])
    }

    private static let table = ForkLocal { Table() }

    /// Keeps `handle` until the other end of `socket` is closed everywhere.
    static func keep(_ handle: any AnyObject & Sendable, until socket: SharedDescriptor) throws {
        let (table, reactor) = (table.value, try Runtime.shared().reactor)
        try table.entries.withLock { entries in
            let watch = try reactor.watch(socket.number, for: .hangUp) { _ in
                let entry = table.entries.withLock { $0.removeValue(forKey: socket.number) }
                if let entry { reactor.endWatch(entry.watch) }
            }
            entries[socket.number] = Entry(handle: handle, socket: socket, watch: watch)
        }
    }
}
