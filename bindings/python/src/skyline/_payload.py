"""Payloads: Python objects to MessagePack and back."""

from __future__ import annotations

from typing import Any

import msgpack

from skyline._errors import PayloadError

_unpackb = msgpack.unpackb
# Everything that msgpack raises for what it cannot convert: wrong types, integers of more than 64
# bits, text that is not Unicode, nesting that is too deep, an answer that ends early.
_FAILURES = (TypeError, ValueError, OverflowError, RecursionError, msgpack.UnpackException)


# Making one costs several times what packing a small payload does. One that is in use is not here:
# other threads, and what a payload of an application's own class runs, have others.
_packers: list[msgpack.Packer] = []
# What a packer has grown to is kept with it.
_KEPT_BYTES = 256 * 1024


def pack(payload: object) -> bytes:
    """The MessagePack of `payload`: text as str, bytes as bin, tuples as arrays.

    Raises:
        PayloadError: MessagePack has no form for it.
    """
    try:
        packer = _packers.pop()
    except IndexError:
        packer = msgpack.Packer(use_bin_type=True)
    try:
        packed: bytes = packer.pack(payload)
    except _FAILURES as error:
        raise PayloadError(f"the payload could not be converted: {error}") from error
    if len(packed) <= _KEPT_BYTES:
        _packers.append(packer)
    return packed


def unpack(packed: bytes | memoryview) -> Any:
    """The object that `packed` holds: arrays as lists, extensions as `msgpack.ExtType`.

    Raises:
        PayloadError: Python has no form for it, for example for a map whose key is a map.
    """
    try:
        # The library has checked that it is one well-formed value of bounded depth. A key of a
        # map may be of any type in MessagePack.
        return _unpackb(packed, strict_map_key=False)
    except _FAILURES as error:
        raise PayloadError(f"the payload could not be converted: {error}") from error
