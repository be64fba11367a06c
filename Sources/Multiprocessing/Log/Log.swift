// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

#if Logging
public import Logging
#endif

extension Multiprocessing {
    /// How much a log line matters.
    public enum LogLevel: UInt8, Comparable, Sendable, Codable, CustomStringConvertible {
        /// Each start and end of a process.
        case debug
        /// What happens now and then, such as the start of a fork server.
        case info
        /// What was not expected and is dealt with, such as the death of a fork server.
        case warning
        /// What could not be dealt with.
        case error

        /// Orders by weight.
        public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

        /// The name in capitals, as log lines show it.
        public var description: String {
            switch self {
            case .debug: "DEBUG"
            case .info: "INFO"
            case .warning: "WARNING"
            case .error: "ERROR"
            }
        }
    }

    /// Writes the package's log to standard error from now on, in this process and in those it starts: lines such as "[DEBUG/MainProcess] started Process-1 (pid 4711) by forkServer".
    ///
    /// The package is silent unless it is asked to log. Starts and ends of processes are told at the level `debug`.
    public static func logToStandardError(level: LogLevel = .info) {
        Log.configuration.withLock { $0 = Log.Configuration(level: level, handler: nil) }
    }

    /// Gives the package's log lines to `handler` from now on, in this process. It may be called on any thread, must not block, and must not start processes.
    public static func setLogHandler(level: LogLevel = .info, _ handler: @escaping @Sendable (LogLevel, String) -> Void)
    {
        Log.configuration.withLock { $0 = Log.Configuration(level: level, handler: handler) }
    }

    #if Logging
    private static let currentLogger = PlainMutex<Logger?>(ofProcess: nil)

    /// The logger of swift-log that gets the package's log lines in this process, at the logger's own level; nil, as at first: `setLogHandler` or `logToStandardError` decide, and silence if neither was called.
    public static var logger: Logger? {
        get { currentLogger.withLock { $0 } }
        set {
            if let newValue { return setLogger(newValue) }
            guard currentLogger.withLock({ $0.take() }) != nil else { return }
            Log.configuration.withLock { $0 = nil }
        }
    }

    /// Gives the package's log lines to a logger of swift-log from now on, in this process, at the logger's own level: ``logger`` by a call.
    public static func setLogger(_ logger: Logger) {
        currentLogger.withLock { $0 = logger }
        let level: LogLevel =
            switch logger.logLevel {
            case .trace, .debug: .debug
            case .info: .info
            case .notice, .warning: .warning
            case .error, .critical: .error
            }
        setLogHandler(level: level) { level, message in
            let loggerLevel: Logger.Level =
                switch level {
                case .debug: .debug
                case .info: .info
                case .warning: .warning
                case .error: .error
                }
            logger.log(level: loggerLevel, "\(message)")
        }
    }
    #endif
}

/// The package's log.
enum Log {
    /// Who gets which lines.
    struct Configuration: Sendable {
        var level: Multiprocessing.LogLevel
        /// Nil: standard error.
        var handler: (@Sendable (Multiprocessing.LogLevel, String) -> Void)?
    }

    /// Nil: nobody gets any.
    static let configuration = PlainMutex<Configuration?>(ofProcess: nil)

    /// The level of lines to standard error, for a child to go on with; nil without any.
    static var inheritedLevel: Multiprocessing.LogLevel? {
        configuration.withLock { $0?.handler == nil ? $0?.level : nil }
    }

    /// Logs `message`, which is made only when somebody wants it.
    static func write(_ level: Multiprocessing.LogLevel, _ message: @autoclosure () -> String) {
        guard let configuration = configuration.withLock({ $0 }), level >= configuration.level else { return }
        if let handler = configuration.handler { return handler(level, message()) }
        StandardError.write("[\(level)/\(ProcessIdentity.current.name)] \(message())\n")
    }
}
