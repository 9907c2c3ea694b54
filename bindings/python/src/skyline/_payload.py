"""Payloads: Python objects to MessagePack and back."""

from __future__ import annotations

from typing import Any

import msgpack

from skyline._errors import PayloadError

# Everything that msgpack raises for what it cannot convert: wrong types, integers of more than 64
# bits, text that is not Unicode, nesting that is too deep, an answer that ends early.
_FAILURES = (TypeError, ValueError, OverflowError, RecursionError, msgpack.UnpackException)


def pack(payload: object) -> bytes:
    """The MessagePack of `payload`: text as str, bytes as bin, tuples as arrays.

    Raises:
        PayloadError: MessagePack has no form for it.
    """
    try:
        packed: bytes = msgpack.packb(payload, use_bin_type=True)
    except _FAILURES as error:
        raise PayloadError(f"the payload could not be converted: {error}") from error
    return packed


def unpack(packed: bytes) -> Any:
    """The object that `packed` holds: arrays as lists, extensions as `msgpack.ExtType`.

    Raises:
        PayloadError: Python has no form for it, for example for a map whose key is a map.
    """
    try:
        # The library has checked that it is one well-formed value of bounded depth. A key of a
        # map may be of any type in MessagePack.
        return msgpack.unpackb(packed, raw=False, strict_map_key=False)
    except _FAILURES as error:
        raise PayloadError(f"the payload could not be converted: {error}") from error
