"""The asyncio client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skyline import _native, _process, _session
from skyline._config import Configured
from skyline._convert import Seconds, duration, wrong_type
from skyline._errors import SkylineError
from skyline._payload import pack, unpack
from skyline._states import ConnectionState, StateReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from typing_extensions import Self

    from skyline._session import Session


class Client(Configured):
    """A session with the licensing server, for asyncio.

    ::

        async with skyline.Client(
            product_id="telepower",
            product_version="7.0.3",
            license_key=license_key,
            identity_keys=identity_key,
        ) as client:
            print(client.session.expiry_date)
            print(await client.limits())

    Any number of calls may be in flight, from any tasks. Cancelling a task cancels its call and
    leaves the client usable. A client that is just forgotten closes its connection. A lost
    connection is not made again: make another client then.
    """

    _client: _native.Client | None = None

    async def connect(self) -> Self:
        """Connects, has the server prove its identity, and logs in; ``async with`` does it too.

        A failed attempt may be repeated.

        Returns:
            This client.

        Raises:
            InvalidConfiguration: a setting is malformed.
            ConnectionFailed: no connection could be made.
            HandshakeFailed: the peer is no Skyline server.
            IntegrityBreach: the server could not prove its identity, or reported a breach.
            StatusError: the server refused the login, for example as `OutdatedVersion`,
                `KeyBoundToAnotherDevice` or `LicenseNotFound`.
            DeadlineExceeded: the handshake and the login took too long.
            StateFolderError: the state folder could not be used.
            ForkedError: the library was started in a parent of this process.
            RuntimeError: this client has been connected already.
        """
        if self._client is not None:
            raise RuntimeError("this client has been connected already: make a new one")
        _process.start()
        self._client = await _process.drive(_native.Client.connect, self._configuration, None)
        return self

    async def shutdown(self) -> None:
        """Closes the connection in order; calls in flight fail with `ClientShutDown`.

        Never fails, and a second call changes nothing.
        """
        if self._client is None:
            return
        try:
            await _process.drive(self._client.shutdown)
        except SkylineError:
            # In a forked child or at the interpreter's end there is nothing left to close.
            return

    async def __aenter__(self) -> Self:
        """Connects."""
        return await self.connect()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shuts down."""
        await self.shutdown()

    @property
    def session(self) -> Session:
        """What the server said at the login.

        Raises:
            RuntimeError: the client is not connected yet.
        """
        return _session.from_native(_process.call(self._connected().session))

    async def limits(self, *, deadline: Seconds | None = None) -> dict[str, int]:
        """The limits of the license, for example ``engine.limits.sendMessage.dailyLimit``: 150.

        Args:
            deadline: How long it may take, in seconds. Default: the client's ``call_deadline``.

        Raises:
            SkylineError: as `call`.
        """
        return await _process.drive(self._connected().get_limits, _options(deadline))

    async def send_event(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        deadline: Seconds | None = None,
    ) -> None:
        """Reports an event.

        Args:
            name: The event's name, for example ``"app.navigation"``.
            data: What belongs to it; nothing is an empty mapping.
            deadline: How long it may take, in seconds. Default: the client's ``call_deadline``.

        Raises:
            SkylineError: as `call`.
        """
        if data is not None and not isinstance(data, Mapping):
            raise wrong_type("data", "a mapping", data)
        packed = pack(dict(data) if data is not None else {})
        await _process.drive(self._connected().send_event, name, packed, _options(deadline))

    async def call(
        self, method: str, payload: Any = None, *, deadline: Seconds | None = None
    ) -> Any:
        """Calls any method of the server.

        Args:
            method: The method's name.
            payload: What `msgpack` can write: ``None`` (no payload), ``bool``, ``int`` of 64
                bits, ``float``, ``str``, ``bytes``, ``list``, ``tuple``, ``dict``,
                `msgpack.ExtType`, `msgpack.Timestamp`.
            deadline: How long the call may take, in seconds, waiting for its turn included.
                Default: the client's ``call_deadline``.

        Returns:
            The answer's payload, ``None`` when it has none.

        Raises:
            StatusError: the server refused, for example as `UnknownMethod` or `RateLimited`.
            ConnectionLost: the connection ended before the answer came.
            DeadlineExceeded: the deadline passed first.
            PayloadError: the payload has no form in MessagePack, or the answer none in Python.
            PacketTooLarge: the payload is larger than ``max_packet_bytes`` allows.
            IntegrityBreach: the session's integrity was violated; the client is finished.
            ClientShutDown: the client was shut down.
            ForkedError: the client was connected in a parent of this process.
            RuntimeError: the client is not connected yet.
        """
        packed = pack(payload) if payload is not None else None
        answer = await self.call_raw(method, packed, deadline=deadline)
        return unpack(answer) if answer is not None else None

    async def call_raw(
        self, method: str, payload: bytes | None = None, *, deadline: Seconds | None = None
    ) -> bytes | None:
        """Calls any method of the server with payloads that are MessagePack already.

        Args:
            method: The method's name.
            payload: The MessagePack of one value, or ``None`` for no payload.
            deadline: How long the call may take, in seconds. Default: the client's
                ``call_deadline``.

        Returns:
            The MessagePack of the answer's payload, ``None`` when it has none.

        Raises:
            SkylineError: as `call`.
        """
        return await _process.drive(self._connected().call, method, payload, _options(deadline))

    def states(self) -> AsyncIterator[ConnectionState]:
        """The states of the connection: the present one, then each change, until it is closed.

        A reader that is slow may miss states in between, never the last one. Reading does not
        keep the client alive.

        Raises:
            RuntimeError: the client is not connected yet.
        """
        return self._state_reader().rest()

    def _state_reader(self) -> StateReader:
        return StateReader(_process.call(self._connected().states))

    def _connected(self) -> _native.Client:
        if self._client is None:
            raise RuntimeError("the client is not connected: use `with`, or call connect() first")
        return self._client


def _options(deadline: Seconds | None) -> _native.CallOptions:
    return _native.CallOptions(deadline=duration("deadline", deadline))
