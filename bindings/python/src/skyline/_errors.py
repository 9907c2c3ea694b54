"""The exceptions: a class for each kind of failure, all below `SkylineError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyline._native import FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from skyline._native import FailureDetails


class SkylineError(Exception):
    """What every failure of this package is.

    ``str(error)`` is a sentence for a person: the server's own where it gave one, else what
    happened and what to do. Neither it nor any attribute holds a license key, a token or a key.
    """

    code: str = "SKYLINE"
    """The stable name of the kind, the same in every language, for example ``"RATE_LIMITED"``."""

    status: str | None = None
    """The status string of the server's answer, when the failure is one."""

    server_message: str | None = None
    """The server's own sentence, when it gave one."""

    field: str | None = None
    """The setting that is invalid, by the name of its keyword argument."""

    expected: str | None = None
    """What was expected in that setting."""

    breach_reason: str | None = None
    """``"server-signature"``, ``"packet-forged"``, ``"sequence"``, ``"protocol"`` or
    ``"reported-by-server"``, for an `IntegrityBreach`."""

    connection_failure: str | None = None
    """``"refused"``, ``"dns"``, ``"tls"``, ``"proxy"``, ``"http"``, ``"timeout"``,
    ``"unreachable"`` or ``"other"``, for a `ConnectionFailed`."""

    http_status: int | None = None
    """The HTTP status with which the server or the proxy declined."""

    retry_after: float | None = None
    """How long the server asks to wait, in seconds."""

    update_failure: str | None = None
    """What is wrong with the update, for example ``"signature-wrong"``, for an `UpdateError`."""

    maybe_executed: bool | None = None
    """Whether the request may have been executed; ``None`` where the question does not arise."""


class InvalidConfiguration(SkylineError, ValueError):
    """A setting is missing or malformed: see `field` and `expected`. Nothing was sent."""

    code = "INVALID_CONFIGURATION"


class ConnectionFailed(SkylineError, ConnectionError):
    """No connection could be made: see `connection_failure`."""

    code = "CONNECTION"


class HandshakeFailed(SkylineError):
    """The peer was reached but is no Skyline server, or refused."""

    code = "HANDSHAKE"


class IntegrityBreach(SkylineError):
    """The integrity of the session was violated: see `breach_reason`.

    The client is finished; it neither sends nor connects again (docs/protocol.md, section 6).
    """

    code = "INTEGRITY_BREACH"


class StatusError(SkylineError):
    """The server answered with a `status` other than ``OK``."""


class OutdatedVersion(StatusError):
    """The application must update itself."""

    code = "OUTDATED_VERSION"


class KeyBoundToAnotherDevice(StatusError):
    """The license key belongs to another device."""

    code = "KEY_BOUND_TO_ANOTHER_DEVICE"


class LicenseNotFound(StatusError):
    """The server does not know the license key."""

    code = "LICENSE_NOT_FOUND"


class LicenseExpired(StatusError):
    """The license has run out."""

    code = "LICENSE_EXPIRED"


class LicenseSuspended(StatusError):
    """The license is suspended."""

    code = "LICENSE_SUSPENDED"


class BadRequest(StatusError):
    """The server found the request malformed."""

    code = "BAD_REQUEST"


class UnknownMethod(StatusError):
    """The server has no such method."""

    code = "UNKNOWN_METHOD"


class InvalidSession(StatusError):
    """The server did not accept the session any more: try again, over the next connection."""

    code = "INVALID_SESSION"


class RateLimited(StatusError):
    """Too many requests: wait `retry_after` seconds if it says so, then try again."""

    code = "RATE_LIMITED"


class InternalError(StatusError):
    """The server failed; the request may have been executed."""

    code = "INTERNAL_ERROR"


class UnknownStatus(StatusError):
    """A status that this version does not know, kept in `status` as it came."""

    code = "UNKNOWN_STATUS"


class ConnectionLost(SkylineError, ConnectionError):
    """The connection ended before the answer came: see `maybe_executed`.

    The client reconnects by itself. A call that was marked idempotent does not fail so.
    """

    code = "CONNECTION_LOST"


class DeadlineExceeded(SkylineError, TimeoutError):
    """The deadline passed first: see `maybe_executed`."""

    code = "DEADLINE_EXCEEDED"


class OperationCancelled(SkylineError):
    """The operation was cancelled inside the library.

    Cancelling an asyncio task raises `asyncio.CancelledError` as everywhere, not this.
    """

    code = "CANCELLED"


class ClientShutDown(SkylineError):
    """The client was shut down, or the interpreter is ending: make a new client."""

    code = "SHUT_DOWN"


