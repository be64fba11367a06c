// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import MultiprocessingPrimitives

extension Deadline {
    /// How long it is until then, as a timeout: nil for ever.
    var timeLeft: Duration? { isNever ? nil : .nanoseconds(max(0, nanoseconds - mp_now())) }
}
