"""The blocking client: the same behaviour as the asyncio client, from threads."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest

import skyline
from harness import Install


def test_it_has_all_methods_of_the_asyncio_client() -> None:
    def public(cls: type) -> dict[str, list[str]]:
        return {
            name: [*inspect.signature(member).parameters] if callable(member) else []
            for name, member in vars(cls).items()
            if not name.startswith("_")
        }

    assert public(skyline.BlockingClient) == public(skyline.Client)


def test_a_whole_session_works(install: Install) -> None:
    with install.blocking_client() as client:
        assert client.session.is_activated_now
        assert client.limits()["engine.limits.sendMessage.dailyLimit"] == 150
        client.send_event("app.start", {"at": 1})
        client.send_event("app.end")
        assert [event["data"] for event in client.call("test.events")] == [{"at": 1}, {}]
        assert client.call("test.echo", {"any": [1, b"2", None]}) == {"any": [1, b"2", None]}
        assert client.call("test.echo") is None
        packed = msgpack.packb([1, 2])
        assert client.call_raw("test.echo", packed) == packed
        assert client.call_raw("test.echo") is None
    with pytest.raises(skyline.ClientShutDown):
        client.call("test.echo")
    client.shutdown()


def test_many_threads_share_a_client(install: Install) -> None:
    with install.blocking_client() as client, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda n: client.call("test.echo", n), range(200))) == [*range(200)]


def test_a_waiting_call_does_not_hold_up_others(install: Install) -> None:
    client = install.blocking_client().connect()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(client.call, "test.delay", {"milliseconds": 60_000})
        time.sleep(0.2)
        assert client.call("test.echo", 1) == 1
        assert not waiting.done()
        client.shutdown()
        with pytest.raises(skyline.ClientShutDown):
            waiting.result(10)


def test_clients_share_one_thread(new_install: Callable[[], Install]) -> None:
    with new_install().blocking_client(), new_install().blocking_client():
        names = [thread.name for thread in threading.enumerate()]
    assert names.count("skyline-loop") == 1


def test_failures_are_the_same_exceptions(install: Install) -> None:
    with pytest.raises(skyline.OutdatedVersion):
        install.blocking_client(product_version="1.0.0").connect()
    with install.blocking_client() as client:
        with pytest.raises(skyline.UnknownMethod):
            client.call("no-such-method")
        with pytest.raises(skyline.DeadlineExceeded):
            client.call("test.delay", {"milliseconds": 5000}, deadline=0.05)
        with pytest.raises(skyline.PayloadError):
            client.call("test.echo", object())
        with pytest.raises(RuntimeError, match="connected already"):
            client.connect()
    with pytest.raises(RuntimeError, match="not connected"):
        install.blocking_client().limits()


def test_states_are_iterated(install: Install) -> None:
    client = install.blocking_client().connect()
    states = client.states()
    assert states.next_state() == skyline.Ready()
    threading.Timer(0.1, client.shutdown).start()
    assert list(states) == [skyline.ShutDown()]


def test_it_may_be_used_in_a_thread_with_an_event_loop(install: Install) -> None:
    async def use() -> object:
        with install.blocking_client() as client:
            return client.call("test.echo", 1)

    assert asyncio.run(use()) == 1


def test_a_forgotten_client_is_closed(install: Install) -> None:
    client = install.blocking_client().connect()
    states = client.states()
    assert states.next_state() == skyline.Ready()
    del client
    gc.collect()
    # The reader of states does not keep the connection open.
    assert isinstance([*states][-1], skyline.ShutDown)
