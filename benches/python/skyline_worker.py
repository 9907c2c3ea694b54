"""A worker through the public Python package; BENCH_LOOP is asyncio, uvloop or blocking."""

import os
import time
from typing import TypedDict

import skyline
from worker import Task, blocking_load, check, chosen, load, report, run_async


class Settings(TypedDict):
    """Arguments of both clients."""

    url: str
    identity_keys: str
    license_key: str
    state_folder: str
    product_id: str
    product_version: str


def settings() -> Settings:
    return {
        "url": os.environ["SKYLINE_URL"],
        "identity_keys": os.environ["SKYLINE_IDENTITY_KEY"],
        "license_key": os.environ["SKYLINE_LICENSE_KEY"],
        "state_folder": os.environ["SKYLINE_STATE_FOLDER"],
        "product_id": "telepower",
        "product_version": "7.0.3",
    }


async def work(task: Task) -> None:
    payload = bytes(task.payload_bytes)
    begun = time.perf_counter()
    async with skyline.Client(**settings()) as client:
        connected_in = time.perf_counter() - begun

        async def call() -> None:
            check(await client.call("test.echo", payload), len(payload))

        calls, latencies = await load(task, call)
    report(task, calls, connected_in, latencies)


def work_blocking(task: Task) -> None:
    payload = bytes(task.payload_bytes)
    begun = time.perf_counter()
    with skyline.BlockingClient(**settings()) as client:
        connected_in = time.perf_counter() - begun

        def call() -> None:
            check(client.call("test.echo", payload), len(payload))

        calls, latencies = blocking_load(task, call)
    report(task, calls, connected_in, latencies)


def main() -> None:
    task = Task.from_environment()
    loop = chosen("BENCH_LOOP", ("asyncio", "uvloop", "blocking"))
    if loop == "blocking":
        work_blocking(task)
    else:
        run_async(loop, work(task))


if __name__ == "__main__":
    main()
