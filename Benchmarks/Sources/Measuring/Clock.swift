// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The clock that every program of a run reads, whatever it is written in: CLOCK_MONOTONIC, which is the same in all processes.
public enum Clock {
    /// The time in nanoseconds.
    public static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Sleeps until the clock shows `time`.
    public static func sleep(until time: Int64) {
        var target = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, Int32(TIMER_ABSTIME), &target, nil) == EINTR {}
    }

    /// Sleeps for that many nanoseconds.
    public static func sleep(_ nanoseconds: Int64) {
        sleep(until: now + nanoseconds)
    }
}
