// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingChannels
internal import MultiprocessingPrimitives
internal import Synchronization

/// A segment of a worker that arguments are encoded into before it is known who gets them: as a rule this worker, which is the one that would be chosen now. Another one gets a copy.
final class SegmentLoan: LentMemory {
    /// What the worker's side of the pool knows of it.
    ///
    /// `@unchecked Sendable` is safe because what changes is used under the pool's lock, but for `isOver`.
    final class Note: @unchecked Sendable {
        /// The number of the segment.
        let slot: Int
        /// Whether the worker still has to be sent its descriptor.
        @exclusivity(unchecked) var isNew: Bool
        private let over = Atomic<Bool>(false)

        init(_ loan: SegmentSender.Loan) {
            slot = loan.slot
            isNew = loan.isNew
        }

        /// Whether nobody needs what is in the segment. Pairs with the release in `end`: what was read there was read before.
        var isOver: Bool { over.load(ordering: .acquiring) }

        /// Whether a record can name the segment: a segment that neither side keeps has no descriptor left once it was sent.
        var canBeSent: Bool { isNew || slot != SegmentSender.unkept }

        fileprivate func end() {
            over.store(true, ordering: .releasing)
        }
    }

    let note: Note
    let region: MemoryRegion

    init(_ loan: SegmentSender.Loan) {
        note = Note(loan)
        region = loan.region
    }

    deinit {
        note.end()
    }

    var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: region.base, count: region.size) }

    func giveBack() {
        note.end()
    }
}

extension LocalWorker {
    /// Lends a segment for arguments of `size` bytes, one at a time; nil when there is no memory for that.
    func lend(_ size: Int) -> SegmentLoan? {
        endLoans()
        guard loans.isEmpty, let borrowed = try? borrow(size) else { return nil }
        let loan = SegmentLoan(borrowed)
        loans.append(loan.note)
        return loan
    }

    /// Whether nothing of it is lent.
    var lendsNothing: Bool { loans.allSatisfy(\.isOver) }

    /// Finds a segment that nobody needs.
    func borrow(_ size: Int) throws(SystemError) -> SegmentSender.Loan {
        for slot in 0..<WorkerMemory.segmentCount where memory.takeUnopened(slot) {
            segments.forget(slot)
            // What was encoded there is copied to another one.
            loans.removeAll { $0.slot == slot }
        }
        endLoans()
        return try segments.borrow(size) { slot in
            !lentSegments.contains(slot) && !loans.contains { $0.slot == slot }
        }
    }

    /// The segment of a loan, as what a record can name; nil when it is not this worker's, or cannot be named any more.
    func segment(of loan: SegmentLoan?) -> SegmentSender.Loan? {
        guard let loan, loan.note.canBeSent, loans.contains(where: { $0 === loan.note }) else { return nil }
        return SegmentSender.Loan(slot: loan.note.slot, region: loan.region, isNew: loan.note.isNew)
    }

    /// Takes back what was lent and is not needed any more.
    private func endLoans() {
        guard !loans.isEmpty else { return }
        for note in loans where note.isOver && note.isNew && note.slot != SegmentSender.unkept {
            // Others got what was in it, if anybody did: the worker never heard of it.
            segments.forget(note.slot)
        }
        loans.removeAll(where: \.isOver)
    }
}

extension LocalSession {
    func lend(_ size: Int) -> (any LentMemory)? {
        guard !isBroken, !isClosing else { return nil }
        return idle.last { $0.canTakeFirst && $0.lendsNothing }?.lend(size)
    }

    /// The worker that has lent the memory a task's arguments are in, if it can take the task at once.
    func lender(of task: TaskEnvelope) -> LocalWorker? {
        guard let loan = task.input.loan(of: task.pieces) as? SegmentLoan else { return nil }
        return mayBegin ? idle.last { $0.canTakeFirst && $0.segment(of: loan) != nil } : nil
    }
}
