import Foundation

extension Assignment {
    /// Prints the one line of a worker.
    func report(calls: Int, _ connectedIn: Duration, latencies: String = "") {
        let connected = connectedIn / .milliseconds(1)
        let rates = #""calls": \#(calls), "seconds": \#(seconds), "connect_ms": \#(connected)"#
        print("{\(rates)\(latencies)}")
    }

    /// Prints it with the percentiles of the calls' times.
    func report(calls: Int, _ connectedIn: Duration, _ latencies: [Duration]) throws {
        guard !latencies.isEmpty else { throw WorkerError("no call was measured") }
        let ordered = latencies.sorted()
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1)]
        let fields = quantiles.map { name, quantile in
            let index = Int((Double(ordered.count - 1) * quantile).rounded())
            return #""\#(name)": \#(ordered[index] / .microseconds(1))"#
        }
        report(
            calls: calls, connectedIn,
            latencies: #", "latency_us": {\#(fields.joined(separator: ", "))}"#)
    }
}
