import Foundation

/// Makes one call; throws unless its answer is what it should be.
public typealias Call = @Sendable () async throws -> Void

extension Assignment {
    /// Makes the load and prints the report.
    ///
    /// - Parameters:
    ///   - connectedIn: How long it took until the first call could be made.
    ///   - call: Makes one call.
    /// - Throws: The first error of a call.
    public func run(connectedIn: Duration, _ call: @escaping Call) async throws {
        let begin = ContinuousClock.now + warmup
        let end = begin + .seconds(seconds)
        if let rate {
            let latencies = try await atRate(rate, begin, end, call)
            try report(calls: latencies.count, connectedIn, latencies)
        } else {
            report(calls: try await flatOut(begin, end, call), connectedIn)
        }
    }

    private func flatOut(
        _ begin: ContinuousClock.Instant, _ end: ContinuousClock.Instant, _ call: @escaping Call
    ) async throws -> Int {
        if callers == 1 {
            return try await oneCaller(begin, end, call)
        }
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<callers {
                group.addTask { try await oneCaller(begin, end, call) }
            }
            return try await group.reduce(0, +)
        }
    }

    /// Calls at fixed times, whether or not earlier ones were answered in time.
    private func atRate(
        _ rate: Double, _ begin: ContinuousClock.Instant, _ end: ContinuousClock.Instant,
        _ call: @escaping Call
    ) async throws -> [Duration] {
        let due = pace(rate, from: begin - warmup, to: end, for: callers)
        return try await withThrowingTaskGroup(of: [Duration].self) { group in
            for _ in 0..<callers {
                group.addTask {
                    var latencies: [Duration] = []
                    for await planned in due {
                        guard let planned else { break }
                        try await call()
                        if planned >= begin {
                            latencies.append(.now - planned)
                        }
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}

private func oneCaller(
    _ begin: ContinuousClock.Instant, _ end: ContinuousClock.Instant, _ call: Call
) async throws -> Int {
    var calls = 0
    while true {
        try await call()
        let now = ContinuousClock.now
        if now >= end {
            return calls
        }
        if now >= begin {
            calls += 1
        }
    }
}

/// The times at which calls are due, each given when it has come, by a thread of its own: nothing
/// that the callers do delays it. At last each caller gets `nil`.
private func pace(
    _ rate: Double, from start: ContinuousClock.Instant, to end: ContinuousClock.Instant,
    for callers: Int
) -> AsyncStream<ContinuousClock.Instant?> {
    AsyncStream { due in
        Thread.detachNewThread {
            var number = 0.0
            while true {
                let planned = start + .seconds(number / rate)
                if planned >= end { break }
                let wait = planned - .now
                if wait > .zero {
                    Thread.sleep(forTimeInterval: wait / .seconds(1))
                }
                due.yield(planned)
                number += 1
            }
            for _ in 0..<callers { due.yield(nil) }
        }
    }
}
