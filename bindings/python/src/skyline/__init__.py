"""Client of the Skyline licensing protocol.

`Client` is for asyncio, `BlockingClient` for everything else; both take the same settings. Every
failure is a `SkylineError`. The library logs to ``logging.getLogger("skyline")``.

::

    import skyline

    with skyline.BlockingClient(
        product_id="telepower",
        product_version="7.0.3",
        license_key=license_key,
        identity_keys=identity_key,
    ) as client:
        print(client.session.expiry_date, client.limits())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyline._blocking import BlockingClient, BlockingStates
from skyline._client import Client
from skyline._config import Certificate, IdentityKey, Proxy
from skyline._convert import Seconds
from skyline._device import DeviceIdentity
from skyline._errors import (
    BadRequest,
    ClientShutDown,
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    EventQueueFull,
    ForkedError,
    HandshakeFailed,
    IntegrityBreach,
    InternalError,
    InvalidConfiguration,
    InvalidSession,
    KeyBoundToAnotherDevice,
    LicenseExpired,
    LicenseNotFound,
    LicenseSuspended,
    OperationCancelled,
    OutdatedVersion,
    PacketTooLarge,
    PayloadError,
    RateLimited,
    SkylineError,
    StateFolderError,
    StatusError,
    UnknownMethod,
    UnknownStatus,
    UpdateError,
)
from skyline._events import EventCounters, EventDurability, EventOverflow
from skyline._logging import TRACE
from skyline._native import library_version
from skyline._session import Session
from skyline._states import (
    Breached,
    Connecting,
    ConnectionState,
    Ready,
    Reconnecting,
    Refused,
    ShutDown,
    States,
)

if TYPE_CHECKING:
    from skyline._update import Update, UpdateProgress

__version__ = library_version()

__all__ = [
    "TRACE",
    "BadRequest",
    "BlockingClient",
    "BlockingStates",
    "Breached",
    "Certificate",
    "Client",
    "ClientShutDown",
    "Connecting",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectionState",
    "DeadlineExceeded",
    "DeviceIdentity",
    "EventCounters",
    "EventDurability",
    "EventOverflow",
    "EventQueueFull",
    "ForkedError",
    "HandshakeFailed",
    "IdentityKey",
    "IntegrityBreach",
    "InternalError",
    "InvalidConfiguration",
    "InvalidSession",
    "KeyBoundToAnotherDevice",
    "LicenseExpired",
    "LicenseNotFound",
    "LicenseSuspended",
    "OperationCancelled",
    "OutdatedVersion",
    "PacketTooLarge",
    "PayloadError",
    "Proxy",
    "RateLimited",
    "Ready",
    "Reconnecting",
    "Refused",
    "Seconds",
    "Session",
    "ShutDown",
    "SkylineError",
    "StateFolderError",
    "States",
    "StatusError",
    "UnknownMethod",
    "UnknownStatus",
    "Update",
    "UpdateError",
    "UpdateProgress",
    "__version__",
]


# A type checker would take it for any name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Few programs need these, and none at its start.
        if name in {"Update", "UpdateProgress"}:
            from skyline import _update

            return getattr(_update, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
