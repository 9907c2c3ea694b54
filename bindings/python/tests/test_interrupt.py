"""Ctrl-C: it ends what waits, and leaves the client usable."""

from __future__ import annotations

import sys

import pytest

from harness import Install, output_of

if sys.platform == "win32":
    pytest.skip("the tests send SIGINT as POSIX systems do", allow_module_level=True)

# Interrupts the main thread a moment later, as Ctrl-C does.
INTERRUPT = """
import asyncio, signal
def interrupt_soon():
    signal.setitimer(signal.ITIMER_REAL, 0.3)
# As in a terminal: a program that was started in the background inherits that SIGINT is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
"""


def test_it_ends_a_blocking_call(install: Install) -> None:
    program = """
with skyline.BlockingClient(**settings) as client:
    for _ in range(3):
        interrupt_soon()
        begun = time.monotonic()
        try:
            client.call("test.delay", {"milliseconds": 20000})
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - begun < 10, client.call("test.echo", 1))
    interrupt_soon()
    try:
        client.call_many([("test.delay", {"milliseconds": 20000})] * 10)
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - begun < 10, client.call("test.echo", 1))
    interrupt_soon()
    states = client.states()
    print(next(states))
    try:
        next(states)
    except KeyboardInterrupt:
        print("interrupted")
"""
    lines = output_of(INTERRUPT + program, install.settings()).splitlines()
    assert lines == ["interrupted True 1"] * 4 + ["Ready()", "interrupted"]


def test_it_ends_a_blocking_connect(install: Install) -> None:
    program = """
import socket
with socket.create_server(("127.0.0.1", 0)) as silent:
    url = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws"
    interrupt_soon()
    begun = time.monotonic()
    try:
        skyline.BlockingClient(**{**settings, "url": url}).connect()
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - begun < 5)
with skyline.BlockingClient(**settings) as client:
    print(client.call("test.echo", 1))
"""
    lines = output_of(INTERRUPT + program, install.settings()).splitlines()
    assert lines == ["interrupted True", "1"]


def test_it_ends_an_asyncio_program(install: Install) -> None:
    program = """
async def main():
    async with skyline.Client(**settings) as client:
        interrupt_soon()
        await client.call("test.delay", {"milliseconds": 20000})
begun = time.monotonic()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - begun < 10)
"""
    assert output_of(INTERRUPT + program, install.settings()) == "interrupted True\n"
