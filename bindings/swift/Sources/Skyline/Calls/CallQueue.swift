import Foundation
internal import SkylineFFI

/// The calls of this process: handed to the library, and their answers handed out, many at once.
///
/// The library is told of a call at once, except while answers are being handed out together: what
/// those who get them call next then leaves together too, since handing over wakes a thread. One
/// thread waits for answers; it does not hold up the process's end.
final class CallQueue: Sendable {
    private static let known = Locked<CallQueue?>(nil)

    // Its functions may be called from any thread, but for draining, which the one thread does.
    private nonisolated(unsafe) let queue: OpaquePointer
    private let state = Locked(CallTable())
    /// Held from when calls are taken out of the state until the library has them.
    private let handingOver = Locked(())

    /// The queue of this process, made when it is first asked for.
    ///
    /// - Throws: ``SkylineError`` when the system refuses what it needs.
    static func shared() throws -> CallQueue {
        try known.withLock { known in
            if let known { return known }
            let queue = try CallQueue()
            known = queue
            Thread.detachNewThread { queue.handOut() }
            return queue
        }
    }

    private init() throws {
        var failure: OpaquePointer?
        guard let queue = skyline_queue_new(&failure) else {
            defer { skyline_error_free(failure) }
            throw failure.map(SkylineError.init(at:)) ?? SkylineError(refusedAs: 0)
        }
        self.queue = queue
    }

    /// Makes a call.
    ///
    /// - Returns: The answer; `nil` when it has no payload.
    /// - Throws: ``SkylineError``; `CancellationError` when the task was cancelled.
    func call(_ request: Request, of client: ClientHandle) async throws -> Data? {
        try Task.checkCancellation()
        let ids = newIDs(1)
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                begin(request, ids.lowerBound, of: client, .task(continuation))
                // If the handler has run already, it came too early.
                if Task.isCancelled { cancel(ids) }
            }
        } onCancel: {
            cancel(ids)
        }
    }

    /// Makes many calls.
    ///
    /// - Returns: How each of them ended, when all have.
    /// - Throws: `CancellationError` when one of them was cancelled, as the task was.
    func callMany(
        _ requests: [Request], of client: ClientHandle
    ) async throws -> [Result<Data?, SkylineError>] {
        try Task.checkCancellation()
        guard !requests.isEmpty else { return [] }
        let ids = newIDs(requests.count)
        let results = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                begin(requests, ids, of: client, Batch(requests.count, continuation))
                if Task.isCancelled { cancel(ids) }
            }
        } onCancel: {
            cancel(ids)
        }
        return try results.map { result in
            do {
                return .success(try result.get())
            } catch let error as SkylineError {
                return .failure(error)
            }
        }
    }

    /// Names for so many calls.
    private func newIDs(_ count: Int) -> ClosedRange<UInt64> {
        state.withLock { state in
            let first = state.lastID + 1
            state.lastID += UInt64(count)
            return first...state.lastID
        }
    }

    /// Begins a call.
    private func begin(
        _ request: Request, _ id: UInt64, of client: ClientHandle, _ waiting: WaitingCall
    ) {
        let isGathered = state.withLock { state in
            state.waiting[id] = waiting
            guard state.isGathering, !request.isLarge else { return false }
            state.gather(request, id, of: client)
            return true
        }
        if !isGathered { submit(request, id, of: client) }
    }

    /// Begins the calls of a batch, the small ones at once.
    private func begin(
        _ requests: [Request], _ ids: ClosedRange<UInt64>, of client: ClientHandle, _ batch: Batch
    ) {
        state.withLock { state in
            for (index, (id, request)) in zip(ids, requests).enumerated() {
                state.waiting[id] = .batch(batch, index)
                if !request.isLarge { state.gather(request, id, of: client) }
            }
        }
        flush()
        for (id, request) in zip(ids, requests) where request.isLarge {
            submit(request, id, of: client)
        }
    }

    /// Hands one call over.
    private func submit(_ request: Request, _ id: UInt64, of client: ClientHandle) {
        let kind = request.submit(id, of: client, to: queue)
        if kind != 0 { refuse(CollectionOfOne(id), kind) }
    }

    /// Cancels calls, which fails them with `CancellationError` unless they are over.
    func cancel(_ ids: ClosedRange<UInt64>) {
        // The library must have them before it can cancel them.
        flush()
        for id in ids { skyline_cancel(queue, id) }
    }

    /// Hands over what was gathered.
    private func flush() {
        let refused = handingOver.withLock { _ in
            let gathered = state.withLock { state in
                state.isGathering = false
                defer { state.gathered = [] }
                return state.gathered
            }
            return gathered.compactMap { calls in
                let kind = skyline_submit_many(
                    calls.client.pointer, queue, calls.records, calls.records.count)
                return kind == 0 ? nil : (calls.ids, kind)
            }
        }
        for (ids, kind) in refused { refuse(ids, kind) }
    }

    /// Fails calls that the library did not take.
    private func refuse(_ ids: some Collection<UInt64>, _ kind: Int32) {
        let waiting = state.withLock { state in
            ids.compactMap { state.waiting.removeValue(forKey: $0) }
        }
        for waiting in waiting { waiting.end(.failure(SkylineError(refusedAs: kind))) }
    }

    /// Hands out answers, as long as the process lives.
    private func handOut() {
        // As many as the library gathers before it wakes anybody.
        let capacity = 1024
        Thread.current.name = "skyline-answers"
        let completions = UnsafeMutableBufferPointer<SkylineCompletion>.allocate(capacity: capacity)
        while true {
            guard skyline_queue_wait(queue, .max) != 0 else { continue }
            let count = skyline_queue_drain(queue, completions.baseAddress, capacity)
            handOut(completions[..<count])
        }
    }

    private func handOut(_ completions: Slice<UnsafeMutableBufferPointer<SkylineCompletion>>) {
        let isTogether = completions.count > 1
        let waiting = state.withLock { state in
            if isTogether { state.isGathering = true }
            return completions.map { state.waiting.removeValue(forKey: $0.id) }
        }
        for (waiting, completion) in zip(waiting, completions) {
            waiting?.end(completion.result)
        }
        if isTogether {
            // Its turn comes behind those who were just told to go on.
            Task.detached { self.flush() }
        }
    }
}

extension SkylineCompletion {
    /// A copy of what it points to.
    fileprivate var result: Result<Data?, any Error> {
        if let error {
            return .failure(
                skyline_error_kind(error) == SKYLINE_KIND_CANCELLED.rawValue
                    ? CancellationError() : SkylineError(at: error))
        }
        return .success(payload.map { Data(bytes: $0, count: payload_len) })
    }
}
