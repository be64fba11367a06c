// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// The number of processors of the machine that are switched on.
public var cpuCount: Int {
    max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
}

/// The number of processors that this process may use: not more than its affinity mask allows, nor than the quota of its control group (as containers set it) pays for,
/// rounded up.
///
/// Reads a few small files; ask once and keep the answer where it matters.
public var availableCPUCount: Int {
    let allowed = mp_affinity_count()
    let count = allowed > 0 ? Int(allowed) : cpuCount
    guard let quota = ControlGroup().processorQuota else { return count }
    return max(1, min(count, Int(quota.rounded(.up))))
}
