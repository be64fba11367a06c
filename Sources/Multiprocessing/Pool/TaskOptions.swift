// SPDX-License-Identifier: Apache-2.0

/// How the tasks of a call are to be treated.
public struct TaskOptions: Hashable, Sendable {
    /// How long a call of the function may take, from its begin in the worker; then its worker is ended and replaced, and the call fails with `TimeoutError` or is tried again. Nil: for ever. A time that is
    /// not above zero is a ``PoolError`` (`invalidArgument`) of the call.
    public var timeout: Duration?
    /// How often a call is tried again whose worker was lost or that took too long, 0 or more. It may have done a part of its work each time. In a map that holds for each item.
    public var retries: Int
    /// Whether a call that threw is tried again as well.
    public var retriesErrors: Bool
    /// Tasks of calls with a higher priority are begun first.
    public var priority: Int

    /// Creates options; without arguments those of a call that names none.
    public init(timeout: Duration? = nil, retries: Int = 0, retriesErrors: Bool = false, priority: Int = 0) {
        self.timeout = timeout
        self.retries = retries
        self.retriesErrors = retriesErrors
        self.priority = priority
    }

    /// Whether they are about the items of a map one by one, so that it has to be known which one is at work.
    var concernsItems: Bool { timeout != nil || retries > 0 }

    /// Throws unless the options make sense.
    func check() throws {
        if let timeout, timeout <= .zero {
            throw PoolError(.invalidArgument, "timeout is \(timeout), and must be more than no time")
        }
        if retries < 0 { throw PoolError(.invalidArgument, "retries is \(retries), and must be at least 0") }
    }
}
