import Foundation

/// The calls that have not ended: who waits for each, and which are still to be handed over.
struct CallTable {
    /// Calls of one client that leave together.
    struct Gathered {
        let client: ClientHandle
        var ids: [UInt64] = []
        /// The calls as `skyline_submit_many` takes them.
        var records: [UInt8] = []
    }

    /// The name of the last call that there was.
    var lastID: UInt64 = 0
    var waiting: [UInt64: WaitingCall] = [:]
    /// Whether calls are held back, to leave together.
    var isGathering = false
    var gathered: [Gathered] = []

    /// Adds a call to those that leave together.
    mutating func gather(_ request: Request, _ id: UInt64, of client: ClientHandle) {
        let known = gathered.firstIndex { $0.client === client }
        if known == nil { gathered.append(Gathered(client: client)) }
        let index = known ?? gathered.endIndex - 1
        gathered[index].ids.append(id)
        request.append(to: &gathered[index].records, id)
    }
}

/// Who waits for a call.
enum WaitingCall {
    /// A task. Its continuation is resumed once: by whoever takes it out of the table.
    case task(UnsafeContinuation<Data?, any Error>)
    /// A batch, for the answer at an index.
    case batch(Batch, Int)

    /// Hands over how the call ended.
    func end(_ result: Result<Data?, any Error>) {
        switch self {
        case .task(let continuation): continuation.resume(with: result)
        case .batch(let batch, let index): batch.end(index, result)
        }
    }
}