class PayloadError(SkylineError, ValueError):
    """A payload could not be written as MessagePack, or an answer not be read from it."""

    code = "PAYLOAD"


class PacketTooLarge(SkylineError, ValueError):
    """The request exceeds the packet size (``max_packet_bytes``); nothing was sent."""

    code = "PACKET_TOO_LARGE"


class StateFolderError(SkylineError):
    """The state folder could not be used."""

    code = "STATE"


class EventQueueFull(SkylineError):
    """The queue has no room for the event, which was not queued."""

    code = "EVENT_QUEUE_FULL"


class UpdateError(SkylineError):
    """An update was refused, or is not to be had: see `update_failure`.

    `code` tells it too: ``"UPDATE_SIGNATURE_WRONG"``, for example.
    """

    code = "UPDATE"


class ForkedError(SkylineError):
    """The process was forked after Skyline had started; threads do not survive a fork."""

    code = "FORKED"


# In the order of the kinds' numbers.
_CLASSES: dict[FailureKind, type[SkylineError]] = {
    FailureKind.INVALID_CONFIGURATION: InvalidConfiguration,
    FailureKind.CONNECTION: ConnectionFailed,
    FailureKind.HANDSHAKE: HandshakeFailed,
    FailureKind.INTEGRITY_BREACH: IntegrityBreach,
    FailureKind.OUTDATED_VERSION: OutdatedVersion,
    FailureKind.KEY_BOUND_TO_ANOTHER_DEVICE: KeyBoundToAnotherDevice,
    FailureKind.LICENSE_NOT_FOUND: LicenseNotFound,
    FailureKind.LICENSE_EXPIRED: LicenseExpired,
    FailureKind.LICENSE_SUSPENDED: LicenseSuspended,
    FailureKind.BAD_REQUEST: BadRequest,
    FailureKind.UNKNOWN_METHOD: UnknownMethod,
    FailureKind.INVALID_SESSION: InvalidSession,
    FailureKind.RATE_LIMITED: RateLimited,
    FailureKind.INTERNAL_ERROR: InternalError,
    FailureKind.UNKNOWN_STATUS: UnknownStatus,
    FailureKind.CONNECTION_LOST: ConnectionLost,
    FailureKind.DEADLINE_EXCEEDED: DeadlineExceeded,
    FailureKind.CANCELLED: OperationCancelled,
    FailureKind.SHUT_DOWN: ClientShutDown,
    FailureKind.PAYLOAD: PayloadError,
    FailureKind.PACKET_TOO_LARGE: PacketTooLarge,
    FailureKind.EVENT_QUEUE_FULL: EventQueueFull,
    FailureKind.STATE: StateFolderError,
    FailureKind.UPDATE: UpdateError,
    FailureKind.FORKED: ForkedError,
}


# The C interface numbers them from 1 on.
_KINDS = (None, *_CLASSES)


def from_details(details: FailureDetails) -> SkylineError:
    """The exception that a failure of the generated module stands for."""
    return _from_fields(details.kind, vars(details))


def from_fields(fields: Mapping[str, Any]) -> SkylineError:
    """The exception that a failure of the C interface stands for: its kind is a number."""
    kind = _KINDS[fields["kind"]]
    assert kind is not None
    return _from_fields(kind, fields)


def of_kind(kind: int) -> SkylineError:
    """The exception for a failure of which only the kind is known."""
    return from_fields({**_NO_FIELDS, "kind": kind, "text": "the library did not take the call"})


def _from_fields(kind: FailureKind, fields: Mapping[str, Any]) -> SkylineError:
    error = _CLASSES[kind](fields["text"])
    error.code = fields["code"] or error.code
    for name in _SAME_NAMES:
        setattr(error, name, fields[name])
    if fields["retry_after_seconds"] is not None:
        error.retry_after = float(fields["retry_after_seconds"])
    # Where it is raised is nothing that the application should see.
    error.__suppress_context__ = True
    return error


_SAME_NAMES = (
    *("status", "server_message", "field", "expected", "breach_reason", "connection_failure"),
    *("http_status", "update_failure", "maybe_executed"),
)
_NO_FIELDS: dict[str, None] = dict.fromkeys((*_SAME_NAMES, "code", "retry_after_seconds"))


def invalid(field: str, expected: str) -> InvalidConfiguration:
    """The exception for a setting that this package itself finds wrong, worded as the library's."""
    error = InvalidConfiguration(f"invalid configuration: {field}: {expected}")
    error.field = field
    error.expected = expected
    return error
