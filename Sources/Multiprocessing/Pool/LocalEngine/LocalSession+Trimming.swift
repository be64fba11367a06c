// SPDX-License-Identifier: Apache-2.0
//
// Segments of large payloads are kept, because memory that is there already costs a tenth of fresh memory. A pool that has none to send for a while gives them back: both sides forget them in the same order, by a record in the
// worker's lane behind which nothing names them any more.

internal import CMultiprocessing
internal import MultiprocessingChannels
internal import MultiprocessingPrimitives

extension LocalSession {
    /// As much as this is kept as long as the worker lasts.
    private static var smallest: Int { 1 << 20 }

    /// Notes that a worker has been sent, or has sent, a large payload.
    func noteLarge(_ worker: LocalWorker) {
        worker.lastLarge = mp_now()
        armTrimming(Deadline(timeout: specification.keepsSegments))
    }

    private func armTrimming(_ deadline: Deadline) {
        guard trimTimer == nil, let reactor = try? Runtime.shared().reactor else { return }
        let trim = reentry { session in session.trim() }
        trimTimer = reactor.waitUntil(deadline) { _ in trim() }
    }

    /// Gives segments back that nobody has used for long.
    private func trim() {
        trimTimer = nil
        guard !isClosing else { return }
        let now = mp_now()
        let patience = Deadline(timeout: specification.keepsSegments).nanoseconds &- now
        var next = Deadline.never
        for worker in workers where worker.phase == .ready && worker.keptBytes > Self.smallest {
            let isUnused = now &- worker.lastLarge >= patience
            if isUnused, worker.forgetSegments() { continue }
            // One that is at work, or whose result waits to be read, is looked at again.
            next = min(next, Deadline(nanoseconds: (isUnused ? now : worker.lastLarge) &+ patience))
        }
        if !next.isNever { armTrimming(next) }
    }
}

extension LocalWorker {
    /// The bytes of all segments that both sides keep.
    var keptBytes: Int { segments.bytes + resultSegments.bytes }

    /// Has both sides forget their segments; false when one is in use.
    fileprivate func forgetSegments() -> Bool {
        freeDefinitions()
        guard outstanding.isEmpty, lentSegments.isEmpty, lendsNothing, leases.count == 0 else { return false }
        let written = try? write(
            WorkerRecordKind.trim,
            [],
            ticket: 0,
            length: 0,
            descriptors: [],
            last: 0,
            { _ in }
        )
        guard written != nil else { return false }
        loans = []
        segments = SegmentSender()
        resultSegments = SegmentReceiver()
        tasks.publishAndWake()
        return true
    }
}
