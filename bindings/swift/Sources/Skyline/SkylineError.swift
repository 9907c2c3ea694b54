import Foundation
internal import SkylineNative

/// Why something failed.
///
/// Branch on ``code``; show ``message`` (which is also the `localizedDescription`) to a person. No
/// text of an error holds a license key, a token or a key.
///
/// ```swift
/// do {
///     let client = try await Client.connect(configuration)
/// } catch let error as SkylineError where error.code == .outdatedVersion {
///     startUpdate()
/// } catch {
///     show(error.localizedDescription)
/// }
/// ```
public struct SkylineError: Error, Sendable, Hashable {
    /// The kind of failure.
    public let code: Code
    /// A sentence for a person: the server's own where it gave one, in the language of
    /// ``Configuration/language``; else what happened and what to do.
    public let message: String
    /// The status string of the server's answer, where the failure is one.
    public let status: String?
    /// The server's own sentence, where it gave one.
    public let serverMessage: String?
    /// The property of ``Configuration`` that is invalid, with ``Code/invalidConfiguration``.
    public let field: String?
    /// What was expected in that property.
    public let expected: String?
    /// What was violated, with ``Code/integrityBreach``.
    public let breachReason: BreachReason?
    /// What stood in the way, with ``Code/connection``.
    public let connectionFailure: ConnectionFailure?
    /// The HTTP status with which the server or the proxy declined, with ``Code/connection``.
    public let httpStatus: Int?
    /// How long the server asks to wait, with ``Code/rateLimited``.
    public let retryAfter: Duration?
    /// Whether the server may have executed the request; `nil` where the question does not arise.
    public let maybeExecuted: Bool?
    /// Why an update was refused or could not be had; `nil` with every other failure. The code is
    /// then one of its own for each cause, `UPDATE_` and its name.
    public let updateFailure: UpdateFailure?

    init(_ details: some FailureFields) {
        code = Code(rawValue: details.code)
        message = details.text
        status = details.status
        serverMessage = details.serverMessage
        field = details.field.map(Configuration.propertyName(ofSetting:))
        expected = details.expected
        breachReason = details.breachReason.map(BreachReason.init(rawValue:))
        connectionFailure = details.connectionFailure.map(ConnectionFailure.init(rawValue:))
        httpStatus = details.httpStatus.map(Int.init)
        // Clamped: a server may send any number.
        retryAfter = details.retryAfterSeconds.map { .seconds(Int64(clamping: $0)) }
        maybeExecuted = details.maybeExecuted
        updateFailure = details.updateFailure.map(UpdateFailure.init(rawValue:))
    }

    /// A failure of this package's own code.
    init(code: Code, message: String) {
        self.code = code
        self.message = message
        status = nil
        serverMessage = nil
        field = nil
        expected = nil
        breachReason = nil
        connectionFailure = nil
        httpStatus = nil
        retryAfter = nil
        maybeExecuted = nil
        updateFailure = nil
    }
}

/// What the core says about a failure, by whichever of its interfaces.
protocol FailureFields {
    var code: String { get }
    var text: String { get }
    var status: String? { get }
    var serverMessage: String? { get }
    var field: String? { get }
    var expected: String? { get }
    var breachReason: String? { get }
    var connectionFailure: String? { get }
    var httpStatus: UInt16? { get }
    var retryAfterSeconds: UInt64? { get }
    var maybeExecuted: Bool? { get }
    var updateFailure: String? { get }
}

extension SkylineNative.FailureDetails: FailureFields {}

extension SkylineError: LocalizedError, CustomStringConvertible {
    /// ``message``, so that `localizedDescription` shows it.
    public var errorDescription: String? { message }

    /// The code and the message, for logs.
    public var description: String { "\(code): \(message)" }
}

extension SkylineError {
    /// The kind of a failure: one for each thing that an application would do differently.
    ///
    /// The raw value is the stable code that Skyline uses in all its languages. Later versions may
    /// know more codes, so a `switch` needs a `default`.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The stable code, for example `OUTDATED_VERSION`.
        public let rawValue: String

        /// A code by its raw value.
        ///
        /// - Parameter rawValue: The stable code.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The raw value.
        public var description: String { rawValue }

