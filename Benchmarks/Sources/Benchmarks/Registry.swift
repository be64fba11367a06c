// SPDX-License-Identifier: Apache-2.0

/// All that can be measured, in the order of the table.
enum Registry {
    /// The metrics. A new group is one file in `Metrics` and one line here.
    static let metrics: [Metric] =
        StartMetrics.all
        + WireCodingMetrics.all
        + LockMetrics.all
        + ManagerMetrics.all
        + WakeMetrics.all
        + ChannelMetrics.all
        + ArrayMetrics.all
        + PoolMetrics.all
        + ParentMetrics.all
        + ScalingMetrics.all
        + ThreadMetrics.all
        + MemoryMetrics.all
}
