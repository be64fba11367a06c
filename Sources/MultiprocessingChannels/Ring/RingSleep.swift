// SPDX-License-Identifier: Apache-2.0
//
// How a thread waits for the other side of a ring: it watches for a while (`Spinning` tells how long that pays), then the kernel puts it to sleep.
//
// Each look at a position takes its cache line away from the one who stores it. While messages come one after another a consumer that looked all the time would make every single put wait for that
// line, and so would a producer that waits for room. So a thread that has found what it waited for with its first look looks away a little longer next time, up to about as long as a few
// messages take, as long as several had come meanwhile, and half as long when it was one or none: whoever waits for an answer looks at once.
//
// Who is about to sleep when the other side stores a position, and is killed before it looks for sleepers, must not sleep on beside a message: the wake-up that the kernel makes in the place of the dead finds nobody
// yet. So whoever stores takes the mark back before, and the kernel, which compares it, does not begin the sleep. Who was in the middle of that when the mark was made may have looked already: where somebody has
// the lock of the other side, the kernel is told of the position and all else as well, which costs some more.

internal import CMultiprocessing
internal import MultiprocessingPrimitives
internal import Synchronization

extension Ring {
    /// What one side waits for. Not closures: those would count a reference to the ring up and down, while somebody waits for the answer.
    enum Awaited {
        /// That the tail is another than this, or that no message can come.
        case message(tail: UInt64)
        /// That the head is another than this, that nothing can be put, or, with descriptors, that there have been other receipts than so many.
        case room(head: UInt64, receipts: UInt32?)
    }

    /// The most pauses before the first look, and how many looks come with one pause between them, before these grow.
    private static var longestPace: UInt32 { 16 }
    private static var quickLooks: UInt32 { 32 }
    /// In a pace: which bits say with how many looks the last wait began, if one of them was worth it.
    private static var looksShift: UInt32 { 8 }

    /// Decides how many pauses come before the first look of the next wait, if that of this one came after `before` pauses and found so many messages, or so many that were taken.
    ///
    /// Whoever has looked away for long finds even an answer with the first look: that there is but one tells it from what comes one after another. Before a pause or two it would be one in either case.
    static func nextPace(_ before: UInt32, found count: Int) -> UInt32 {
        before < 2 || count > 1 ? min(2 * before + 1, longestPace) : before / 2
    }

    /// Sleeps until what is awaited is there, the deadline or the cancellation; with the lock of the own side, so that nobody else sleeps there.
    @inline(__always)
    func sleep(_ awaited: Awaited, until deadline: Deadline, _ cancellation: WaitCancellation?) -> FutexWaitResult {
        if deadline.nanoseconds != .max, deadline.hasPassed { return .timedOut }
        if watch(awaited) { return .lookAgain }
        return sleepInKernel(awaited, until: deadline, cancellation)
    }

    /// Whether what is awaited is there, or there is another reason to look again.
    @inline(__always)
    private func isOver(_ awaited: Awaited) -> Bool {
        // Relaxed, the positions: who looks again loads them in order.
        switch awaited {
        case .message(let seen):
            tail.pointee.load(ordering: .relaxed) != seen || isEnding || hasLeftovers
        case .room(let seen, let receipts):
            head.pointee.load(ordering: .relaxed) != seen || isShut || isAbandoned
                || receipts.map { $0 != self.receipts.load() } == true
        }
    }

    /// Whether no message comes any more, or there is something to do for the end.
    @inline(__always)
    private var isEnding: Bool {
        word(Offset.state).pointee.load(ordering: .acquiring) & (Self.begun | Self.ended) != 0 || isAbandoned
    }

    /// How much has come of what was awaited.
    @inline(__always)
    private func found(_ awaited: Awaited) -> Int {
        switch awaited {
        case .message: count
        case .room(let seen, _): headPosition.count(since: RingPosition(word: seen))
        }
    }

