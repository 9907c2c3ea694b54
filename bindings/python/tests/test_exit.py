"""The end of the interpreter, in programs of their own: it never hangs, crashes or complains."""

from __future__ import annotations

import socket

import pytest

from harness import Install, output_of, run_program

# Any of these may end while threads are deep in the library.
PROGRAMS = {
    "a connected asyncio client, never shut down": """
import asyncio
client = asyncio.run(skyline.Client(**settings).connect())
""",
    "a connected blocking client, never shut down": """
client = skyline.BlockingClient(**settings).connect()
""",
    "a failed connection attempt": """
settings["product_version"] = "1.0.0"
try:
    skyline.BlockingClient(**settings).connect()
except skyline.OutdatedVersion:
    pass
""",
    "sys.exit in a coroutine with calls in flight": """
import asyncio
async def main():
    client = await skyline.Client(**settings).connect()
    calls = [asyncio.ensure_future(client.call("test.delay", {"milliseconds": 9000})) for _ in "12"]
    await asyncio.sleep(0.2)
    sys.exit(0)
asyncio.run(main())
""",
    "an event loop that is left with calls in flight": """
import asyncio, logging
# asyncio itself complains about what is pending; that is not what is tested.
logging.getLogger("asyncio").disabled = True
loop = asyncio.new_event_loop()
client = loop.run_until_complete(skyline.Client(**settings).connect())
calls = [loop.create_task(client.call("test.delay", {"milliseconds": 9000})) for _ in "12"]
loop.run_until_complete(asyncio.sleep(0.2))
""",
    "a call that waits in a daemon thread": """
client = skyline.BlockingClient(**settings).connect()
call = client.call, "test.delay", {"milliseconds": 9000}
threading.Thread(target=call[0], args=call[1:], daemon=True).start()
time.sleep(0.2)
""",
    "a batch that waits in a daemon thread": """
client = skyline.BlockingClient(**settings).connect()
requests = [("test.delay", {"milliseconds": 9000})] * 10
threading.Thread(target=client.call_many, args=(requests,), daemon=True).start()
time.sleep(0.2)
""",
    "daemon threads that make batches without pause": """
client = skyline.BlockingClient(**settings).connect()
def hammer():
    while True:
        try:
            client.call_many([("test.echo", bytes(20000))] * 20)
        except skyline.ClientShutDown:
            return
for _ in range(3):
    threading.Thread(target=hammer, daemon=True).start()
time.sleep(0.3)
""",
    "an event loop that cannot watch a handle, in a daemon thread": """
import asyncio
class Loop(asyncio.SelectorEventLoop):
    def add_reader(self, *_):
        raise NotImplementedError
async def main():
    async with skyline.Client(**settings) as client:
        while True:
            calls = (client.call("test.echo", n) for n in range(10))
            await asyncio.gather(*calls, return_exceptions=True)
threading.Thread(target=Loop().run_until_complete, args=(main(),), daemon=True).start()
time.sleep(0.5)
""",
    "a reader of states in a daemon thread": """
client = skyline.BlockingClient(**settings).connect()
threading.Thread(target=lambda: list(client.states()), daemon=True).start()
time.sleep(0.2)
""",
    "daemon threads that call without pause": """
client = skyline.BlockingClient(**settings).connect()
def hammer():
    while True:
        try:
            client.call("test.echo", 1)
        except skyline.ClientShutDown:
            return
for _ in range(4):
    threading.Thread(target=hammer, daemon=True).start()
time.sleep(0.3)
""",
    "daemon threads with event loops of their own": """
import asyncio
async def hammer(client):
    while True:
        await asyncio.gather(
            client.call("test.echo", 1),
            asyncio.wait_for(client.call("test.delay", {"milliseconds": 9000}), 0.001),
            return_exceptions=True,
        )
async def main():
    async with skyline.Client(**settings) as client:
        await asyncio.gather(*(hammer(client) for _ in "1234"))
for _ in range(3):
    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
time.sleep(0.5)
""",
    "records on their way to the logger": """
import io, logging
logging.basicConfig(level=skyline.TRACE, stream=io.StringIO())
client = skyline.BlockingClient(**settings).connect()
def hammer():
    while True:
        try:
            client.call("test.echo", 1)
        except skyline.ClientShutDown:
            return
threading.Thread(target=hammer, daemon=True).start()
time.sleep(0.3)
""",
    "an exit handler that uses the client after the library has ended": """
import atexit
def last():
    try:
        client.call("test.echo", 1)
    except skyline.ClientShutDown:
        client.shutdown()
    else:
        print("not refused")
atexit.register(last)
client = skyline.BlockingClient(**settings).connect()
""",
    "an exit handler that shuts down": """
import atexit
client = skyline.BlockingClient(**settings).connect()
atexit.register(client.shutdown)
""",
}


# What goes wrong at the end of an interpreter depends on who comes first, so each runs often.
@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_interpreter_ends_in_order(name: str, attempt: int, install: Install) -> None:
    assert output_of(PROGRAMS[name], install.settings()) == "", attempt


def test_an_exception_ends_the_program_as_usual(install: Install) -> None:
    done = run_program(
        "client = skyline.BlockingClient(**settings).connect()\nraise ZeroDivisionError",
        install.settings(),
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError"


def test_the_status_of_sys_exit_is_kept(install: Install) -> None:
    done = run_program(
        """
import asyncio
async def main():
    async with skyline.Client(**settings) as client:
        sys.exit(7)
asyncio.run(main())
""",
        install.settings(),
    )
    assert (done.returncode, done.stderr) == (7, "")


def test_an_attempt_to_connect_does_not_delay_the_end(install: Install) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/ws"
        program = """
client = skyline.BlockingClient(**settings)
threading.Thread(target=client.connect, daemon=True).start()
time.sleep(0.2)
"""
        assert output_of(program, install.settings(url=url), seconds=9) == ""
