// SPDX-License-Identifier: Apache-2.0

/// Something that a pool was asked for and cannot do.
public struct PoolError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of errors. More may come.
    public struct Code: RawRepresentable, Hashable, Sendable, Codable {
        /// Its number.
        public let rawValue: Int

        /// Creates the code with that number.
        public init(rawValue: Int) {
            self.rawValue = rawValue
        }

        /// `close()` or `terminate()` was called, or the pool was dropped.
        public static let notRunning = Code(rawValue: 0)
        /// `terminate()` was called before the task was done.
        public static let terminated = Code(rawValue: 1)
        /// The pool's workers could not be started, or their initializer fails; the pool has given up.
        public static let workersFail = Code(rawValue: 2)
        /// `join()` before `close()` or `terminate()`, which would wait for ever.
        public static let stillRunning = Code(rawValue: 3)
        /// The outcome of a task was asked for before there was one.
        public static let notReady = Code(rawValue: 4)
        /// An argument makes no sense.
        public static let invalidArgument = Code(rawValue: 5)
        /// An answer of the engine could not be understood.
        public static let engine = Code(rawValue: 6)
        /// A pool was used in a copy of the process that made it.
        public static let otherProcess = Code(rawValue: 7)
    }

    /// What kind of error it is.
    public let code: Code
    /// What happened, and what to do about it.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
