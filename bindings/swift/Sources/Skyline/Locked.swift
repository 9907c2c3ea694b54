import Foundation

/// State that one thread at a time may use.
///
/// In place of `Mutex`, which the oldest systems that this package is for do not have. Unchecked,
/// since the compiler does not know that `state` is touched only by who holds `lock`.
final class Locked<State>: @unchecked Sendable {
    private let lock = NSLock()
    private var state: State

    init(_ state: sending State) {
        self.state = state
    }

    /// Runs `body` while no other thread is in one. It must not take long, and not come back here.
    func withLock<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&state)
    }
}
