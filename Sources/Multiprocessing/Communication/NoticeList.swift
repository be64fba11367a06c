// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// Those who wait for the same thing to happen, again and again.
final class NoticeList: Sendable {
    private final class Notices: Sendable {
        let list = PlainMutex<[Notice]>([])
    }

    private let notices = ForkLocal { Notices() }

    /// Adds a notice that the next `post` posts.
    @discardableResult
    func add(_ notice: Notice = Notice()) -> Notice {
        notices.value.list.withLock { $0.append(notice) }
        return notice
    }

    /// Takes a notice off the list.
    func remove(_ notice: Notice) {
        notices.value.list.withLock { $0.removeAll { $0 === notice } }
    }

    /// Posts all notices and forgets them.
    func post() {
        let posted = notices.value.list.withLock { notices in
            defer { notices = [] }
            return notices
        }
        for notice in posted { notice.post() }
    }
}