        /// A setting is missing or malformed; nothing was sent. See ``SkylineError/field``.
        public static let invalidConfiguration = Code(rawValue: "INVALID_CONFIGURATION")
        /// No connection could be made. See ``SkylineError/connectionFailure``.
        public static let connection = Code(rawValue: "CONNECTION")
        /// The peer was reached but did not complete the handshake.
        public static let handshake = Code(rawValue: "HANDSHAKE")
        /// The integrity of the session was violated; the client is finished. See
        /// ``SkylineError/breachReason``.
        public static let integrityBreach = Code(rawValue: "INTEGRITY_BREACH")
        /// The server no longer serves this version: the application must update itself.
        public static let outdatedVersion = Code(rawValue: "OUTDATED_VERSION")
        /// The license key belongs to another device.
        public static let keyBoundToAnotherDevice = Code(rawValue: "KEY_BOUND_TO_ANOTHER_DEVICE")
        /// The server does not know the license key.
        public static let licenseNotFound = Code(rawValue: "LICENSE_NOT_FOUND")
        /// The license has run out.
        public static let licenseExpired = Code(rawValue: "LICENSE_EXPIRED")
        /// The license is suspended.
        public static let licenseSuspended = Code(rawValue: "LICENSE_SUSPENDED")
        /// The server found the request malformed.
        public static let badRequest = Code(rawValue: "BAD_REQUEST")
        /// The server has no such method.
        public static let unknownMethod = Code(rawValue: "UNKNOWN_METHOD")
        /// The server does not accept the session any more: try again, over the next connection.
        public static let invalidSession = Code(rawValue: "INVALID_SESSION")
        /// Too many requests. See ``SkylineError/retryAfter``.
        public static let rateLimited = Code(rawValue: "RATE_LIMITED")
        /// The server failed; it may have executed the request.
        public static let internalError = Code(rawValue: "INTERNAL_ERROR")
        /// The server answered with a status that this version does not know. See
        /// ``SkylineError/status``.
        public static let unknownStatus = Code(rawValue: "UNKNOWN_STATUS")
        /// The connection ended before the answer came; the client reconnects by itself. See
        /// ``SkylineError/maybeExecuted``.
        public static let connectionLost = Code(rawValue: "CONNECTION_LOST")
        /// The deadline passed first. See ``SkylineError/maybeExecuted``.
        public static let deadlineExceeded = Code(rawValue: "DEADLINE_EXCEEDED")
        /// The client was shut down.
        public static let shutDown = Code(rawValue: "SHUT_DOWN")
        /// A payload or an answer does not fit its type.
        public static let payload = Code(rawValue: "PAYLOAD")
        /// The request needs a packet above ``Configuration/maxPacketBytes``; nothing was sent.
        public static let packetTooLarge = Code(rawValue: "PACKET_TOO_LARGE")
        /// The queue of tracked events has no room for another one; it was not queued.
        public static let eventQueueFull = Code(rawValue: "EVENT_QUEUE_FULL")
        /// The state folder could not be used.
        public static let state = Code(rawValue: "STATE")
        /// The process was forked after its first connect; threads do not survive a fork.
        public static let forked = Code(rawValue: "FORKED")
    }

    /// What was violated in an integrity breach.
    public struct BreachReason: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The stable name, for example `server-signature`.
        public let rawValue: String

        /// A reason by its raw value.
        ///
        /// - Parameter rawValue: The stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The raw value.
        public var description: String { rawValue }

        /// None of the pinned identity keys is the server's: somebody stands in between, or the
        /// wrong key is pinned.
        public static let serverSignature = BreachReason(rawValue: "server-signature")
        /// A packet did not decrypt.
        public static let packetForged = BreachReason(rawValue: "packet-forged")
        /// An answer to no request in flight.
        public static let sequence = BreachReason(rawValue: "sequence")
        /// A message that the protocol does not allow.
        public static let protocolViolation = BreachReason(rawValue: "protocol")
        /// The server answered with `INTEGRITY_BREACH`.
        public static let reportedByServer = BreachReason(rawValue: "reported-by-server")
    }

    /// What stood in the way of a connection.
    public struct ConnectionFailure: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        /// The stable name, for example `refused`.
        public let rawValue: String

        /// A cause by its raw value.
        ///
        /// - Parameter rawValue: The stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The raw value.
        public var description: String { rawValue }

        /// Nobody listens at the address.
        public static let refused = ConnectionFailure(rawValue: "refused")
        /// The host name could not be resolved.
        public static let dns = ConnectionFailure(rawValue: "dns")
        /// TLS failed: an untrusted or mismatched certificate, mostly.
        public static let tls = ConnectionFailure(rawValue: "tls")
        /// The proxy refused or could not be used.
        public static let proxy = ConnectionFailure(rawValue: "proxy")
        /// The server answered, but not with a WebSocket. See ``SkylineError/httpStatus``.
        public static let http = ConnectionFailure(rawValue: "http")
        /// Nothing answered in time.
        public static let timeout = ConnectionFailure(rawValue: "timeout")
        /// There is no route to the host or the network.
        public static let unreachable = ConnectionFailure(rawValue: "unreachable")
        /// The connection broke while it was made, or something else.
        public static let other = ConnectionFailure(rawValue: "other")
    }
}
