"""`os.fork`: a clear error in the child, never a hang, and a parent that goes on."""

from __future__ import annotations

import os

import pytest

from harness import Install, output_of

if not hasattr(os, "fork"):
    pytest.skip("this system has no fork", allow_module_level=True)

# A child that reports what the operation raised, and then leaves as any program does: its exit
# handlers run.
FORK = """
import asyncio, warnings
# Python 3.12 and later warn of what is tested here.
warnings.simplefilter("ignore", DeprecationWarning)

def in_child(operation, leave=sys.exit):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            operation()
        except skyline.SkylineError as error:
            print(type(error).__name__, error.code, "spawn" in str(error))
        else:
            print("no error")
        sys.stdout.flush()
        leave(0)
    _, status = os.waitpid(child, 0)
    print("status", status)

"""


def lines_of(program: str, install: Install) -> list[str]:
    return output_of(FORK + program, install.settings(), seconds=40).splitlines()


FORKED = ["ForkedError FORKED True", "status 0"]


def test_a_blocking_client_says_so_in_a_child(install: Install) -> None:
    program = """
with skyline.BlockingClient(**settings) as client:
    in_child(lambda: client.call("test.echo", 1))
    in_child(lambda: client.call_raw("test.echo", bytes(20000)))
    in_child(lambda: client.call_many([("test.echo", 1)]))
    in_child(lambda: client.limits())
    in_child(lambda: client.send_event("e"))
    in_child(lambda: client.session)
    in_child(lambda: next(client.states()))
    in_child(lambda: skyline.BlockingClient(**settings).connect())
    in_child(lambda: skyline.DeviceIdentity.detect(os.environ["SKYLINE_STATE_FOLDER"]))
    in_child(lambda: client.shutdown())
    print(client.call("test.echo", "parent"))
"""
    assert lines_of(program, install) == FORKED * 9 + ["no error", "status 0", "parent"]


def test_an_asyncio_client_says_so_in_a_child(install: Install) -> None:
    program = """
async def connect():
    return await skyline.Client(**settings).connect()

async def call(client):
    return await client.call("test.echo", "parent")

loop = asyncio.new_event_loop()
client = loop.run_until_complete(connect())
# A child that ends in order takes the event loop of its parent apart, which is asyncio's doing.
in_child(lambda: asyncio.run(call(client)), leave=os._exit)
in_child(lambda: asyncio.run(client.call_many([("test.echo", 1)])), leave=os._exit)
in_child(lambda: asyncio.run(connect()), leave=os._exit)
# In the loop of the parent's, too.
async def many(client):
    await asyncio.gather(*(call(client) for _ in range(5)))
assert loop.run_until_complete(call(client)) == "parent"
in_child(lambda: loop.run_until_complete(call(client)), leave=os._exit)
in_child(lambda: loop.run_until_complete(many(client)), leave=os._exit)
in_child(lambda: loop.run_until_complete(client.call_many([("a", 1)])), leave=os._exit)
print(loop.run_until_complete(call(client)))
loop.run_until_complete(client.shutdown())
loop.close()
"""
    assert lines_of(program, install) == FORKED * 6 + ["parent"]


def test_a_child_that_only_inherits_ends_in_order(install: Install) -> None:
    program = """
client = skyline.BlockingClient(**settings).connect()
call = client.call, "test.delay", {"milliseconds": 9000}
threading.Thread(target=call[0], args=call[1:], daemon=True).start()
time.sleep(0.2)
for _ in range(10):
    in_child(lambda: None)
print(client.call("test.echo", "parent"))
"""
    assert lines_of(program, install) == ["no error", "status 0"] * 10 + ["parent"]


def test_a_fork_before_the_first_connect_is_no_fork_to_the_library(install: Install) -> None:
    program = """
def use():
    with skyline.BlockingClient(**settings) as client:
        print(client.call("test.echo", "child"))

in_child(use)
use()
"""
    assert lines_of(program, install) == ["child", "no error", "status 0", "child"]
