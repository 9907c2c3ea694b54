"""How calls of asyncio programs reach the library: together, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgpack
import pytest

import skyline
from harness import Install
from skyline import _calls, _methods, _plane, _queue

Result = TypeVar("Result")

LONG = {"milliseconds": 60_000}


class Counted:
    """Counts the calls of a function of the library."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Has counted nothing."""
        self.function = function
        self.results: list[Any] = []

    def __call__(self, *arguments: Any) -> Any:
        """Calls it."""
        result = self.function(*arguments)
        self.results.append(result)
        return result


@pytest.fixture
def submits(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The submits of many calls."""
    counted = Counted(_plane.submit_many)
    monkeypatch.setattr(_plane, "submit_many", counted)
    return counted


@pytest.fixture
def large_submits(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The submits of one call."""
    counted = Counted(_plane.submit)
    monkeypatch.setattr(_plane, "submit", counted)
    return counted


@pytest.fixture
def drains(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """The drains."""
    counted = Counted(_plane.queue_drain)
    monkeypatch.setattr(_plane, "queue_drain", counted)
    return counted


# For how long the loop stands still, in seconds, so that all its calls are answered meanwhile: they
# take milliseconds, and a busy machine may take a second.
ALL_ANSWERED = 4


@contextlib.contextmanager
def in_flight(client: skyline.Client) -> Iterator[None]:
    """While a call is on its way, others are gathered."""
    call = asyncio.ensure_future(client.call("test.delay", LONG))
    yield
    call.cancel()


def run(program: Coroutine[Any, Any, Result]) -> Result:
    """As `asyncio.run`, without forgetting the loop that the tests' plugin has made."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(program)
    finally:
        loop.close()


def queue_of_this_loop() -> _calls.LoopQueue:
    return _calls.queue_of(asyncio.get_running_loop())


async def test_calls_of_one_tick_leave_in_one_submit(install: Install, submits: Counted) -> None:
    async with install.client() as client:
        with in_flight(client):
            await asyncio.sleep(0.05)
            submits.results.clear()
            calls = [asyncio.ensure_future(client.call("test.echo", n)) for n in range(100)]
            assert await asyncio.gather(*calls) == [*range(100)]
        assert len(submits.results) == 1


async def test_a_call_that_is_alone_does_not_wait_for_others(
    install: Install, submits: Counted
) -> None:
    async with install.client() as client:
        for n in range(5):
            call = asyncio.ensure_future(client.call("test.echo", n))
            await asyncio.sleep(0)
            assert len(submits.results) == n + 1
            assert await call == n


async def test_many_completions_wake_the_loop_once(install: Install, drains: Counted) -> None:
    async with install.client() as client:
        await client.call("test.echo", 0)
        calls = [asyncio.ensure_future(client.call("test.echo", n)) for n in range(200)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # The first one left alone, and may be answered already.
        waiting = len(queue_of_this_loop().pending)
        assert waiting >= 199
        drains.results.clear()
        time.sleep(ALL_ANSWERED)  # noqa: ASYNC251
        assert await asyncio.gather(*calls) == [*range(200)]
        assert drains.results == [waiting]


async def test_who_was_answered_together_calls_together(install: Install, submits: Counted) -> None:
    async def twice(client: skyline.Client, n: int) -> None:
        assert await client.call("test.echo", n) == n
        assert await client.call("test.echo", -n) == -n

    async with install.client() as client:
        calls = [asyncio.ensure_future(twice(client, n)) for n in range(50)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        submits.results.clear()
        time.sleep(ALL_ANSWERED)  # noqa: ASYNC251
        await asyncio.gather(*calls)
        assert len(submits.results) == 1


@pytest.mark.parametrize("cause", [MemoryError, KeyboardInterrupt])
async def test_an_answer_that_breaks_keeps_no_other_from_its_own(
    install: Install, monkeypatch: pytest.MonkeyPatch, cause: type[BaseException]
) -> None:
    def breaks(*_: object) -> None:
        raise cause

    async with install.client() as client:
        queue = queue_of_this_loop()
        drain = queue.drain

        def drain_all() -> int:
            try:
                return drain()
            except KeyboardInterrupt:
                return -1

        monkeypatch.setattr(_queue, "_unpack_for", breaks)
        monkeypatch.setattr(queue, "drain", drain_all)
        calls = [asyncio.ensure_future(client.call("test.echo", b"x" * (1 << 20)))]
        calls += [asyncio.ensure_future(client.call("test.echo", n)) for n in range(100)]
        broken, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(broken, MemoryError if cause is MemoryError else InterruptedError)
        assert others == [*range(100)]


async def test_a_cancelled_call_frees_its_slot(install: Install) -> None:
    async with install.client(max_calls_in_flight=1) as client:
        for _ in range(3):
            call = asyncio.ensure_future(client.call("test.delay", LONG))
            await asyncio.sleep(0.05)
            assert len(queue_of_this_loop().pending) == 1
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert queue_of_this_loop().pending == {}
            assert await client.call("test.echo", 1, deadline=5) == 1


async def test_a_call_that_is_given_up_before_it_left_is_not_sent(install: Install) -> None:
    async with install.client() as client:
        with in_flight(client):
            await asyncio.sleep(0.05)
            event = client.send_event("never")
            event.send(None)
            event.close()
            await client.send_event("sent")
        assert [event["event"] for event in await client.call("test.events")] == ["sent"]


async def test_an_answer_that_comes_too_late_is_ignored(install: Install) -> None:
    async with install.client() as client:
        call = asyncio.ensure_future(client.call("test.echo", 1))
        await asyncio.sleep(0)
        # It is there already, and nobody has looked.
        time.sleep(0.3)  # noqa: ASYNC251
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await client.call("test.echo", 2) == 2
        assert queue_of_this_loop().pending == {}


async def test_a_task_may_be_cancelled_by_one_that_was_answered_with_it(install: Install) -> None:
    calls: list[asyncio.Future[Any]] = []

    async def first(client: skyline.Client) -> None:
        await client.call("test.echo", 1)
        calls[1].cancel()

    async def second(client: skyline.Client) -> None:
        await client.call("test.echo", 2)

    async with install.client() as client:
        calls += [asyncio.ensure_future(first(client)), asyncio.ensure_future(second(client))]
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[0] is None
        # The answer of the second may have been taken before that of the first.
        assert results[1] is None or isinstance(results[1], asyncio.CancelledError)
        assert await client.call("test.echo", 3) == 3


def test_a_task_that_ends_the_program_leaves_the_others_their_answers(install: Install) -> None:
    async def leave(client: skyline.Client) -> None:
        await client.call("test.echo", 1)
        sys.exit(7)

    tasks: list[asyncio.Future[Any]] = []

    async def use(client: skyline.Client) -> None:
        tasks.extend(asyncio.ensure_future(client.call("test.echo", n)) for n in range(5))
        tasks.insert(2, asyncio.ensure_future(leave(client)))
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(install.client().connect())
    using = loop.create_task(use(client))
    with pytest.raises(SystemExit):
        loop.run_until_complete(using)
    leaving = tasks.pop(2)
    assert isinstance(leaving.exception(), SystemExit)

    async def rest() -> list[Any]:
        using.cancel()
        return await asyncio.gather(*tasks)

    assert loop.run_until_complete(rest()) == [*range(5)]
    loop.run_until_complete(client.shutdown())
    loop.close()


async def test_a_task_keeps_its_context(install: Install) -> None:
    mine: contextvars.ContextVar[int] = contextvars.ContextVar("mine")

    async def use(client: skyline.Client, number: int) -> None:
        mine.set(number)
        for _ in range(3):
            assert await client.call("test.echo", number) == number
            assert mine.get() == number
            task = asyncio.current_task()
            assert task is not None
            assert task.get_name() == f"task {number}"

    async with install.client() as client:
        await asyncio.gather(
            *(asyncio.create_task(use(client, n), name=f"task {n}") for n in range(20))
        )


def test_it_works_with_what_asyncio_checks_for_developers(install: Install) -> None:
    async def use() -> None:
        async with install.client() as client:
            assert await client.call("test.echo", 1) == 1
            calls = (client.call("test.echo", n) for n in range(100))
            assert await asyncio.gather(*calls) == [*range(100)]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.call("test.delay", LONG), 0.05)

    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    loop.run_until_complete(use())
    loop.close()


def test_a_loop_that_is_closed_with_calls_in_flight_does_no_harm(install: Install) -> None:
    async def begin(client: skyline.Client) -> list[asyncio.Future[Any]]:
        calls: list[asyncio.Future[Any]] = []
        calls += [asyncio.ensure_future(client.call("test.delay", LONG)) for _ in range(3)]
        calls += [asyncio.ensure_future(client.call("test.echo", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        return calls

    client = run(install.client(max_calls_in_flight=4).connect())
    for _ in range(3):
        loop = asyncio.new_event_loop()
        calls = loop.run_until_complete(begin(client))
        loop.call_soon(lambda: None)
        loop.close()
        for call in calls:
            # asyncio would complain about them.
            call._log_destroy_pending = False  # type: ignore[attr-defined]
        queue = weakref.ref(_calls._queues[loop]())
        del call, calls, loop
        gc.collect()
        assert queue() is None
    assert run(echo(client, 1)) == 1
    run(client.shutdown())


async def echo(client: skyline.Client, payload: Any) -> Any:
    return await client.call("test.echo", payload, deadline=10)


def test_the_queue_of_a_loop_goes_with_it(install: Install) -> None:
    queues = []

    async def use(client: skyline.Client) -> None:
        assert await echo(client, 1) == 1
        queues.append(weakref.ref(queue_of_this_loop().native))

    client = run(install.client().connect())
    before = len(_calls._queues)
    for _ in range(5):
        run(use(client))
    gc.collect()
    assert [queue() for queue in queues] == [None] * 5
    assert len(_calls._queues) <= before
    run(client.shutdown())


def test_loops_in_several_threads_share_a_client(install: Install) -> None:
    client = run(install.client().connect())
    failures: list[BaseException] = []

    async def use(number: int) -> None:
        for n in range(20):
            mine = [[number, n, k] for k in range(10)]
            assert await asyncio.gather(*(client.call("test.echo", each) for each in mine)) == mine
            assert await client.call("test.echo", number) == number

    def run_thread(number: int) -> None:
        try:
            asyncio.run(use(number))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run_thread, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    run(client.shutdown())


async def test_clients_share_the_queue_of_a_loop(
    new_install: Callable[[], Install], submits: Counted
) -> None:
    async with new_install().client() as one, new_install().client() as other:
        with in_flight(one):
            await asyncio.sleep(0.05)
            submits.results.clear()
            calls = [client.call("test.echo", n) for n in range(50) for client in (one, other)]
            assert await asyncio.gather(*calls) == [n for n in range(50) for _ in "12"]
        # One for each client.
        assert len(submits.results) == 2


async def test_large_payloads_are_not_joined(
    install: Install, submits: Counted, large_submits: Counted
) -> None:
    large, small = bytes(_plane.LARGE), b"small"
    async with install.client() as client:
        with in_flight(client):
            await asyncio.sleep(0.05)
            submits.results.clear()
            payloads = [small, large, small, large, small]
            answers = await asyncio.gather(*(client.call("test.echo", each) for each in payloads))
        assert answers == payloads
        assert len(large_submits.results) == 2
        packed = msgpack.packb(large)
        assert await client.call_raw("test.echo", packed) == packed
        others: list[Any] = [bytearray(packed), memoryview(packed)]
        for raw in others:
            assert await client.call_raw("test.echo", raw) == packed
        # Larger than `LARGE`, and nothing that Python could hold.
        with pytest.raises(skyline.PayloadError):
            await client.call("test.echo", {("a", "tuple"): large})
        assert await client.call("test.echo", 1) == 1


class LoopWithoutWatching(asyncio.SelectorEventLoop):
    """An event loop that watches no handles, as the proactor loop of Windows."""

    def add_reader(self, *_arguments: Any) -> None:  # type: ignore[override]
        """Refuses."""
        raise NotImplementedError


def pumps() -> int:
    return sum(thread.name == "skyline-pump" for thread in threading.enumerate())


def test_a_loop_that_cannot_watch_a_handle_has_a_thread_for_it(install: Install) -> None:
    async def use() -> None:
        async with install.client() as client:
            for n in range(20):
                assert await client.call("test.echo", n) == n
            calls = (client.call("test.echo", n) for n in range(300))
            assert await asyncio.gather(*calls) == [*range(300)]
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.call("test.delay", LONG), 0.1)
            assert pumps() == 1

    before = pumps()
    loop = LoopWithoutWatching()
    loop.run_until_complete(asyncio.wait_for(use(), 60))
    loop.close()
    deadline = time.monotonic() + 10
    while pumps() > before:
        assert time.monotonic() < deadline, "the thread outlives its loop"
        time.sleep(0.05)


async def test_a_deadline_of_nothing_passes_at_once(install: Install) -> None:
    async with install.client() as client:
        for deadline in (0, 0.0, 1e-9):
            with pytest.raises(skyline.DeadlineExceeded):
                await client.call("test.delay", LONG, deadline=deadline)
        assert await client.call("test.echo", 1, deadline=1e9) == 1
        assert await client.call("test.echo", 1, deadline=1e12) == 1
        for wrong in (float("nan"), float("inf"), 1e300, -0.001):
            with pytest.raises(skyline.InvalidConfiguration):
                await client.call("test.echo", 1, deadline=wrong)


async def test_a_method_must_be_text(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(TypeError, match="method must be a str"):
            await client.call(1)  # type: ignore[arg-type]
        with pytest.raises(skyline.InvalidConfiguration):
            await client.call("\ud800")
        with pytest.raises(skyline.UnknownMethod):
            await client.call("")
        assert await client.call("test.echo", 1) == 1


async def test_a_failure_holds_no_client(install: Install) -> None:
    client = await install.client().connect()
    with pytest.raises(skyline.UnknownMethod):
        await client.call("no-such-method")
    gone = weakref.ref(client)
    gc.disable()
    try:
        await client.shutdown()
        del client
        assert gone() is None
    finally:
        gc.enable()


def test_an_event_is_packed_as_the_library_does() -> None:
    packed = _methods.event("app.start", {"a": 1})
    assert packed == b"\x82\xa5event\xa9app.start\xa4data\x81\xa1a\x01"
    assert _methods.event("é", None) == b"\x82\xa5event\xa2\xc3\xa9\xa4data\x80"


@pytest.mark.parametrize(
    "payload", [None, [], "text", {1: 1}, {"a": "b"}, {"a": 1.0}, {"a": True}, {"a": 2**63}]
)
def test_limits_of_another_shape_are_refused(payload: Any) -> None:
    with pytest.raises(skyline.PayloadError):
        _methods.limits(payload)
    assert _methods.limits({}) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="it looks at Linux's list of open files")
def test_nothing_is_left_open(install: Install) -> None:
    async def use() -> None:
        async with install.client() as client:
            await asyncio.gather(*(client.call("test.echo", n) for n in range(10)))

    run(use())
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        run(use())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