    @inline(__always)
    private func pace(_ awaited: Awaited) -> UInt32 {
        // Relaxed, here and below: it stands alone, and only one who has the lock changes it.
        switch awaited {
        case .message: itemsPace.load(ordering: .relaxed)
        case .room: spacePace.load(ordering: .relaxed)
        }
    }

    @inline(__always)
    private func setPace(_ awaited: Awaited, _ pace: UInt32) {
        switch awaited {
        case .message: itemsPace.store(pace, ordering: .relaxed)
        case .room: spacePace.store(pace, ordering: .relaxed)
        }
    }

    /// Looks again and again until it is over or the time for that is, and returns whether it was.
    ///
    /// The first looks after the pace come quickly. They cost the other side no more than one would: its store takes the line back once. But never without any pause: the looks that are begun before
    /// the one that sees the change would all have to be taken back, which takes longer than a pause.
    @inline(__always)
    private func watch(_ awaited: Awaited) -> Bool {
        let last = pace(awaited)
        // What the last wait taught is learnt now, not when somebody waits for what is done with the message.
        if last >> Self.looksShift > 0 { Spinning.learn(last >> Self.looksShift, success: true) }
        let looks = Spinning.allowance()
        guard looks > 0 else { return false }
        let before = last & (1 << Self.looksShift - 1)
        for _ in 0..<before { mp_pause() }
        if isOver(awaited) {
            setPace(awaited, Self.nextPace(before, found: found(awaited)))
            return true
        }
        let longestPause = Spinning.longestPause
        // In all as many pauses as if every look had the longest.
        var left = looks &* longestPause
        var quick = Self.quickLooks
        var pauses: UInt32 = 1
        while left > 0 {
            for _ in 0..<pauses { mp_pause() }
            left -= min(left, pauses)
            if isOver(awaited) {
                setPace(awaited, looks << Self.looksShift | before / 2)
                return true
            }
            if quick > 0 { quick -= 1 } else if pauses < longestPause { pauses += 1 }
        }
        setPace(awaited, before / 2)
        Spinning.learn(looks, success: false)
        return false
    }

    /// Lets the kernel put the thread to sleep.
    @inline(never)
    private func sleepInKernel(
        _ awaited: Awaited,
        until deadline: Deadline,
        _ cancellation: WaitCancellation?
    ) -> FutexWaitResult {
        if let cancellation, cancellation.isCancelled { return .cancelled }
        let word =
            switch awaited {
            case .message: items
            case .room: space
            }
        word.exchange(Self.waiting)
        // The mark before the looks at what is awaited.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        defer { word.store(0) }
        guard cancellation != nil || isBusy(awaited) else {
            return isOver(awaited) ? .lookAgain : word.wait(while: Self.waiting, until: deadline)
        }
        let words = everything(awaited, word)
        if isOver(awaited) { return .lookAgain }
        return words.wait(until: deadline, cancellation: cancellation, areRare: true)
    }

    /// Whether somebody may be about to store what is awaited without having seen the mark. Whoever takes a lock from here on sees it, and so does one who has stored, when he looks again.
    private func isBusy(_ awaited: Awaited) -> Bool {
        switch awaited {
        case .message:
            producers.isLocked(exceptBy: SharedWord(base, offset: Offset.wakingProducer)) || isBeingEnded || isHalfEnded
        case .room:
            consumers.isLocked(exceptBy: SharedWord(base, offset: Offset.wakingConsumer)) || isBeingEnded
        }
    }

    /// All that may be stored for the one who sleeps on `word`, as it is now.
    private func everything(_ awaited: Awaited, _ word: SharedWord) -> FutexSet {
        var words = FutexSet(word, is: Self.waiting)
        words.add(state, is: state.load())
        // The upper half of a position has the sequence in it, which each message changes; a little-endian pair.
        switch awaited {
        case .message(let seen):
            words.add(SharedWord(base, offset: Offset.tail + 4), is: UInt32(seen >> 32))
        case .room(let seen, let receipts):
            words.add(SharedWord(base, offset: Offset.head + 4), is: UInt32(seen >> 32))
            if let receipts { words.add(self.receipts, is: receipts) }
        }
        return words
    }
}
