// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc

/// The file descriptors that travel beside one message's bytes.
///
/// A handle (a lock, a queue, a connection) encodes itself as an index into this list, which it finds in the coder's `userInfo`. An encoder that has none, such as one that
/// writes JSON to a file, cannot carry a handle.
///
/// Not `Sendable`: used by one coder on one thread.
package final class CarriedDescriptors {
    /// Where a coder's `userInfo` holds the list.
    package static let userInfoKey = {
        guard let key = CodingUserInfoKey(rawValue: "multiprocessing.descriptors") else {
            preconditionFailure("the standard library refused a key")
        }
        return key
    }()

    /// The descriptors in the order of their indices; -1 where one was taken.
    @exclusivity(unchecked) package private(set) var numbers: [Int32] = []

    /// What keeps the descriptors to be sent open until they are.
    @exclusivity(unchecked) private var owners: [AnyObject] = []
    private let closesLeftovers: Bool

    /// Creates an empty list for a sender.
    package init() {
        closesLeftovers = false
    }

    /// Creates the list that a receiver got, and takes ownership of the descriptors in it.
    package init(received: [Int32]) {
        numbers = received
        closesLeftovers = true
    }

    /// Whether all were taken, or there never was one.
    package var isEmpty: Bool { numbers.allSatisfy { $0 < 0 } }

    /// Adds a descriptor that `owner` keeps open, and returns its index. Without an owner the caller sees to it that it stays open.
    package func attach(_ number: Int32, owner: AnyObject?) -> Int {
        numbers.append(number)
        if let owner { owners.append(owner) }
        return numbers.count - 1
    }

    /// Forgets what a sender attached, so that the list can be used for the next message.
    package func forgetAttached() {
        precondition(!closesLeftovers, "received descriptors are closed, not forgotten")
        numbers.removeAll(keepingCapacity: true)
        owners.removeAll(keepingCapacity: true)
    }

    /// Hands the descriptor at `index` over to the caller, who has to close it. Returns nil when there is none or it was taken already.
    package func take(_ index: Int) -> Int32? {
        guard numbers.indices.contains(index), numbers[index] >= 0 else { return nil }
        defer { numbers[index] = -1 }
        return numbers[index]
    }

    deinit {
        guard closesLeftovers else { return }
        for number in numbers where number >= 0 { close(number) }
    }
}
