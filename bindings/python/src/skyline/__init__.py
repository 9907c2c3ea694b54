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

from skyline._blocking import BlockingClient
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
)
from skyline._logging import TRACE
from skyline._native import library_version
from skyline._session import Session
from skyline._states import Closed, Connected, ConnectionState, Disconnected

__version__ = library_version()

__all__ = [
    "TRACE",
    "BadRequest",
    "BlockingClient",
    "Certificate",
    "Client",
    "ClientShutDown",
    "Closed",
    "Connected",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectionState",
    "DeadlineExceeded",
    "DeviceIdentity",
    "Disconnected",
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
    "Seconds",
    "Session",
    "SkylineError",
    "StateFolderError",
    "StatusError",
    "UnknownMethod",
    "UnknownStatus",
    "__version__",
]
