import Foundation
internal import SkylineNative

/// The library's log, for the application's logger. It goes nowhere until a handler is set.
///
/// ```swift
/// Logging.setHandler(level: .debug) { record in
///     print(record.date, record.level, record.target, record.message)
/// }
/// ```
///
/// No record holds a license key, a token or a key, at any level.
public enum Logging {
    /// Hands the records of a level and above to a handler, in place of the handler before it. The
    /// handler is the whole process's.
    ///
    /// - Parameters:
    ///   - level: The lowest level that the handler gets.
    ///   - handler: Takes one record. It is called on a thread of the library's own that does
    ///     nothing else; records that it cannot keep up with are dropped.
    public static func setHandler(
        level: LogLevel = .info, _ handler: @escaping @Sendable (LogRecord) -> Void
    ) {
        setLogSink(level: level.native, sink: Sink(handler: handler))
    }

    /// Changes from which level on records reach the handler.
    ///
    /// - Parameter level: The lowest level that the handler gets.
    public static func setLevel(_ level: LogLevel) {
        setLogLevel(level: level.native)
    }

    /// Takes the handler away.
    public static func removeHandler() {
        clearLogSink()
    }

    private final class Sink: SkylineNative.LogSink {
        private let handler: @Sendable (LogRecord) -> Void

        init(handler: @escaping @Sendable (LogRecord) -> Void) {
            self.handler = handler
        }

        func log(record: SkylineNative.LogRecord) throws {
            handler(LogRecord(record))
        }
    }
}

/// How important a log record is.
public enum LogLevel: Int, Sendable, Hashable, CaseIterable, Comparable {
    /// Every step.
    case trace
    /// What helps to find a fault.
    case debug
    /// The milestones of a session.
    case info
    /// Something is amiss but the client goes on.
    case warning
    /// The client cannot do what it was asked.
    case error

    /// Whether one level is less important than another.
    public static func < (left: LogLevel, right: LogLevel) -> Bool {
        left.rawValue < right.rawValue
    }

    fileprivate init(_ native: SkylineNative.LogLevel) {
        switch native {
        case .trace: self = .trace
        case .debug: self = .debug
        case .info: self = .info
        case .warn: self = .warning
        case .error: self = .error
        }
    }

    fileprivate var native: SkylineNative.LogLevel {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .warning: .warn
        case .error: .error
        }
    }
}

/// One record of the library's log.
public struct LogRecord: Sendable, Hashable {
    /// How important it is.
    public let level: LogLevel
    /// The part of the library that speaks, for example `skyline::connection`.
    public let target: String
    /// The text, with its fields.
    public let message: String
    /// When it happened.
    public let date: Date

    fileprivate init(_ native: SkylineNative.LogRecord) {
        level = LogLevel(native.level)
        target = native.target
        message = native.text
        date = Date(timeIntervalSince1970: TimeInterval(native.unixMilliseconds) / 1000)
    }
}
