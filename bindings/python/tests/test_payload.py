"""Payloads that do not convert, and what the raw variant takes."""

from __future__ import annotations

import datetime
from typing import Any

import msgpack
import pytest

import skyline
from harness import Install
from skyline import _payload


def nested(depth: int) -> list[Any]:
    """Lists within lists, `depth` of them."""
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "payload",
    [
        object(),
        {1, 2},
        {"when": datetime.date(2024, 12, 25)},
        2**64,
        "\ud800",
        nested(600),
    ],
    ids=["object", "set", "date", "integer", "surrogate", "nesting"],
)
async def test_what_messagepack_cannot_say_is_refused(payload: Any, install: Install) -> None:
    async with install.client() as client:
        for attempt in (client.call("test.echo", payload), client.send_event("e", {"a": payload})):
            with pytest.raises(skyline.PayloadError) as refused:
                await attempt
            assert refused.value.code == "PAYLOAD"
        assert await client.call("test.echo", 1) == 1


async def test_the_protocols_depth_is_the_limit(install: Install) -> None:
    async with install.client() as client:
        assert await client.call("test.echo", nested(100)) == nested(100)
        with pytest.raises(skyline.PayloadError):
            await client.call("test.echo", nested(200))


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x92\x01", b"\x01\x02", b"\xa1"])
async def test_raw_bytes_must_be_one_value(packed: bytes, install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.PayloadError):
            await client.call_raw("test.echo", packed)
        assert await client.call("test.echo", 1) == 1


async def test_an_answer_that_python_cannot_hold_is_told(install: Install) -> None:
    async with install.client() as client:
        # A list, as which the tuple comes back, cannot be a key.
        with pytest.raises(skyline.PayloadError):
            await client.call("test.echo", {("a", "tuple"): 1})
        assert await client.call("test.echo", 1) == 1


@pytest.mark.parametrize("packed", [b"\xa2\xff\xfe", b"\x91", b"\x01\x02", b""])
def test_what_does_not_unpack_is_a_payload_error(packed: bytes) -> None:
    with pytest.raises(skyline.PayloadError):
        _payload.unpack(packed)


async def test_bytes_of_any_kind_are_taken(install: Install) -> None:
    async with install.client() as client:
        for payload in (b"\x00", bytearray(b"\x00"), memoryview(b"\x00")):
            assert await client.call("test.echo", payload) == b"\x00"


async def test_a_nil_is_no_payload(install: Install) -> None:
    async with install.client() as client:
        assert await client.call_raw("test.echo", msgpack.packb(None)) in (None, b"\xc0")
        assert await client.call("test.echo", None) is None


async def test_an_event_needs_a_mapping(install: Install) -> None:
    async with install.client() as client:
        for data in ([1, 2], "text", 7):
            with pytest.raises(TypeError, match="data must be a mapping"):
                await client.send_event("e", data)  # type: ignore[arg-type]
