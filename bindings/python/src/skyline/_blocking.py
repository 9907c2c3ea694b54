"""The blocking client, for programs without asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from skyline import _process
from skyline._client import Client
from skyline._config import Configured
from skyline._convert import Seconds

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from skyline._session import Session
    from skyline._states import ConnectionState, StateReader

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

    def connect(self) -> Self:
        """Connects and logs in, as `Client.connect`; ``with`` does it too."""
        if self._twin is not None:
            raise RuntimeError("this client has been connected already: make a new one")
        twin = Client._with_settings_of(self)
        _wait_for(twin.connect())
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
        """What the server said at the login, as `Client.session`."""
        return self._connected().session

    def limits(self, *, deadline: Seconds | None = None) -> dict[str, int]:
        """The limits of the license, as `Client.limits`."""
        return _wait_for(self._connected().limits(deadline=deadline))

    def send_event(
        self,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        deadline: Seconds | None = None,
    ) -> None:
        """Reports an event, as `Client.send_event`."""
        _wait_for(self._connected().send_event(name, data, deadline=deadline))

    def call(self, method: str, payload: Any = None, *, deadline: Seconds | None = None) -> Any:
        """Calls any method of the server, as `Client.call`."""
        return _wait_for(self._connected().call(method, payload, deadline=deadline))

    def call_raw(
        self, method: str, payload: bytes | None = None, *, deadline: Seconds | None = None
    ) -> bytes | None:
        """Calls any method with payloads that are MessagePack already, as `Client.call_raw`."""
        return _wait_for(self._connected().call_raw(method, payload, deadline=deadline))

    def states(self) -> Iterator[ConnectionState]:
        """The states of the connection, as `Client.states`; each step waits for a change."""
        return _rest(self._connected()._state_reader())

    def _connected(self) -> Client:
        if self._twin is None:
            raise RuntimeError("the client is not connected: use `with`, or call connect() first")
        return self._twin


def _rest(states: StateReader) -> Iterator[ConnectionState]:
    while (state := _wait_for(states.next())) is not None:
        yield state


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
