"""`call_many`, of both clients."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import skyline
from harness import Install
from skyline import _plane

LONG = {"milliseconds": 60_000}


async def test_a_batch_is_one_submit(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    submits: list[int] = []
    submit_many = _plane.submit_many

    def counted(*arguments: Any) -> int:
        submits.append(1)
        kind: int = submit_many(*arguments)
        return kind

    async with install.client() as client:
        monkeypatch.setattr(_plane, "submit_many", counted)
        requests = (("test.echo", n) for n in range(300))
        assert await client.call_many(requests) == [*range(300)]
    assert len(submits) == 1


async def test_the_first_failure_is_raised_when_all_are_over(install: Install) -> None:
    async with install.client() as client:
        begun = time.monotonic()
        with pytest.raises(skyline.BadRequest):
            await client.call_many(
                [
                    ("test.delay", {"milliseconds": 400}),
                    ("test.status", {"status": "BAD_REQUEST", "message": "Bad."}),
                    ("no-such-method", None),
                ]
            )
        assert time.monotonic() - begun > 0.35


async def test_failures_may_stand_among_the_results(install: Install) -> None:
    requests = [
        ("test.echo", 1),
        ("no-such-method", None),
        ("test.echo", {1, 2}),
        ("test.echo", {("a", "tuple"): 1}),
        ("test.echo", None),
        ("test.echo", bytes(3 * _plane.LARGE)),
    ]
    with install.blocking_client() as client:
        blocking = client.call_many(requests, return_exceptions=True)
    async with install.client() as client:
        results = await client.call_many(requests, return_exceptions=True)
    for given in (blocking, results):
        kinds = [type(result) for result in given]
        unpackable = skyline.PayloadError
        assert kinds == [int, skyline.UnknownMethod, unpackable, unpackable, type(None), bytes]
        assert given[0] == 1
        assert given[5] == requests[5][1]


async def test_nothing_is_a_batch_too(install: Install) -> None:
    async with install.client() as client:
        assert await client.call_many([]) == []
        [refused] = await client.call_many([("test.echo", object())], return_exceptions=True)
        assert isinstance(refused, skyline.PayloadError)
    with install.blocking_client() as client:
        assert client.call_many([]) == []


@pytest.mark.parametrize("request_", [1, "test", ("test.echo",), ("a", 1, 2), (1, None)])
async def test_what_is_no_request_is_refused_before_any_is_sent(
    request_: Any, install: Install
) -> None:
    async with install.client() as client:
        with pytest.raises(TypeError):
            await client.call_many([("send-event", {"event": "e", "data": {}}), request_])
        assert await client.call("test.events") == []


async def test_cancelling_a_batch_cancels_its_calls(install: Install) -> None:
    async with install.client(max_calls_in_flight=4) as client:
        for _ in range(3):
            batch = asyncio.ensure_future(client.call_many([("test.delay", LONG)] * 10))
            await asyncio.sleep(0.1)
            batch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await batch
        assert await client.call("test.echo", 1, deadline=5) == 1


async def test_a_deadline_holds_for_each_call(install: Install) -> None:
    async with install.client() as client:
        results = await client.call_many(
            [("test.delay", LONG), ("test.echo", 1)], deadline=3, return_exceptions=True
        )
        assert isinstance(results[0], skyline.DeadlineExceeded)
        assert results[1] == 1


def test_the_blocking_client_does_the_same(install: Install) -> None:
    with install.blocking_client() as client:
        assert client.call_many([("test.echo", n) for n in range(3000)]) == [*range(3000)]
        with pytest.raises(skyline.UnknownMethod):
            client.call_many([("test.echo", 1), ("no-such-method", None)])
        with pytest.raises(skyline.DeadlineExceeded):
            client.call_many([("test.delay", LONG)], deadline=0.1)
    with pytest.raises(skyline.ClientShutDown):
        client.call_many([("test.echo", 1)])
    with pytest.raises(RuntimeError, match="not connected"):
        install.blocking_client().call_many([])


async def test_a_client_that_is_not_connected_says_so(install: Install) -> None:
    with pytest.raises(RuntimeError, match="not connected"):
        await install.client().call_many([])
