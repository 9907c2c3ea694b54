import Foundation
import Skyline

/// Keeps the records of the library's log.
final class LogCollector: @unchecked Sendable {
    private let lock = NSLock()
    private var collected: [LogRecord] = []

    func append(_ record: LogRecord) {
        lock.withLock { collected.append(record) }
    }

    var records: [LogRecord] {
        lock.withLock { collected }
    }

    /// The texts of all records. They arrive on a thread of their own, so this waits until there
    /// are some and no more come.
    func texts() async throws -> [String] {
        var before = -1
        for _ in 0..<100 where records.isEmpty || records.count != before {
            before = records.count
            try await Task.sleep(for: .milliseconds(100))
        }
        return records.map { "\($0.target) \($0.message)" }
    }
}
