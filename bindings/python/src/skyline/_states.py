"""The states of a client's connection."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from skyline import _process
from skyline._errors import SkylineError, from_details
from skyline._native import ConnectionState as NativeState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from skyline import _native


@dataclass(frozen=True)
class Connecting:
    """An attempt to connect and log in is under way."""


@dataclass(frozen=True)
class Ready:
    """The session is open."""


@dataclass(frozen=True)
class Reconnecting:
    """There is no connection; the client waits before it tries again."""

    attempt: int
    """The number of the attempt that comes next, from 1 on."""

    next_delay: datetime.timedelta
    """How long the client waits before it; `Client.reconnect_now` ends the wait."""

    last_error: SkylineError
    """How the connection was lost, or why the last attempt failed."""


@dataclass(frozen=True)
class Refused:
    """The server refused the login for good; the client is finished."""

    error: SkylineError
    """The refusal, for example `LicenseSuspended`."""


@dataclass(frozen=True)
class Breached:
    """The integrity of the session was violated; the client is finished."""

    error: SkylineError
    """The `IntegrityBreach`."""


@dataclass(frozen=True)
class ShutDown:
    """The client was shut down."""


ConnectionState = Union[Connecting, Ready, Reconnecting, Refused, Breached, ShutDown]
"""One of `Connecting`, `Ready`, `Reconnecting`, `Refused`, `Breached` and `ShutDown`.

The last three are final."""


class States:
    """The states of one client, one after the other; ``async for`` goes through them.

    A reader that is slow may miss states in between, never the last one. Reading does not keep the
    client alive.
    """

    def __init__(self, stream: _native.StateStream) -> None:
        """Reads from `stream`."""
        self._stream = stream

    async def next_state(self) -> ConnectionState | None:
        """The present state at the first call, then each change; ``None`` after the last.

        Cancelling the task that waits loses no state.
        """
        state = await _process.drive(self._stream.next_state, None)
        if state is None:
            return None
        if isinstance(state, NativeState.CONNECTING):
            return Connecting()
        if isinstance(state, NativeState.READY):
            return Ready()
        if isinstance(state, NativeState.RECONNECTING):
            return Reconnecting(state.attempt, state.next_delay, from_details(state.last_error))
        if isinstance(state, NativeState.REFUSED):
            return Refused(from_details(state.details))
        if isinstance(state, NativeState.BREACHED):
            return Breached(from_details(state.details))
        return ShutDown()

    def __aiter__(self) -> AsyncIterator[ConnectionState]:
        """All the states from here on."""
        return self

    async def __anext__(self) -> ConnectionState:
        """The next state."""
        state = await self.next_state()
        if state is None:
            raise StopAsyncIteration
        return state
