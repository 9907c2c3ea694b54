# What the package uses of the module that uniffi generates at build time from src/ffi/, where
# everything is documented. tests/test_typing.py compares this stub with the generated module.

import datetime
import enum

from typing_extensions import TypeAlias

class SecretText:
    def __init__(self, text: str) -> None: ...

class DeviceIdentity:
    def __init__(self, *, serial_number: str, cs_product_uuid: str) -> None: ...
    serial_number: str
    cs_product_uuid: str

class Proxy:
    class ENVIRONMENT(Proxy):
        def __init__(self) -> None: ...

    class DIRECT(Proxy):
        def __init__(self) -> None: ...

    class URL(Proxy):
        def __init__(self, url: SecretText) -> None: ...

class EventDurability(enum.Enum):
    BUFFERED = ...
    SYNCED = ...

class EventOverflow(enum.Enum):
    DROP_OLDEST = ...
    REFUSE = ...

class EventCounters:
    tracked: int
    recovered: int
    queued: int
    queued_bytes: int
    sent: int
    dropped: int
    rejected: int
    damaged: int

class Configuration:
    def __init__(
        self,
        *,
        product_id: str,
        product_version: str,
        license_key: SecretText,
        identity_keys: list[str],
        url: str | None = ...,
        language: str | None = ...,
        device: DeviceIdentity | None = ...,
        state_folder: str | None = ...,
        connect_deadline: datetime.timedelta | None = ...,
        handshake_deadline: datetime.timedelta | None = ...,
        call_deadline: datetime.timedelta | None = ...,
        reconnect_initial_delay: datetime.timedelta | None = ...,
        reconnect_max_delay: datetime.timedelta | None = ...,
        reconnect_stable_after: datetime.timedelta | None = ...,
        max_packet_bytes: int | None = ...,
        max_calls_in_flight: int | None = ...,
        max_bytes_in_flight: int | None = ...,
        max_packets_per_connection: int | None = ...,
        max_queued_events: int | None = ...,
        max_queued_event_bytes: int | None = ...,
        event_durability: EventDurability | None = ...,
        event_overflow: EventOverflow | None = ...,
        update_url: str | None = ...,
        release_keys: list[str] = ...,
        max_update_bytes: int | None = ...,
        extra_root_certificates: list[bytes] = ...,
        proxy: Proxy | None = ...,
        allow_plaintext: bool = ...,
        hkdf_salt: bytes | None = ...,
        hkdf_info: bytes | None = ...,
        inline_payloads: bool = ...,
    ) -> None: ...

class FailureKind(enum.Enum):
    INVALID_CONFIGURATION = ...
    CONNECTION = ...
    HANDSHAKE = ...
    INTEGRITY_BREACH = ...
    OUTDATED_VERSION = ...
    KEY_BOUND_TO_ANOTHER_DEVICE = ...
    LICENSE_NOT_FOUND = ...
    LICENSE_EXPIRED = ...
    LICENSE_SUSPENDED = ...
    BAD_REQUEST = ...
    UNKNOWN_METHOD = ...
    INVALID_SESSION = ...
    RATE_LIMITED = ...
    INTERNAL_ERROR = ...
    UNKNOWN_STATUS = ...
    CONNECTION_LOST = ...
    DEADLINE_EXCEEDED = ...
    CANCELLED = ...
    SHUT_DOWN = ...
    PAYLOAD = ...
    PACKET_TOO_LARGE = ...
    STATE = ...
    EVENT_QUEUE_FULL = ...
    UPDATE = ...
    FORKED = ...

class FailureDetails:
    kind: FailureKind
    code: str
    text: str
    status: str | None
    server_message: str | None
    field: str | None
    expected: str | None
    breach_reason: str | None
    connection_failure: str | None
    http_status: int | None
    retry_after_seconds: int | None
    maybe_executed: bool | None
    update_failure: str | None

class Failure(Exception):
    class Failed(Failure):
        def __init__(self, details: FailureDetails) -> None: ...
        details: FailureDetails

class Session:
    is_activated_now: bool
    activation_date: str
    license_plan: str
    expiry_date: str

class ConnectionState:
    class CONNECTING: ...
    class READY: ...

    class RECONNECTING:
        attempt: int
        next_delay: datetime.timedelta
        last_error: FailureDetails

    class REFUSED:
        details: FailureDetails

    class BREACHED:
        details: FailureDetails

    class SHUT_DOWN: ...  # noqa: N801 - as uniffi spells it

_AnyState: TypeAlias = (
    ConnectionState.CONNECTING
    | ConnectionState.READY
    | ConnectionState.RECONNECTING
    | ConnectionState.REFUSED
    | ConnectionState.BREACHED
    | ConnectionState.SHUT_DOWN
)

class Cancellation: ...

class CallOptions:
    def __init__(
        self,
        *,
        deadline: datetime.timedelta | None = ...,
        idempotent: bool = ...,
        cancellation: Cancellation | None = ...,
    ) -> None: ...

class StateStream:
    async def next_state(self, cancellation: Cancellation | None) -> _AnyState | None: ...

class Client:
    @classmethod
    async def connect(
        cls, configuration: Configuration, cancellation: Cancellation | None
    ) -> Client: ...
    def c_handle(self) -> int: ...
    def session(self) -> Session: ...
    async def track(self, name: str, data: bytes) -> None: ...
    async def flush_events(self, options: CallOptions) -> None: ...
    def event_counters(self) -> EventCounters: ...
    def states(self) -> StateStream: ...
    def reconnect_now(self) -> None: ...
    async def shutdown(self) -> None: ...

class Update:
    path: str
    version: str
    file_name: str
    size: int

class UpdateProgress:
    bytes: int
    total: int
    bytes_per_second: int

class UpdateDownload:
    @classmethod
    def start(cls, configuration: Configuration, target_folder: str) -> UpdateDownload: ...
    async def next_progress(self, cancellation: Cancellation | None) -> UpdateProgress | None: ...
    async def finish(self, cancellation: Cancellation | None) -> Update: ...
    def cancel(self) -> None: ...

async def verify_update(
    configuration: Configuration, file: str, manifest: bytes, signature: bytes
) -> Update: ...

class LogLevel(enum.Enum):
    TRACE = ...
    DEBUG = ...
    INFO = ...
    WARN = ...
    ERROR = ...

class LogRecord:
    level: LogLevel
    target: str
    text: str
    unix_milliseconds: int

class LogSink:
    def log(self, record: LogRecord) -> None: ...

def set_log_sink(level: LogLevel, sink: LogSink) -> None: ...
def set_log_level(level: LogLevel) -> None: ...
def detect_device_identity(state_folder: str | None) -> DeviceIdentity: ...
def halt() -> None: ...
def library_version() -> str: ...
