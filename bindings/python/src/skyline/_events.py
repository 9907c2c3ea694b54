"""The queue of tracked events: how it behaves, and what became of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skyline import _native
from skyline._convert import wrong_type
from skyline._payload import pack

if TYPE_CHECKING:
    from typing_extensions import Self


class EventDurability(enum.Enum):
    """When tracking an event is done."""

    BUFFERED = "buffered"
    """At once; the event is written to the file within milliseconds."""

    SYNCED = "synced"
    """When the event is on disk: neither a killed process nor a power cut loses it."""


class EventOverflow(enum.Enum):
    """What happens to an event for which the queue has no room."""

    DROP_OLDEST = "drop-oldest"
    """The oldest events are dropped in favour of the new one."""

    REFUSE = "refuse"
    """The new one is refused with `EventQueueFull`."""


@dataclass(frozen=True)
class EventCounters:
    """What became of the events of one client, since it was connected.

    At any time ``tracked + recovered == queued + sent + dropped + rejected``.
    """

    tracked: int
    """Events that the application tracked and the queue accepted."""

    recovered: int
    """Events that an earlier client of this product and license had left in the state folder."""

    queued: int
    """Events that wait for their delivery, or are on their way."""

    queued_bytes: int
    """The bytes of these, as they count for ``max_queued_event_bytes``."""

    sent: int
    """Events that the server acknowledged."""

    dropped: int
    """Events that were given up because the queue was full."""

    rejected: int
    """Events that were given up because the server would never take them."""

    damaged: int
    """Damaged stretches of the files that earlier clients left."""

    @classmethod
    def _from_native(cls, counters: _native.EventCounters) -> Self:
        return cls(
            tracked=counters.tracked,
            recovered=counters.recovered,
            queued=counters.queued,
            queued_bytes=counters.queued_bytes,
            sent=counters.sent,
            dropped=counters.dropped,
            rejected=counters.rejected,
            damaged=counters.damaged,
        )


def checked_data(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """An event's data; nothing is an empty mapping."""
    if data is not None and not isinstance(data, Mapping):
        raise wrong_type("data", "a mapping", data)
    return dict(data) if data is not None else {}


def packed_data(data: Mapping[str, Any] | None) -> bytes:
    """The MessagePack of an event's data."""
    return pack(checked_data(data))


def native_durability(value: EventDurability | None) -> _native.EventDurability | None:
    """The durability as the library takes it."""
    if value is None:
        return None
    if not isinstance(value, EventDurability):
        raise wrong_type("event_durability", "an EventDurability", value)
    return _native.EventDurability[value.name]


def native_overflow(value: EventOverflow | None) -> _native.EventOverflow | None:
    """The policy as the library takes it."""
    if value is None:
        return None
    if not isinstance(value, EventOverflow):
        raise wrong_type("event_overflow", "an EventOverflow", value)
    return _native.EventOverflow[value.name]
