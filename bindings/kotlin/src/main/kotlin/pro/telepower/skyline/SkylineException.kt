package pro.telepower.skyline

import pro.telepower.skyline.internal.FailureDetails
import pro.telepower.skyline.internal.FailureKind

/**
 * Why an operation failed: one class for each thing that an application would do differently.
 *
 * [message] is a sentence for a person: the server's own where it gave one (in the configured language),
 * else what happened and what to do. It never holds a license key, a token or another secret.
 *
 * Cancelling is no failure: a cancelled coroutine ends with `CancellationException`, an interrupted
 * blocking call with `InterruptedException`.
 */
public sealed class SkylineException(
    private val details: FailureDetails,
    cause: Throwable? = null,
) : RuntimeException(details.text, cause) {
    /** The sentence for a person; see [SkylineException]. */
    override val message: String get() = details.text

    /** The stable name of the kind, the same in every language's package: `LICENSE_EXPIRED`. */
    public val code: String get() = details.code

    /** The status string of the server's answer, or null when the failure is no answer of the server. */
    public val status: String? get() = details.status

    /** The server's own sentence, or null when it gave none. */
    public val serverMessage: String? get() = details.serverMessage

    /** A setting is missing or malformed; nothing was sent. */
    public class InvalidConfiguration internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** The name of the setting, as in `SkylineConfiguration` but with underscores: `license_key`. */
        public val field: String = details.field.orEmpty()

        /** What was expected there. */
        public val expected: String = details.expected.orEmpty()
    }

    /** No connection could be made: check the network and the settings, try again. */
    public class Connection internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** What stood in the way. */
        public val failure: ConnectionFailure = ConnectionFailure.of(details.connectionFailure)

        /** The HTTP status with which the server or the proxy declined, or null when there was none. */
        public val httpStatus: Int? = details.httpStatus?.toInt()
    }

    /** The peer was reached but did not complete the handshake (docs/protocol.md, section 2). */
    public class Handshake internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /**
     * The integrity of the session was violated (docs/protocol.md, section 6). The client is finished:
     * each later call fails like this.
     */
    public class IntegrityBreach internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** What was violated. */
        public val reason: BreachReason = BreachReason.of(details.breachReason)
    }

    /** The product version is too old for the server: the application must update itself; see [downloadUpdate]. */
    public class OutdatedVersion internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The license key belongs to another device. */
    public class KeyBoundToAnotherDevice internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The server does not know the license key. */
    public class LicenseNotFound internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The license has run out. */
    public class LicenseExpired internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The license is suspended. */
    public class LicenseSuspended internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The server found the request malformed. */
    public class BadRequest internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The server has no such method. */
    public class UnknownMethod internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The server does not accept the session any more: try again, over the next connection. */
    public class InvalidSession internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** Too many requests: wait, then try again. The request was not executed. */
    public class RateLimited internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** How long the server asks to wait, in seconds, or null when it did not say. */
        public val retryAfterSeconds: Long? = details.retryAfterSeconds?.toLong()
    }

    /** The server failed; the request may have been executed. */
    public class InternalError internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The server answered with a status that this version does not know: see [status]. */
    public class UnknownStatus internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /**
     * The connection ended before the answer came. The client reconnects by itself; whether to make the call
     * again is the application's choice, see [maybeExecuted].
     */
    public class ConnectionLost internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** Whether the request may have reached the server and been executed. */
        public val maybeExecuted: Boolean = details.maybeExecuted ?: true
    }

    /** The deadline passed first, waiting for a connection included. */
    public class DeadlineExceeded internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** Whether the request may have reached the server and been executed. */
        public val maybeExecuted: Boolean = details.maybeExecuted ?: true
    }

    /** The client was closed: connect a new one. */
    public class ShutDown internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** Whether the request may have reached the server and been executed. */
        public val maybeExecuted: Boolean = details.maybeExecuted ?: true
    }

    /** A payload could not be written as JSON or MessagePack, or read as the type that was asked for. */
    public class Payload internal constructor(
        details: FailureDetails,
        cause: Throwable? = null,
    ) : SkylineException(details, cause)

    /** The request is larger than the configured packet size; nothing was sent. */
    public class PacketTooLarge internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** The event queue has no room for another event; it was not queued. */
    public class EventQueueFull internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)

    /** An update was refused, or is not to be had; nothing has the file's final name (docs/protocol.md, section 8). */
    public class Update internal constructor(
        details: FailureDetails,
    ) : SkylineException(details) {
        /** What is wrong with the update. */
        public val failure: UpdateFailure = UpdateFailure.of(details.updateFailure)
    }

    /** The state folder could not be used, or the system gave the library no thread. */
    public class State internal constructor(
        details: FailureDetails,
    ) : SkylineException(details)
}

