"""What the Python workers share: the task of the environment, the callers, and the report.

benches/README.md has the contract.
"""

import asyncio
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

Call = Callable[[], Awaitable[None]]
"""Makes one call and raises unless its answer is what it should be."""


@dataclass(frozen=True)
class Task:
    """The load to make, and for how long; `rate` is calls per second of all callers together."""

    callers: int
    payload_bytes: int
    warmup: float
    seconds: float
    rate: float | None

    @classmethod
    def from_environment(cls) -> "Task":
        rate = os.environ.get("BENCH_RATE")
        return cls(
            callers=int(os.environ["BENCH_CALLERS"]),
            payload_bytes=int(os.environ["BENCH_PAYLOAD_BYTES"]),
            warmup=float(os.environ["BENCH_WARMUP_SECONDS"]),
            seconds=float(os.environ["BENCH_SECONDS"]),
            rate=float(rate) if rate else None,
        )


def chosen(name: str, choices: tuple[str, ...]) -> str:
    """The value of a variable that has a few, the first by default."""
    value = os.environ.get(name) or choices[0]
    if value not in choices:
        sys.exit(f"{name} is {value!r}; there are {', '.join(choices)}")
    return value


def run_async(loop: str, work: Coroutine[Any, Any, None]) -> None:
    """Runs the coroutine under `asyncio` or `uvloop`."""
    if loop == "uvloop":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


def check(answer: object, length: int) -> None:
    """The answer to an echo must be as long as what was sent."""
    if not isinstance(answer, bytes) or len(answer) != length:
        raise RuntimeError(f"the answer is not the {length} bytes that were sent")


def report(
    task: Task, calls: int, connected_in: float, latencies: list[float] | None = None
) -> None:
    """Prints the one line."""
    line: dict[str, Any] = {
        "calls": calls,
        "seconds": task.seconds,
        "connect_ms": connected_in * 1e3,
    }
    if latencies is not None:
        line["latency_us"] = percentiles(latencies)
    print(json.dumps(line), flush=True)


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Percentiles of times in seconds, in microseconds."""
    if not latencies:
        raise RuntimeError("no call was measured")
    ordered = sorted(latencies)
    last = len(ordered) - 1
    quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    return {name: ordered[round(last * quantile)] * 1e6 for name, quantile in quantiles.items()}


async def load(task: Task, call: Call) -> tuple[int, list[float] | None]:
    """Makes the load: how many calls were answered, and under a rate how long each took."""
    if task.rate is not None:
        latencies = await _at_rate(task, task.rate, call)
        return len(latencies), latencies
    begin = time.perf_counter() + task.warmup
    end = begin + task.seconds
    if task.callers == 1:
        return await _one_caller(begin, end, call), None
    callers = (_one_caller(begin, end, call) for _ in range(task.callers))
    return sum(await asyncio.gather(*callers)), None


async def _one_caller(begin: float, end: float, call: Call) -> int:
    clock = time.perf_counter
    calls = 0
    while True:
        await call()
        now = clock()
        if now >= end:
            return calls
        if now >= begin:
            calls += 1


async def _at_rate(task: Task, rate: float, call: Call) -> list[float]:
    """Calls at fixed times, whether or not earlier ones were answered in time."""
    loop = asyncio.get_running_loop()
    due: asyncio.Queue[tuple[float, bool] | None] = asyncio.Queue()
    latencies: list[float] = []

    def tell(planned: tuple[float, bool] | None) -> None:
        loop.call_soon_threadsafe(due.put_nowait, planned)

    async def caller() -> None:
        while planned := await due.get():
            await call()
            if planned[1]:
                latencies.append(time.perf_counter() - planned[0])

    pacer = threading.Thread(target=pace, args=(task, rate, tell))
    pacer.start()
    await asyncio.gather(*(caller() for _ in range(task.callers)))
    pacer.join()
    return latencies


def pace(task: Task, rate: float, tell: Callable[[tuple[float, bool] | None], None]) -> None:
    """Tells when each call is due and whether it counts; at the end None to each caller.

    A thread sleeps until then, since the timers of asyncio know whole milliseconds only.
    """
    start = time.perf_counter()
    begin = start + task.warmup
    end = begin + task.seconds
    number = 0
    while (planned := start + number / rate) < end:
        time.sleep(max(0.0, planned - time.perf_counter()))
        tell((planned, planned >= begin))
        number += 1
    for _ in range(task.callers):
        tell(None)


def blocking_load(task: Task, call: Callable[[], None]) -> tuple[int, list[float] | None]:
    """As `load`, for calls that block; each caller is a thread."""
    if task.callers == 1 and task.rate is None:
        return _blocking_caller(task, call), None
    done: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
    due: queue.SimpleQueue[tuple[float, bool] | None] = queue.SimpleQueue()
    latencies: list[float] = []

    def caller() -> None:
        try:
            if task.rate is None:
                done.put(_blocking_caller(task, call))
                return
            while planned := due.get():
                call()
                if planned[1]:
                    latencies.append(time.perf_counter() - planned[0])
            done.put(0)
        except BaseException as error:
            done.put(error)

    for _ in range(task.callers):
        threading.Thread(target=caller, daemon=True).start()
    if task.rate is not None:
        pace(task, task.rate, due.put)
    calls = 0
    for _ in range(task.callers):
        outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        calls += outcome
    return (calls, None) if task.rate is None else (len(latencies), latencies)


def _blocking_caller(task: Task, call: Callable[[], None]) -> int:
    clock = time.perf_counter
    begin = clock() + task.warmup
    end = begin + task.seconds
    calls = 0
    while True:
        call()
        now = clock()
        if now >= end:
            return calls
        if now >= begin:
            calls += 1
