"""The asyncio client beyond the scenarios."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import subprocess
import sys

import pytest

import skyline
from harness import Install, Server

LONG = {"milliseconds": 60_000}


async def test_a_timeout_cancels_the_call(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.call("test.delay", LONG), 0.1)
        assert await client.call("test.echo", 1) == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11")
async def test_a_timeout_block_cancels_the_call(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(TimeoutError) as passed:
            async with asyncio.timeout(0.1):  # type: ignore[attr-defined, unused-ignore]
                await client.call("test.delay", LONG)
        assert not isinstance(passed.value, skyline.SkylineError)
        assert await client.call("test.echo", 1) == 1


async def test_a_call_may_be_cancelled_before_it_began(install: Install) -> None:
    async with install.client() as client:
        call = asyncio.ensure_future(client.call("test.delay", LONG))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await client.call("test.echo", 1) == 1


async def test_cancelled_calls_leave_room_for_others(install: Install) -> None:
    async with install.client(max_calls_in_flight=4) as client:
        for _ in range(5):
            calls = [asyncio.ensure_future(client.call("test.delay", LONG)) for _ in range(8)]
            await asyncio.sleep(0.05)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert await client.call("test.echo", 1, deadline=5) == 1


async def test_cancelling_the_connecting_leaves_nothing_behind(install: Install) -> None:
    for seconds in (0.0, 0.001, 0.003, 0.01, 0.03):
        client = install.client()
        connecting = asyncio.ensure_future(client.connect())
        await asyncio.sleep(seconds)
        connecting.cancel()
        # Some may have been quicker than that.
        with contextlib.suppress(asyncio.CancelledError):
            await connecting
        await client.shutdown()
    async with install.client() as client:
        assert await client.call("test.echo", 1) == 1


async def test_a_deadline_may_be_a_timedelta(install: Install) -> None:
    async with install.client(call_deadline=datetime.timedelta(milliseconds=50)) as client:
        with pytest.raises(skyline.DeadlineExceeded):
            await client.call("test.delay", LONG)
        longer = datetime.timedelta(seconds=20)
        assert await client.call("test.delay", {"milliseconds": 100}, deadline=longer) is None
        with pytest.raises(skyline.InvalidConfiguration) as wrong:
            await client.call("test.echo", deadline=-1)
        assert wrong.value.field == "deadline"


async def test_states_are_told_to_each_reader(install: Install) -> None:
    async with install.client() as client:
        first, second = client.states(), client.states()
        assert await first.next_state() == skyline.Ready()
        assert await second.next_state() == skyline.Ready()
    assert [state async for state in first] == [skyline.ShutDown()]
    assert [state async for state in second] == [skyline.ShutDown()]
    assert [state async for state in client.states()] == [skyline.ShutDown()]


async def test_a_lost_connection_is_told(install: Install) -> None:
    # So that the state is not over before it is read.
    day = datetime.timedelta(days=1)
    async with install.client(reconnect_initial_delay=day, reconnect_max_delay=day) as client:
        states = client.states()
        assert await states.next_state() == skyline.Ready()
        with pytest.raises(skyline.ConnectionLost) as lost:
            await client.call("test.drop-connection")
        assert lost.value.maybe_executed is True
        state = await states.next_state()
        assert isinstance(state, skyline.Reconnecting)
        assert isinstance(state.last_error, skyline.ConnectionLost)


async def test_a_breach_is_told(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.IntegrityBreach):
            await client.call("test.status", {"status": "INTEGRITY_BREACH", "message": "B"})
        state = [state async for state in client.states()][-1]
        assert isinstance(state, skyline.Breached)
        assert isinstance(state.error, skyline.IntegrityBreach)
        assert state.error.server_message == "B"


async def test_a_reader_of_states_may_be_cancelled(install: Install) -> None:
    async with install.client() as client:
        states = client.states()
        await states.__anext__()
        waiting = asyncio.ensure_future(states.__anext__())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await client.call("test.echo", 1) == 1


async def test_it_must_be_connected_once(install: Install) -> None:
    client = install.client()
    for use in (client.limits(), client.call("test.echo"), client.send_event("early")):
        with pytest.raises(RuntimeError, match="not connected"):
            await use
    with pytest.raises(RuntimeError, match="not connected"):
        client.states()
    with pytest.raises(RuntimeError, match="not connected"):
        _ = client.session
    await client.shutdown()
    async with client:
        with pytest.raises(RuntimeError, match="connected already"):
            await client.connect()
        assert await client.call("test.echo", 1) == 1


async def test_a_failed_connect_may_be_repeated(install: Install, own_server: Server) -> None:
    install.server = own_server
    client = install.client()
    with pytest.raises(skyline.LicenseNotFound):
        await client.connect()
    own_server.issue("--key", install.license_key)
    async with client:
        assert client.session.is_activated_now


async def test_an_exception_in_the_block_shuts_down(install: Install) -> None:
    with pytest.raises(ZeroDivisionError):
        async with install.client() as client:
            raise ZeroDivisionError
    with pytest.raises(skyline.ClientShutDown):
        await client.call("test.echo")


async def test_a_session_is_frozen_and_has_dates(install: Install) -> None:
    async with install.client() as client:
        session = client.session
    assert type(session.activation_date) is type(session.expiry_date) is datetime.date
    with pytest.raises(AttributeError):
        session.license_plan = "mine"  # type: ignore[misc]


async def test_its_description_names_product_and_no_key(install: Install) -> None:
    client = install.client()
    assert repr(client) == "<skyline.Client of telepower 7.0.3>"
    assert repr(install.blocking_client()) == "<skyline.BlockingClient of telepower 7.0.3>"
    shown = repr(vars(client)) + str(client._configuration) + repr(client._configuration)
    assert install.license_key not in shown


async def test_a_forgotten_client_is_closed(install: Install) -> None:
    client = await install.client().connect()
    states = client.states()
    assert await states.next_state() == skyline.Ready()
    del client
    gc.collect()
    assert isinstance([state async for state in states][-1], skyline.ShutDown)


def test_event_loops_come_and_go(install: Install) -> None:
    async def use() -> object:
        async with install.client() as client:
            return await client.call("test.echo", 1)

    assert [asyncio.run(use()) for _ in range(3)] == [1, 1, 1]


async def test_an_event_is_any_mapping(install: Install) -> None:
    from types import MappingProxyType

    async with install.client() as client:
        await client.send_event("app.start", MappingProxyType({"at": (1, 2)}))
        assert (await client.call("test.events"))[0]["data"] == {"at": [1, 2]}


def test_an_import_leaves_out_what_few_need() -> None:
    program = "import sys, skyline; print([n for n in sys.modules if n.endswith('_update')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
    assert skyline.UpdateProgress.__module__ == "skyline._update"
    with pytest.raises(AttributeError, match="nothing"):
        _ = skyline.nothing  # type: ignore[attr-defined]
