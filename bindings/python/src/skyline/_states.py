"""The states of a client's connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from skyline import _process
from skyline._errors import SkylineError, from_details
from skyline._native import ConnectionState as NativeState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from skyline import _native


@dataclass(frozen=True)
class Connected:
    """The session is open."""


@dataclass(frozen=True)
class Disconnected:
    """The connection was lost: the application may connect again with a new client."""

    error: SkylineError
    """How it was lost."""


@dataclass(frozen=True)
class Closed:
    """The client is finished."""

    error: SkylineError | None
    """The breach that ended it; ``None`` when it was shut down."""


ConnectionState = Union[Connected, Disconnected, Closed]
"""One of `Connected`, `Disconnected` and `Closed`."""


class StateReader:
    """The states of one client, one after the other."""

    def __init__(self, stream: _native.StateStream) -> None:
        """Reads from `stream`."""
        self._stream = stream

    async def next(self) -> ConnectionState | None:
        """The present state at the first call, then each change; ``None`` after the last."""
        state = await _process.drive(self._stream.next, None)
        if state is None:
            return None
        if isinstance(state, NativeState.CONNECTED):
            return Connected()
        if isinstance(state, NativeState.DISCONNECTED):
            return Disconnected(from_details(state.details))
        return Closed(from_details(state.details) if state.details is not None else None)

    async def rest(self) -> AsyncIterator[ConnectionState]:
        """All the states from here on."""
        while (state := await self.next()) is not None:
            yield state
