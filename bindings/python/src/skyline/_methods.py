"""The methods that every server has, and their payloads (docs/protocol.md, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skyline._convert import wrong_type
from skyline._errors import PayloadError
from skyline._events import checked_data
from skyline._payload import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

GET_LIMITS = "get-limits"
SEND_EVENT = "send-event"


def limits(payload: Any) -> dict[str, int]:
    """The limits, as the server sent them.

    Raises:
        PayloadError: that is something else.
    """
    if not isinstance(payload, dict) or not all(
        isinstance(name, str) and type(limit) is int and -(1 << 63) <= limit < 1 << 63
        for name, limit in payload.items()
    ):
        raise PayloadError("the payload does not have the expected shape: limits by their names")
    return payload


def event(name: str, data: Mapping[str, Any] | None) -> bytes:
    """The payload that reports an event.

    Raises:
        PayloadError: MessagePack has no form for the data.
        TypeError: the name or the data is of the wrong type.
    """
    if not isinstance(name, str):
        raise wrong_type("name", "a str", name)
    return pack({"event": name, "data": checked_data(data)})
