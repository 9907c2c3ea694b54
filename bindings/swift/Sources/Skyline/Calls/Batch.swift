import Foundation

/// Calls that begin together and end together, each with a result of its own.
final class Batch: Sendable {
    typealias Results = [Result<Data?, any Error>]

    private struct State {
        /// In the order of the calls.
        var results: Results
        /// How many have not ended.
        var open: Int
    }

    private let state: Locked<State>
    private let whole: UnsafeContinuation<Results, Never>

    /// - Parameters:
    ///   - count: How many calls there are; at least one.
    ///   - whole: Who waits until all have ended. Resumed once, by the last.
    init(_ count: Int, _ whole: UnsafeContinuation<Results, Never>) {
        let results = Results(repeating: .failure(CancellationError()), count: count)
        state = Locked(State(results: results, open: count))
        self.whole = whole
    }

    /// Takes the result of the call at an index, once.
    func end(_ index: Int, _ result: Result<Data?, any Error>) {
        let results: Results? = state.withLock { state in
            state.results[index] = result
            state.open -= 1
            return state.open == 0 ? state.results : nil
        }
        if let results { whole.resume(returning: results) }
    }
}
