import Foundation
internal import SkylineNative

extension Client {
    /// Queues an event of the application, which the client delivers as soon as it can.
    ///
    /// Needs no connection and does not wait for the server. The queue is kept in
    /// ``Configuration/stateFolder``: events that this client could not deliver are delivered by
    /// the next one, in order. The server stores each event once, however often it was sent. How
    /// much the queue holds, and what happens when it is full, is said by
    /// ``Configuration/maxQueuedEvents`` and the properties that follow it.
    ///
    /// - Parameters:
    ///   - name: The event's name, for example `app.navigation`.
    ///   - data: What belongs to it: a value that `JSONEncoder` writes as a JSON object.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/payload`` when the server
    ///   would not take the event, ``SkylineError/Code/eventQueueFull`` where
    ///   ``Configuration/EventOverflow/refuse`` is set, ``SkylineError/Code/state`` where
    ///   ``Configuration/EventDurability/synced`` is set and the disk cannot be written.
    public func track(_ name: String, _ data: some Encodable & Sendable) async throws {
        let json = String(decoding: try JSONPayload.encode(data), as: UTF8.self)
        do {
            try await native.trackJson(name: name, data: json)
        } catch let failure as SkylineNative.Failure {
            throw failure.error
        }
    }

    /// Queues an event whose data is MessagePack already; see ``track(_:_:)``.
    ///
    /// - Parameters:
    ///   - name: The event's name.
    ///   - messagePack: The MessagePack of a map.
    /// - Throws: ``SkylineError``.
    public func trackRaw(_ name: String, _ messagePack: Data) async throws {
        do {
            try await native.track(name: name, data: messagePack)
        } catch let failure as SkylineNative.Failure {
            throw failure.error
        }
    }

    /// Waits until every event that was tracked before is delivered, or was given up.
    ///
    /// - Parameter deadline: How long to wait; ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError``, with the code ``SkylineError/Code/deadlineExceeded`` when the
    ///   deadline passes first; `CancellationError`. The events stay queued in either case.
    public func flushEvents(deadline: Duration? = nil) async throws {
        try await cancellable {
            try await native.flushEvents(options: .init(deadline, cancellation: $0))
        }
    }

    /// What became of the events since this client was connected.
    public var eventCounters: EventCounters {
        EventCounters(native.eventCounters())
    }

    /// Reports an event of the application, and waits until the server has it.
    ///
    /// - Parameters:
    ///   - name: The event's name, for example `app.navigation`.
    ///   - data: What belongs to it: a value that `JSONEncoder` writes as a JSON object.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func sendEvent(
        _ name: String, _ data: some Encodable & Sendable, deadline: Duration? = nil
    ) async throws {
        let json = String(decoding: try JSONPayload.encode(data), as: UTF8.self)
        try await cancellable {
            try await native.sendEventJson(
                name: name, data: json, options: .init(deadline, cancellation: $0))
        }
    }

    /// Reports an event whose data is MessagePack already, and waits until the server has it.
    ///
    /// - Parameters:
    ///   - name: The event's name.
    ///   - messagePack: The MessagePack of a map.
    ///   - deadline: How long the whole call may take, reconnecting included;
    ///     ``Configuration/callDeadline`` when `nil`.
    /// - Throws: ``SkylineError`` or `CancellationError`.
    public func sendEventRaw(
        _ name: String, _ messagePack: Data, deadline: Duration? = nil
    ) async throws {
        try await cancellable {
            try await native.sendEvent(
                name: name, data: messagePack, options: .init(deadline, cancellation: $0))
        }
    }
}

/// What became of the events that one client was given by ``Client/track(_:_:)``, or found in its
/// state folder; see ``Client/eventCounters``.
///
/// At any time `tracked + recovered == queued + sent + dropped + rejected`.
public struct EventCounters: Sendable, Hashable {
    /// Events that the application tracked and the queue accepted.
    public let tracked: Int
    /// Events that an earlier client of this product and license had left in the state folder.
    public let recovered: Int
    /// Events that wait for their delivery, or are on their way.
    public let queued: Int
    /// The bytes of these, as they count for ``Configuration/maxQueuedEventBytes``.
    public let queuedBytes: Int
    /// Events that the server acknowledged.
    public let sent: Int
    /// Events that were given up because the queue was full.
    public let dropped: Int
    /// Events that were given up because the server would never take them.
    public let rejected: Int
    /// Damaged stretches of the files that earlier clients left. Each held at least a part of an
    /// event, or of a note that one was delivered.
    public let damaged: Int

    init(_ native: SkylineNative.EventCounters) {
        tracked = Int(clamping: native.tracked)
        recovered = Int(clamping: native.recovered)
        queued = Int(clamping: native.queued)
        queuedBytes = Int(clamping: native.queuedBytes)
        sent = Int(clamping: native.sent)
        dropped = Int(clamping: native.dropped)
        rejected = Int(clamping: native.rejected)
        damaged = Int(clamping: native.damaged)
    }
}
