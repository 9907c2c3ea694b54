"""The asyncio client."""

from __future__ import annotations

import weakref
from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any

from skyline import _calls, _methods, _native, _plane, _process, _session
from skyline._config import Configured
from skyline._convert import Seconds, duration
from skyline._errors import SkylineError
from skyline._events import EventCounters, packed_data
from skyline._many import Batch
from skyline._payload import pack
from skyline._queue import unpacked
from skyline._states import States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from skyline._session import Session
    from skyline._update import Folder, Update, UpdateProgress


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
    leaves the client usable. A client that is just forgotten closes its connection.

    A connected client keeps its session: when the connection is lost, it connects and logs in
    again by itself, until it is shut down, the server refuses the login for good, or the
    session's integrity is violated. `states` tells how it is doing.
    """

    _client: _native.Client | None = None
    # The same client, as calls take it.
    _plane_client: _plane.Client
    # The queue of the event loop that called last.
    _queue: Callable[[], _calls.LoopQueue | None] = staticmethod(_calls.no_queue)

    async def connect(self) -> Self:
        """Connects, has the server prove its identity, and logs in; ``async with`` does it too.

        A failed attempt may be repeated; nothing but this call tries again before the first
        success.

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
        client = await _process.drive(_native.Client.connect, self._configuration, None)
        self._plane_client = _plane.Client(_process.call(client.c_handle))
        self._client = client
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
        """What the server said at the last login.

        Raises:
            RuntimeError: the client is not connected yet.
        """
        return _session.from_native(_process.call(self._connected().session))

    async def limits(self, *, deadline: Seconds | None = None) -> dict[str, int]:
        """The limits of the license, for example ``engine.limits.sendMessage.dailyLimit``: 150.

        Args:
            deadline: How long it may take, in seconds. Default: the client's ``call_deadline``.

        Raises:
            SkylineError: as `call`. The call is idempotent.
        """
        answer = await self.call(_methods.GET_LIMITS, deadline=deadline, idempotent=True)
        return _methods.limits(answer)

    async def send_event(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        deadline: Seconds | None = None,
    ) -> None:
        """Reports an event and waits for the server to have it; `track` does not wait.

        Args:
            name: The event's name, for example ``"app.navigation"``.
            data: What belongs to it; nothing is an empty mapping.
            deadline: How long it may take, in seconds. Default: the client's ``call_deadline``.

        Raises:
            SkylineError: as `call`.
        """
        event = _methods.event(name, data)
        await self.call_raw(_methods.SEND_EVENT, event, deadline=deadline)

    async def track(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        """Queues an event for delivery; needs no connection and does not wait for the server.

        Events are delivered in order and at least once, across lost connections and restarts of
        the program; the server drops repeats. They wait in a file in the state folder.

        Args:
            name: The event's name, for example ``"app.navigation"``; at most 256 bytes,
                none of a control character.
            data: What belongs to it; nothing is an empty mapping. At most 64 KiB of MessagePack.

        Raises:
            EventQueueFull: there is no room, and the client is to refuse then.
            PayloadError: the event is too large, or has no form in MessagePack.
            StateFolderError: the event could not be written, and the client is to sync it.
            ClientShutDown: the client was shut down.
            RuntimeError: the client is not connected yet.
        """
        await _process.drive(self._connected().track, name, packed_data(data))

    async def flush_events(self, *, deadline: Seconds | None = None) -> None:
        """Waits until every event tracked before is delivered or was given up.

        Args:
            deadline: How long it may take, in seconds. Default: the client's ``call_deadline``.

        Raises:
            DeadlineExceeded: the deadline passed first; the events stay queued.
            SkylineError: the client is finished, as for `call`.
        """
        await _process.drive(self._connected().flush_events, _options(deadline))

    def event_counters(self) -> EventCounters:
        """What became of the tracked events.

        Raises:
            RuntimeError: the client is not connected yet.
        """
        return EventCounters._from_native(_process.call(self._connected().event_counters))

    async def call(
        self,
        method: str,
        payload: Any = None,
        *,
        deadline: Seconds | None = None,
        idempotent: bool = False,
    ) -> Any:
        """Calls any method of the server.

        Args:
            method: The method's name.
            payload: What `msgpack` can write: ``None`` (no payload), ``bool``, ``int`` of 64
                bits, ``float``, ``str``, ``bytes``, ``list``, ``tuple``, ``dict``,
                `msgpack.ExtType`, `msgpack.Timestamp`.
            deadline: How long the call may take, in seconds, reconnecting and waiting for its
                turn included. Default: the client's ``call_deadline``.
            idempotent: Whether executing the call twice does no harm. Then it is sent again when
                the connection is lost before its answer, and waits out a rate limit, both within
                its deadline.

        Returns:
            The answer's payload, ``None`` when it has none.

        Raises:
            StatusError: the server refused, for example as `UnknownMethod` or `RateLimited`.
            ConnectionLost: the connection ended after the request was written and before the
                answer came: the request may have been executed.
            DeadlineExceeded: the deadline passed first.
            PayloadError: the payload has no form in MessagePack, or the answer none in Python.
            PacketTooLarge: the payload is larger than ``max_packet_bytes`` allows.
            IntegrityBreach: the session's integrity was violated; the client is finished.
            ClientShutDown: the client was shut down.
            ForkedError: the client was connected in a parent of this process.
            RuntimeError: the client is not connected yet.
        """
        queue = self._queue()
        if queue is None or queue.loop is not get_running_loop():
            queue = self._enter()
        packed = None if payload is None else pack(payload)
        limit = _plane.DEFAULT_DEADLINE if deadline is None else _plane.milliseconds(deadline)
        flags = _plane.IDEMPOTENT if idempotent else 0
        return unpacked(await queue.begin(self._plane_client, method, packed, limit, flags))

    async def call_raw(
        self,
        method: str,
        payload: bytes | None = None,
        *,
        deadline: Seconds | None = None,
        idempotent: bool = False,
    ) -> bytes | None:
        """Calls any method of the server with payloads that are MessagePack already.

        Args:
            method: The method's name.
            payload: The MessagePack of one value, or ``None`` for no payload.
            deadline: How long the call may take, in seconds. Default: the client's
                ``call_deadline``.
            idempotent: Whether executing the call twice does no harm, as for `call`.

        Returns:
            The MessagePack of the answer's payload, ``None`` when it has none.

        Raises:
            SkylineError: as `call`.
        """
        queue = self._queue()
        if queue is None or queue.loop is not get_running_loop():
            queue = self._enter()
        packed = _plane.as_bytes(payload)
        limit = _plane.DEFAULT_DEADLINE if deadline is None else _plane.milliseconds(deadline)
        flags = _plane.IDEMPOTENT if idempotent else 0
        answer: bytes | None = await queue.begin(
            self._plane_client, method, packed, limit, flags, _calls.RAW
        )
        return answer

    async def call_many(
        self,
        requests: Iterable[tuple[str, Any]],
        *,
        deadline: Seconds | None = None,
        idempotent: bool = False,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Calls methods of the server, many at once, which costs less than one by one.

        ::

            first, second = await client.call_many([("one", {"a": 1}), ("other", None)])

        Args:
            requests: The calls, each a method's name and a payload as for `call`.
            deadline: How long each call may take, in seconds. Default: the client's
                ``call_deadline``.
            idempotent: Whether executing any of the calls twice does no harm, as for `call`.
            return_exceptions: Whether failures stand among the results, each in the place of its
                call, instead of being raised.

        Returns:
            What `call` would have given for each, in the order of the requests.

        Raises:
            SkylineError: as `call`: the first in the order of the requests that failed, when all
                calls are over.
            TypeError: a request is no pair of a name and a payload; none was sent.
        """
        queue = self._queue()
        if queue is None or queue.loop is not get_running_loop():
            queue = self._enter()
        flags = _plane.IDEMPOTENT if idempotent else 0
        batch = Batch(requests, _plane.milliseconds(deadline), flags)
        if batch.open:
            try:
                await queue.run(self._plane_client, batch)
            except BaseException:
                batch.cancel(queue)
                raise
        return batch.results(return_exceptions=return_exceptions)

    def states(self) -> States:
        """The states of the connection: the present one, then each change, until the last.

        ::

            async for state in client.states():
                print(state)

        Raises:
            RuntimeError: the client is not connected yet.
        """
        return States(_process.call(self._connected().states))

    def reconnect_now(self) -> None:
        """Tells the client that a connection is worth trying now: the network is back.

        A wait between two attempts ends; a connection that seems open is asked for a sign of life.

        Raises:
            RuntimeError: the client is not connected yet.
        """
        _process.call(self._connected().reconnect_now)

    async def download_update(
        self,
        folder: Folder,
        *,
        on_progress: Callable[[UpdateProgress], None] | None = None,
    ) -> Update:
        """Downloads the newest version of the product for this system, and verifies it.

        The client need not be connected: `OutdatedVersion` is the usual reason to update. Nothing
        stands under the file's name before every check has passed. Cancelling the task ends the
        download; what has come stays in the folder, and the next download goes on there.

        Args:
            folder: Where the file is to be; made when absent.
            on_progress: Called with the progress, again and again.

        Raises:
            UpdateError: the update was refused, or is not to be had: see ``update_failure``.
            ConnectionFailed: the server could not be reached, again and again.
            InvalidConfiguration: a setting is malformed.
        """
        from skyline._update import Download

        return await Download(self._configuration, folder).run(on_progress)

    async def verify_update(self, file: Folder, manifest: bytes, signature: bytes) -> Update:
        """Verifies a file that came in another way; the client need not be connected.

        Args:
            file: Where it is.
            manifest: The signed manifest, as bytes.
            signature: The signature over it, 64 bytes.

        Raises:
            UpdateError: the first thing that is wrong: see ``update_failure``.
            InvalidConfiguration: a setting is malformed.
        """
        from skyline import _update

        return await _update.verify(self._configuration, file, manifest, signature)

    def _connected(self) -> _native.Client:
        if self._client is None:
            raise RuntimeError("the client is not connected: use `with`, or call connect() first")
        return self._client

    def _enter(self) -> _calls.LoopQueue:
        self._connected()
        queue = _calls.queue_of(get_running_loop())
        self._queue = weakref.ref(queue)
        return queue


def _options(deadline: Seconds | None) -> _native.CallOptions:
    return _native.CallOptions(deadline=duration("deadline", deadline))