/**
 * What was violated in an integrity breach (docs/protocol.md, section 6).
 *
 * @property code the stable name, the same in every language: `server-signature`.
 */
public enum class BreachReason(
    public val code: String,
) {
    /** No pinned identity key made the server's signature: somebody stands in between, or the key is wrong. */
    SERVER_SIGNATURE("server-signature"),

    /** A packet did not decrypt. */
    PACKET_FORGED("packet-forged"),

    /** An answer came to no request in flight. */
    SEQUENCE("sequence"),

    /** The server sent what the protocol does not allow. */
    PROTOCOL("protocol"),

    /** The server answered with the status `INTEGRITY_BREACH`. */
    REPORTED_BY_SERVER("reported-by-server"),
    ;

    internal companion object {
        fun of(code: String?): BreachReason = entries.find { it.code == code } ?: PROTOCOL
    }
}

/**
 * What stood in the way of a connection.
 *
 * @property code the stable name, the same in every language: `refused`.
 */
public enum class ConnectionFailure(
    public val code: String,
) {
    /** Nobody listens at the address. */
    REFUSED("refused"),

    /** The host name could not be resolved. */
    DNS("dns"),

    /** TLS failed: an untrusted or mismatched certificate, mostly. */
    TLS("tls"),

    /** The proxy refused or could not be used. */
    PROXY("proxy"),

    /** The server answered, but not with a WebSocket: see the HTTP status. */
    HTTP("http"),

    /** Nothing answered in time. */
    TIMEOUT("timeout"),

    /** There is no route to the host or the network. */
    UNREACHABLE("unreachable"),

    /** The connection broke while it was made, or something else. */
    OTHER("other"),
    ;

    internal companion object {
        fun of(code: String?): ConnectionFailure = entries.find { it.code == code } ?: OTHER
    }
}

internal fun FailureDetails.toException(): SkylineException =
    when (kind) {
        FailureKind.INVALID_CONFIGURATION -> SkylineException.InvalidConfiguration(this)

        FailureKind.CONNECTION -> SkylineException.Connection(this)

        FailureKind.HANDSHAKE -> SkylineException.Handshake(this)

        FailureKind.INTEGRITY_BREACH -> SkylineException.IntegrityBreach(this)

        FailureKind.OUTDATED_VERSION -> SkylineException.OutdatedVersion(this)

        FailureKind.KEY_BOUND_TO_ANOTHER_DEVICE -> SkylineException.KeyBoundToAnotherDevice(this)

        FailureKind.LICENSE_NOT_FOUND -> SkylineException.LicenseNotFound(this)

        FailureKind.LICENSE_EXPIRED -> SkylineException.LicenseExpired(this)

        FailureKind.LICENSE_SUSPENDED -> SkylineException.LicenseSuspended(this)

        FailureKind.BAD_REQUEST -> SkylineException.BadRequest(this)

        FailureKind.UNKNOWN_METHOD -> SkylineException.UnknownMethod(this)

        FailureKind.INVALID_SESSION -> SkylineException.InvalidSession(this)

        FailureKind.RATE_LIMITED -> SkylineException.RateLimited(this)

        FailureKind.INTERNAL_ERROR -> SkylineException.InternalError(this)

        FailureKind.UNKNOWN_STATUS -> SkylineException.UnknownStatus(this)

        FailureKind.CONNECTION_LOST -> SkylineException.ConnectionLost(this)

        FailureKind.DEADLINE_EXCEEDED -> SkylineException.DeadlineExceeded(this)

        FailureKind.SHUT_DOWN -> SkylineException.ShutDown(this)

        FailureKind.PAYLOAD -> SkylineException.Payload(this)

        FailureKind.PACKET_TOO_LARGE -> SkylineException.PacketTooLarge(this)

        FailureKind.EVENT_QUEUE_FULL -> SkylineException.EventQueueFull(this)

        FailureKind.UPDATE -> SkylineException.Update(this)

        FailureKind.STATE -> SkylineException.State(this)

        // The facade cancels by dropping the call, never by handle, and a virtual machine does not fork.
        FailureKind.CANCELLED, FailureKind.FORKED -> throw IllegalStateException(text)
    }

/** A failure that the facade found itself: [text] says what could not be converted. */
internal fun payloadException(
    text: String,
    cause: Throwable? = null,
): SkylineException =
    SkylineException.Payload(
        FailureDetails(
            kind = FailureKind.PAYLOAD,
            code = "PAYLOAD",
            text = text,
            status = null,
            serverMessage = null,
            `field` = null,
            expected = null,
            breachReason = null,
            connectionFailure = null,
            httpStatus = null,
            retryAfterSeconds = null,
            maybeExecuted = null,
            updateFailure = null,
        ),
        cause,
    )
