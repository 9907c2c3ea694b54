"""The blocking client, for programs without asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from skyline import _methods, _plane, _process, _waiting
from skyline._client import Client
from skyline._config import Configured
from skyline._convert import Seconds
from skyline._many import Batch, wait_for_all
from skyline._payload import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from skyline._events import EventCounters
    from skyline._session import Session
    from skyline._states import ConnectionState, States
    from skyline._update import Folder, Update, UpdateProgress

_Result = TypeVar("_Result")

# Waiting for a lock without a limit cannot be interrupted by Ctrl-C on Windows; a person does not
# notice a tenth of a second. Elsewhere a signal ends the waiting at once.
_WAIT_SECONDS = 0.1 if sys.platform == "win32" else None


class BlockingClient(Configured):
    """A session with the licensing server whose methods wait for the answer.

    ::

        with skyline.BlockingClient(
            product_id="telepower",
            product_version="7.0.3",
            license_key=license_key,
            identity_keys=identity_key,
        ) as client:
            print(client.session.expiry_date)
            print(client.limits())

    It may be used from many threads at once. Ctrl-C ends a call that waits, and leaves the client
    usable. The settings and the exceptions are those of `Client`.
    """

    _twin: Client | None = None
    # The same client, as calls take it.
    _plane_client: _plane.Client | None = None

    def connect(self) -> Self:
        """Connects and logs in, as `Client.connect`; ``with`` does it too."""
        if self._twin is not None:
            raise RuntimeError("this client has been connected already: make a new one")
        twin = Client._with_settings_of(self)
        _wait_for(twin.connect())
        self._plane_client = twin._plane_client
        self._twin = twin
        return self

    def shutdown(self) -> None:
        """Closes the connection in order, as `Client.shutdown`. Never fails."""
        if self._twin is not None and _process.refusal() is None:
            _wait_for(self._twin.shutdown())

    def __enter__(self) -> Self:
        """Connects."""
        return self.connect()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shuts down."""
        self.shutdown()

    @property
    def session(self) -> Session:
        """What the server said at the last login, as `Client.session`."""
        return self._connected().session

    def limits(self, *, deadline: Seconds | None = None) -> dict[str, int]:
        """The limits of the license, as `Client.limits`."""
        return _methods.limits(self.call(_methods.GET_LIMITS, deadline=deadline, idempotent=True))

    def send_event(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        deadline: Seconds | None = None,
    ) -> None:
        """Reports an event, as `Client.send_event`."""
        self.call_raw(_methods.SEND_EVENT, _methods.event(name, data), deadline=deadline)

    def track(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        """Queues an event for delivery, as `Client.track`."""
        _wait_for(self._connected().track(name, data))

    def flush_events(self, *, deadline: Seconds | None = None) -> None:
        """Waits until every event tracked before is delivered, as `Client.flush_events`."""
        _wait_for(self._connected().flush_events(deadline=deadline))

    def event_counters(self) -> EventCounters:
        """What became of the tracked events."""
        return self._connected().event_counters()

    def call(
        self,
        method: str,
        payload: Any = None,
        *,
        deadline: Seconds | None = None,
        idempotent: bool = False,
    ) -> Any:
        """Calls any method of the server, as `Client.call`."""
        return _waiting.call(
            self._plane_client or self._callable(),
            method,
            None if payload is None else pack(payload),
            _plane.milliseconds(deadline),
            _plane.IDEMPOTENT if idempotent else 0,
        )

    def call_raw(
        self,
        method: str,
        payload: bytes | None = None,
        *,
        deadline: Seconds | None = None,
        idempotent: bool = False,
    ) -> bytes | None:
        """Calls any method with payloads that are MessagePack already, as `Client.call_raw`."""
        answer: bytes | None = _waiting.call(
            self._plane_client or self._callable(),
            method,
            _plane.as_bytes(payload),
            _plane.milliseconds(deadline),
            _plane.IDEMPOTENT if idempotent else 0,
            raw=True,
        )
        return answer

    def call_many(
        self,
        requests: Iterable[tuple[str, Any]],
        *,
        deadline: Seconds | None = None,
        idempotent: bool = False,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Calls methods of the server, many at once, as `Client.call_many`."""
        client = self._plane_client or self._callable()
        flags = _plane.IDEMPOTENT if idempotent else 0
        batch = Batch(requests, _plane.milliseconds(deadline), flags)
        wait_for_all(batch, client)
        return batch.results(return_exceptions=return_exceptions)

    def states(self) -> BlockingStates:
        """The states of the connection, as `Client.states`; each step waits for a change."""
        return BlockingStates(self._connected().states())

    def reconnect_now(self) -> None:
        """Tells the client that the network is back, as `Client.reconnect_now`."""
        self._connected().reconnect_now()

    def download_update(
        self,
        folder: Folder,
        *,
        on_progress: Callable[[UpdateProgress], None] | None = None,
    ) -> Update:
        """Downloads and verifies the newest version, as `Client.download_update`.

        Ctrl-C ends the download, as does an exception of `on_progress`, which is called on this
        thread.
        """
        from skyline._update import Download

        download = Download(self._configuration, folder)
        try:
            if on_progress is not None:
                while (progress := _wait_for(download.next_progress())) is not None:
                    on_progress(progress)
            return _wait_for(download.finish())
        except BaseException:
            download.cancel()
            raise

    def verify_update(self, file: Folder, manifest: bytes, signature: bytes) -> Update:
        """Verifies a file that came in another way, as `Client.verify_update`."""
        from skyline import _update

        return _wait_for(_update.verify(self._configuration, file, manifest, signature))

    def _connected(self) -> Client:
        if self._twin is None:
            raise RuntimeError("the client is not connected: use `with`, or call connect() first")
        return self._twin

    def _callable(self) -> _plane.Client:
        return self._connected()._plane_client


class BlockingStates:
    """The states of one client, one after the other; ``for`` goes through them."""

    def __init__(self, states: States) -> None:
        """Reads from `states`."""
        self._states = states

    def next_state(self) -> ConnectionState | None:
        """The present state at the first call, then each change; ``None`` after the last."""
        return _wait_for(self._states.next_state())

    def __iter__(self) -> Iterator[ConnectionState]:
        """All the states from here on."""
        return self

    def __next__(self) -> ConnectionState:
        """The next state."""
        state = self.next_state()
        if state is None:
            raise StopIteration
        return state


class _LoopThread:
    """An event loop on a thread of its own, which the blocking clients of a process share.

    A daemon, so that a client that nobody shut down does not keep the process alive.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="skyline-loop", daemon=True).start()


_loop_thread: _LoopThread | None = None
_starting = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    global _loop_thread
    with _starting:
        # A thread of the parent's does not exist in a forked child.
        if _loop_thread is None or _loop_thread.process != os.getpid():
            _loop_thread = _LoopThread()
        return _loop_thread.loop


def _wait_for(operation: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs `operation` on the loop's thread and waits, interruptibly, for its result."""
    try:
        _process.check()
    except BaseException:
        operation.close()
        raise
    future = asyncio.run_coroutine_threadsafe(operation, _loop())
    try:
        while not concurrent.futures.wait([future], timeout=_WAIT_SECONDS).done:
            pass
    except BaseException:
        # Ctrl-C, mostly.
        future.cancel()
        raise
    return future.result()
