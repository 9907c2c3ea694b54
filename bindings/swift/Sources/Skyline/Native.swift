import Foundation
internal import SkylineNative

/// Awaits an operation of the core, and cancels it when the task is cancelled: the generated code
/// does not pass `Task.cancel()` on.
func cancellable<Value: Sendable>(
    _ operation: (SkylineNative.Cancellation) async throws -> Value
) async throws -> Value {
    let cancellation = SkylineNative.Cancellation()
    return try await withTaskCancellationHandler {
        do {
            return try await operation(cancellation)
        } catch let failure as SkylineNative.Failure {
            throw failure.error
        }
    } onCancel: {
        cancellation.cancel()
    }
}

extension SkylineNative.Failure {
    /// What this package throws for it.
    var error: any Error {
        switch self {
        case .Failed(let details):
            details.kind == .cancelled ? CancellationError() : SkylineError(details)
        }
    }
}

extension SkylineNative.CallOptions {
    init(
        _ deadline: Duration?, idempotent: Bool = false, cancellation: SkylineNative.Cancellation
    ) {
        self.init(
            deadline: deadline?.seconds, idempotent: idempotent, cancellation: cancellation)
    }
}

extension Duration {
    /// In seconds, as the generated code takes it. It stops the process at negative values and at
    /// those that overflow, so these become zero, which is refused as a setting and has passed as
    /// a deadline, and a century.
    var seconds: TimeInterval {
        let (seconds, attoseconds) = components
        let century = 100.0 * 365.25 * 24 * 60 * 60
        return min(max(Double(seconds) + Double(attoseconds) * 1e-18, 0), century)
    }
}
