"""Python values as the library takes them, checked so that a mistake names its setting."""

from __future__ import annotations

import datetime
import math
import os
from typing import Union

from skyline._errors import invalid

Seconds = Union[float, datetime.timedelta]
"""A duration: a number of seconds, or a `datetime.timedelta`."""


def duration(field: str, seconds: Seconds | None) -> datetime.timedelta | None:
    """A time limit; that it is long enough is checked by the library."""
    if seconds is None:
        return None
    expected = "a number of seconds that is not negative"
    if isinstance(seconds, datetime.timedelta):
        limit = seconds
    elif isinstance(seconds, (int, float)):
        if not math.isfinite(seconds):
            raise invalid(field, expected)
        try:
            limit = datetime.timedelta(seconds=seconds)
        except OverflowError:
            raise invalid(field, expected) from None
    else:
        raise wrong_type(field, "a number of seconds or a timedelta", seconds)
    if limit < datetime.timedelta(0):
        raise invalid(field, expected)
    return limit


def milliseconds(field: str, seconds: Seconds) -> int:
    """A time limit in milliseconds; one that is not zero is at least one."""
    # What it mostly is needs no timedelta.
    if isinstance(seconds, (int, float)) and 0 < seconds < _LONG_SECONDS:
        return int(seconds * 1000 + 0.5) or 1
    limit = duration(field, seconds)
    assert limit is not None
    return -(-limit // datetime.timedelta(milliseconds=1))


# Longer than any program runs, and within what a timedelta can be.
_LONG_SECONDS = 1e9


def text(field: str, value: str) -> str:
    """A text that can be encoded."""
    if not isinstance(value, str):
        raise wrong_type(field, "a str", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        # The original error holds the text, which may be a secret.
        raise invalid(field, "a text of Unicode characters, without lone surrogates") from None
    return value


def optional_text(field: str, value: str | None) -> str | None:
    """A text, or nothing."""
    return None if value is None else text(field, value)


def path(field: str, value: str | os.PathLike[str] | None) -> str | None:
    """A path, or nothing."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(field, "a path", value)
    return text(field, os.fspath(value))


def optional_bytes(field: str, value: bytes | None) -> bytes | None:
    """Bytes of any kind, or nothing."""
    if value is None:
        return None
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise wrong_type(field, "bytes", value)
    return bytes(value)


def count(field: str, value: int | None, *, bits: int) -> int | None:
    """A number that fits an unsigned integer of so many bits, or nothing."""
    if value is None:
        return None
    if not isinstance(value, int):
        raise wrong_type(field, "an int", value)
    if not 0 <= value < 1 << bits:
        raise invalid(field, f"a number from 0 to {(1 << bits) - 1}")
    return value


def wrong_type(field: str, expected: str, value: object) -> TypeError:
    """The exception for a value of another type than expected."""
    # Never the value: it may be a secret in the wrong place.
    return TypeError(f"{field} must be {expected}, not {type(value).__name__}")
