"""The scenarios of docs/scenarios.md, one test each, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import datetime
import gc
import logging
import os
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import pytest

import skyline
from harness import MINIMUM_VERSION, MONTHLY, PRODUCT, SESSION_TOKEN, Install, Server

State = TypeVar("State")

MIB = 1 << 20

# Longer than any test runs: a call that is to be ended by something else.
LONG = {"milliseconds": 60_000}


async def test_a_first_login_activates_the_license(install: Install) -> None:
    async with install.client() as client:
        session = client.session
    assert session.is_activated_now is True
    assert session.license_plan == MONTHLY
    assert session.activation_date <= datetime.datetime.now(datetime.timezone.utc).date()
    # A calendar month has 28 to 31 days, and ends on the same day where the next month has it.
    assert 28 <= (session.expiry_date - session.activation_date).days <= 31
    if session.activation_date.day <= 28:
        assert session.expiry_date.day == session.activation_date.day


async def test_a_second_login_finds_the_license_active(install: Install) -> None:
    async with install.client() as client:
        first = client.session
    async with install.client() as client:
        second = client.session
    assert second == dataclasses.replace(first, is_activated_now=False)


async def test_an_outdated_version_is_refused(install: Install) -> None:
    with pytest.raises(skyline.OutdatedVersion) as refused:
        await install.client(product_version="6.9.9", language="russian").connect()
    assert refused.value.code == refused.value.status == "OUTDATED_VERSION"
    assert refused.value.server_message == str(refused.value) == "Версия ПО устарела."
    async with install.client(product_version=MINIMUM_VERSION) as client:
        assert client.session.is_activated_now


async def test_a_key_bound_to_another_device_is_refused(
    install: Install, new_install: Callable[[], Install]
) -> None:
    async with install.client():
        pass
    other = new_install()
    other.license_key = install.license_key
    with pytest.raises(skyline.KeyBoundToAnotherDevice) as refused:
        await other.client(language="russian").connect()
    assert refused.value.code == refused.value.status == "KEY_BOUND_TO_ANOTHER_DEVICE"
    assert refused.value.server_message == str(refused.value)
    assert "привязан к другому устройству" in str(refused.value)


async def test_an_integrity_breach_reported_by_the_server_latches(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.IntegrityBreach) as breach:
            await client.call("test.status", {"status": "INTEGRITY_BREACH", "message": "Breach."})
        assert breach.value.breach_reason == "reported-by-server"
        assert breach.value.status == "INTEGRITY_BREACH"
        assert str(breach.value) == breach.value.server_message == "Breach."
        for method in ("test.echo", "test.events"):
            with pytest.raises(skyline.IntegrityBreach) as again:
                await client.call(method)
            assert again.value.breach_reason == "reported-by-server"

    async with install.client() as client:
        await client.call("test.forget-logins")
    with pytest.raises(skyline.IntegrityBreach) as breach:
        await install.client(language="russian").connect()
    assert breach.value.breach_reason == "reported-by-server"
    assert breach.value.server_message is not None
    assert "LL" in breach.value.server_message


async def test_a_wrong_identity_key_is_a_breach(install: Install, own_server: Server) -> None:
    with pytest.raises(skyline.IntegrityBreach) as breach:
        await install.client(identity_keys=own_server.identity_key).connect()
    assert breach.value.breach_reason == "server-signature"
    assert breach.value.status is None


async def test_an_unknown_license_is_refused(install: Install) -> None:
    with pytest.raises(skyline.LicenseNotFound) as refused:
        await install.client(license_key="BCDFG-HJKMP-QRTVW-XY234-6789B").connect()
    assert refused.value.code == refused.value.status == "LICENSE_NOT_FOUND"
    assert refused.value.server_message == str(refused.value) != ""


async def test_limits_are_read(server: Server, install: Install) -> None:
    async with install.client() as client:
        assert await client.limits() == {
            "engine.limits.inviteToChannel.dailyLimit": 500,
            "engine.limits.sendMessage.dailyLimit": 150,
        }
    install.license_key = server.issue("--limit", "engine.limits.sendMessage.dailyLimit=7")
    async with install.client() as client:
        assert (await client.limits())["engine.limits.sendMessage.dailyLimit"] == 7


async def test_an_event_is_stored(install: Install) -> None:
    data = {"to": "/account-manager", "trail": [1, None, {"deep": True}], "raw": b"\x00\xff"}
    async with install.client() as client:
        await client.send_event("app.navigation", data)
        await client.send_event("app.start")
        assert await client.call("test.events") == [
            {"event": "app.navigation", "data": data, "id": None},
            {"event": "app.start", "data": {}, "id": None},
        ]


async def test_every_messagepack_type_survives_a_call(install: Install) -> None:
    values: list[Any] = [
        *(None, True, False),
        *(0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32),
        *(-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1),
        *(0.0, -0.5, 1e300, float("inf")),
        *("", "short", "a" * 32, "b" * 256, "c" * 65_536),
        *(b"", b"\x00\xff", b"d" * 256, b"e" * 65_536),
        *([], [1, [2, [3]]], list(range(16)), list(range(65_536))),
        *({}, {"key": {"inner": [1]}}, {1: "one", b"two": 2, False: None}),
        {str(number): number for number in range(65_536)},
        *(msgpack.ExtType(5, b"x" * size) for size in (0, 1, 2, 4, 8, 16, 17, 256, 65_536)),
        msgpack.ExtType(127, b"last"),
        msgpack.Timestamp(1_765_529_203, 999_999_999),
    ]
    async with install.client() as client:
        for value in values:
            answer = await client.call("test.echo", [value])
            assert answer == [value]
            assert type(answer[0]) is type(value)
        assert await client.call("test.echo", values) == values
        assert await client.call("test.echo") is None
        single = msgpack.packb(2.5, use_single_float=True)
        assert await client.call_raw("test.echo", single) == single


async def test_an_unknown_status_is_kept_as_it_came(install: Install) -> None:
    request = {"status": "LUNAR_ECLIPSE", "message": "Подождите рассвета."}
    async with install.client() as client:
        with pytest.raises(skyline.UnknownStatus) as failure:
            await client.call("test.status", request)
        assert await client.call("test.echo", 1) == 1
    assert isinstance(failure.value, skyline.StatusError)
    assert failure.value.code == "UNKNOWN_STATUS"
    assert failure.value.status == "LUNAR_ECLIPSE"
    assert failure.value.server_message == "Подождите рассвета."
    assert "Подождите рассвета." in str(failure.value)


async def test_an_unknown_method_is_refused(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.UnknownMethod) as refused:
            await client.call("no-such-method", {"a": 1})
        assert refused.value.code == refused.value.status == "UNKNOWN_METHOD"
        assert await client.call("test.echo", "still here") == "still here"


async def test_many_concurrent_calls_get_their_own_answers(install: Install) -> None:
    async with install.client() as client:
        answers = await asyncio.gather(
            *(client.call("test.echo", {"number": number}) for number in range(500))
        )
    assert answers == [{"number": number} for number in range(500)]


async def test_a_large_payload_goes_both_ways(install: Install) -> None:
    payload = bytes(range(256)) * (3 * MIB // 256)
    async with install.client() as client:
        assert await client.call("test.echo", payload) == payload
    async with install.client(max_packet_bytes=MIB) as client:
        with pytest.raises(skyline.PacketTooLarge) as refused:
            await client.call("test.echo", b"\x00" * MIB)
        assert refused.value.code == "PACKET_TOO_LARGE"
        assert await client.call("test.echo", "small") == "small"


async def test_a_call_ends_at_its_deadline(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.DeadlineExceeded) as late:
            await client.call("test.delay", {"milliseconds": 400}, deadline=0.1)
        assert late.value.maybe_executed is True
        assert isinstance(late.value, TimeoutError)
        # The late answer comes while this call waits for its own.
        assert await client.call("test.delay", {"milliseconds": 800}) is None
        assert await client.call("test.echo", 1) == 1


async def test_cancelling_one_call_leaves_the_others(install: Install) -> None:
    async with install.client() as client:
        calls = [
            asyncio.ensure_future(
                client.call("test.delay", LONG if n == 3 else {"milliseconds": 3000})
            )
            for n in range(10)
        ]
        await asyncio.sleep(0.1)
        calls[3].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[3]
        others = calls[:3] + calls[4:]
        assert not any(call.done() for call in others)
        assert await asyncio.gather(*others) == [None] * 9
        assert await client.call("test.echo", 1) == 1


async def test_shutting_down_fails_the_calls_in_flight(install: Install) -> None:
    client = await install.client().connect()
    calls = [asyncio.ensure_future(client.call("test.delay", LONG)) for _ in range(20)]
    await asyncio.sleep(0.1)
    await client.shutdown()
    for failure in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(failure, skyline.ClientShutDown)
        assert failure.code == "SHUT_DOWN"
        assert failure.maybe_executed is True


async def test_a_client_that_was_shut_down_refuses_calls(install: Install) -> None:
    async with install.client() as client:
        pass
    for attempt in (
        client.call("test.echo", 1),
        client.call_raw("test.echo", None),
        client.limits(),
        client.send_event("late"),
    ):
        with pytest.raises(skyline.ClientShutDown) as refused:
            await attempt
        assert refused.value.maybe_executed is False
    await client.shutdown()


async def test_a_client_dropped_without_shutdown_does_no_harm(
    install: Install, new_install: Callable[[], Install]
) -> None:
    async with install.client() as kept:
        for _ in range(5):
            forgotten = await new_install().client().connect()
            assert await forgotten.call("test.echo", 1) == 1
            del forgotten
            gc.collect()
        assert await kept.call("test.echo", 2) == 2


async def test_a_server_that_goes_away_fails_the_calls(own_server: Server, tmp_path: Path) -> None:
    install = Install(own_server, tmp_path / "state", own_server.issue())
    client = await install.client().connect()
    calls = [asyncio.ensure_future(client.call("test.delay", LONG)) for _ in range(5)]
    await asyncio.sleep(0.2)
    own_server.kill()
    for failure in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(failure, skyline.ConnectionLost)
        assert isinstance(failure, ConnectionError)
        assert failure.code == "CONNECTION_LOST"
        assert failure.maybe_executed is True
    with pytest.raises(skyline.DeadlineExceeded) as refused:
        await client.call("test.echo", 1, deadline=0.1)
    assert refused.value.maybe_executed is False


async def test_each_invalid_configuration_field_is_named(install: Install, tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_text("no certificate")
    wrong: list[tuple[str, Any]] = [
        *(("url", url) for url in ("", "no url", "https://example.com/", "ws://example.com/ws")),
        *(("product_id", text) for text in ("", "\ud800")),
        ("product_version", " "),
        ("language", ""),
        *(("license_key", key) for key in ("", "WDGQX", "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA")),
        *(("identity_keys", key) for key in ("", "12ab", b"\x01" * 31, "zz" * 32)),
        *(("identity_keys", keys) for keys in ((), (install.server.identity_key, bytes(32)))),
        ("device", skyline.DeviceIdentity("", "20240113-E0C2-646E-FDB1-E0C2646EFDB5")),
        *(("connect_deadline", seconds) for seconds in (0, -1.5, float("inf"), float("nan"))),
        ("handshake_deadline", datetime.timedelta(0)),
        ("call_deadline", 0.0),
        *(("reconnect_initial_delay", seconds) for seconds in (0, -1)),
        *(("reconnect_max_delay", seconds) for seconds in (0.1, 10**6)),
        ("reconnect_stable_after", -1),
        *(("max_queued_events", number) for number in (0, -1, 1 << 32)),
        *(("max_queued_event_bytes", number) for number in (0, -1)),
        *(("update_url", url) for url in ("", "no url", "ftp://127.0.0.1/")),
        ("release_keys", "12ab"),
        ("max_update_bytes", 0),
        *(("max_packet_bytes", number) for number in (0, -1, 4095, 1 << 31, 1 << 70)),
        ("max_calls_in_flight", 0),
        ("max_bytes_in_flight", 0),
        *(("max_packets_per_connection", number) for number in (0, 1 << 40)),
        *(("extra_root_certificates", each) for each in ("no PEM", b"no DER")),
        ("extra_root_certificates", [tmp_path / "certificate.pem"]),
        ("extra_root_certificates", tmp_path / "missing.pem"),
        *(("proxy", url) for url in ("", "no url", "ftp://127.0.0.1:1")),
    ]
    for field, value in wrong:
        with pytest.raises(skyline.InvalidConfiguration) as refused:
            await install.client(**{field: value}).connect()
        assert refused.value.code == "INVALID_CONFIGURATION"
        assert refused.value.field == field, value
        assert refused.value.expected
        assert field in str(refused.value)
        assert refused.value.expected in str(refused.value)
    async with install.client() as client:
        assert client.session.is_activated_now


async def test_clients_run_side_by_side(new_install: Callable[[], Install]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(new_install().client(language=language))
            for language in ("english", "russian") * 4
        ]
        await asyncio.gather(
            *(client.send_event("who", {"am": i}) for i, client in enumerate(clients))
        )
        stored = await asyncio.gather(*(client.call("test.events") for client in clients))
        assert [events[0]["data"] for events in stored] == [{"am": i} for i in range(8)]
        await clients[0].shutdown()
        assert await clients[1].call("test.echo", 1) == 1


async def test_no_secret_reaches_the_log(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(skyline.TRACE, logger="skyline")
    errors: list[Exception] = []
    async with install.client() as client:
        await client.limits()
        await client.send_event("app.start", {"a": 1})
        for method, payload in (
            ("test.status", {"status": "RATE_LIMITED", "message": None}),
            ("no-such-method", None),
            ("test.status", {"status": "INTEGRITY_BREACH", "message": None}),
        ):
            with pytest.raises(skyline.SkylineError) as failure:
                await client.call(method, payload)
            errors.append(failure.value)
        shown = repr(client)
    with pytest.raises(skyline.InvalidConfiguration) as failure:
        await install.client(license_key=install.license_key + "X").connect()
    errors.append(failure.value)
    with pytest.raises(skyline.OutdatedVersion) as failure:
        await install.client(product_version="1.0.0").connect()
    errors.append(failure.value)

    # Records come from a thread of their own.
    await asyncio.sleep(0.5)
    assert any(record.levelno <= logging.DEBUG for record in caplog.records)
    assert {record.name for record in caplog.records if "skyline" in record.name} == {"skyline"}
    told = [caplog.text, shown, *map(str, errors), *map(repr, errors)]
    told += [repr(vars(error)) for error in errors]
    for text in told:
        assert install.license_key not in text.upper()
        assert install.license_key.replace("-", "") not in text.upper()
        assert not SESSION_TOKEN.search(text)


async def test_text_of_every_script_survives(install: Install) -> None:
    texts = [
        "Нарушена целостность",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇦",
        "עברית ‏ العربية",
        "e\u0301 \u1112\u1161\u11ab क्षि",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u0000 \uffff",
        "漢字 かな",
    ]
    async with install.client() as client:
        for text in texts:
            assert await client.call("test.echo", {text: [text]}) == {text: [text]}
            with pytest.raises(skyline.BadRequest) as refused:
                await client.call("test.status", {"status": "BAD_REQUEST", "message": text})
            assert refused.value.server_message == str(refused.value) == text
            # The name of an event has no control characters; its data may have any.
            await client.send_event(text.replace("\0", ""), {text: text})
        assert await client.call("test.events") == [
            {"event": text.replace("\0", ""), "data": {text: text}, "id": None} for text in texts
        ]


async def test_integers_keep_their_64_bits(install: Install) -> None:
    integers = [-(2**63), -(2**63) + 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    async with install.client() as client:
        assert await client.call("test.echo", integers) == integers
        await client.send_event("integers", {"all": integers})
        assert (await client.call("test.events"))[0]["data"] == {"all": integers}
        for too_large in (2**64, -(2**63) - 1):
            with pytest.raises(skyline.PayloadError):
                await client.call("test.echo", too_large)


# Waits that do not keep a test waiting.
IMPATIENT = {"reconnect_initial_delay": 0.02, "reconnect_max_delay": 0.2}

# Waits that last until somebody ends them, so that no state is over before it is read: drawn evenly
# below a day, which is hours, but for one run in thousands.
DAY = datetime.timedelta(days=1)
PATIENT = {"reconnect_initial_delay": DAY, "reconnect_max_delay": DAY}


async def drop_connection(client: skyline.Client) -> None:
    """Has the server drop the connection without an answer."""
    with pytest.raises(skyline.ConnectionLost):
        await client.call("test.drop-connection")


async def wait_for(states: skyline.States, kind: type[State]) -> State:
    """The next state of that kind."""
    async for state in states:
        if isinstance(state, kind):
            return state
    raise AssertionError(f"the states ended without {kind.__name__}")


@pytest.fixture
def own_install(own_server: Server, tmp_path: Path) -> Install:
    """An installation of a server that the test may break."""
    return Install(own_server, tmp_path / "state", own_server.issue())


async def test_a_lost_connection_is_made_again(install: Install) -> None:
    async with install.client(**IMPATIENT) as client:
        for number in range(3):
            await drop_connection(client)
            assert await client.call("test.echo", number) == number


async def test_a_call_waits_for_the_next_connection(own_install: Install) -> None:
    async with own_install.client(**IMPATIENT) as client:
        states = client.states()
        own_install.server.kill()
        await wait_for(states, skyline.Reconnecting)
        call = asyncio.ensure_future(client.call("test.echo", 7))
        await asyncio.sleep(0.3)
        assert not call.done()
        later = await wait_for(states, skyline.Reconnecting)
        while later.attempt == 1:
            later = await wait_for(states, skyline.Reconnecting)
        assert isinstance(later.last_error, skyline.ConnectionFailed)
        await asyncio.to_thread(own_install.server.restart)
        assert await call == 7


async def test_a_call_lost_on_the_way_says_that_it_may_have_run(install: Install) -> None:
    async with install.client(**IMPATIENT) as client:
        call = asyncio.ensure_future(client.call("test.delay", LONG))
        await asyncio.sleep(0.1)
        await drop_connection(client)
        with pytest.raises(skyline.ConnectionLost) as lost:
            await call
        assert lost.value.maybe_executed is True


async def test_an_idempotent_call_is_sent_again(install: Install) -> None:
    async with install.client(**IMPATIENT) as client:
        delay = {"milliseconds": 2000}
        call = asyncio.ensure_future(client.call("test.delay", delay, idempotent=True))
        await asyncio.sleep(0.1)
        await drop_connection(client)
        assert not call.done(), "it was answered before the drop"
        assert await call is None


async def test_reconnecting_now_ends_the_wait(own_install: Install) -> None:
    async with own_install.client(**PATIENT) as client:
        states = client.states()
        await asyncio.to_thread(own_install.server.restart)
        await wait_for(states, skyline.Reconnecting)
        client.reconnect_now()
        await wait_for(states, skyline.Ready)
        assert await client.call("test.echo", 1) == 1


async def test_every_state_is_told(own_install: Install) -> None:
    async with own_install.client(**PATIENT) as client:
        states = client.states()
        assert await states.next_state() == skyline.Ready()
        own_install.server.kill()
        lost = await states.next_state()
        assert isinstance(lost, skyline.Reconnecting)
        assert lost.attempt == 1
        assert lost.next_delay <= DAY
        assert isinstance(lost.last_error, skyline.ConnectionLost)
        # In the server's place, one that takes connections and says nothing.
        with socket.create_server(own_install.server.address):
            client.reconnect_now()
            assert await states.next_state() == skyline.Connecting()
        later = await states.next_state()
        assert isinstance(later, skyline.Reconnecting)
        # The wish to reconnect has begun the count anew.
        assert later.attempt == 1
        assert isinstance(later.last_error, skyline.ConnectionFailed)
        await asyncio.to_thread(own_install.server.restart)
        client.reconnect_now()
        await wait_for(states, skyline.Ready)
    assert await states.next_state() == skyline.ShutDown()
    assert await states.next_state() is None


async def test_a_refusal_while_reconnecting_ends_the_client(install: Install) -> None:
    async with install.client(**IMPATIENT) as client:
        states = client.states()
        install.server.admin("license", "suspend", install.license_key)
        await drop_connection(client)
        refused = await wait_for(states, skyline.Refused)
        assert isinstance(refused.error, skyline.LicenseSuspended)
        with pytest.raises(skyline.LicenseSuspended):
            await client.call("test.echo", 1)
        assert await states.next_state() is None


async def test_an_idempotent_call_waits_out_a_rate_limit(install: Install) -> None:
    limited = {"status": "RATE_LIMITED", "message": "Slowly.", "retryAfterSeconds": 5}
    async with install.client() as client:
        with pytest.raises(skyline.RateLimited) as at_once:
            await client.call("test.status", limited)
        assert at_once.value.retry_after == 5.0
        # Sent again after one wait; a second one would go beyond the deadline. Both are long beside
        # what a busy machine may take for an answer.
        begun = time.monotonic()
        with pytest.raises(skyline.RateLimited):
            await client.call("test.status", limited, deadline=9, idempotent=True)
        assert time.monotonic() - begun >= 5


async def test_a_rotated_identity_key_is_accepted(own_install: Install) -> None:
    server = own_install.server
    next_key = server.admin("keygen", "next.key").strip()
    keys = [server.identity_key, next_key]
    async with own_install.client(identity_keys=keys, **IMPATIENT) as prepared:
        await asyncio.to_thread(server.restart, "next.key")
        assert await prepared.call("test.echo", 1) == 1
    with pytest.raises(skyline.IntegrityBreach) as breach:
        await own_install.client().connect()
    assert breach.value.breach_reason == "server-signature"


async def test_a_tracked_event_arrives_once(install: Install) -> None:
    async with install.client(event_durability=skyline.EventDurability.SYNCED) as client:
        await client.track("app.start", {"at": [1, 2]})
        await client.track("app.stop")
        await client.flush_events()
        counters = client.event_counters()
        assert (counters.tracked, counters.queued, counters.sent) == (2, 0, 2)
        stored = await client.call("test.events")
    assert [(event["event"], event["data"]) for event in stored] == [
        ("app.start", {"at": [1, 2]}),
        ("app.stop", {}),
    ]
    assert all(event["id"] for event in stored)


async def test_tracked_events_survive_a_restart(own_install: Install) -> None:
    async with own_install.client(**IMPATIENT) as client:
        states = client.states()
        own_install.server.kill()
        await wait_for(states, skyline.Reconnecting)
        for number in range(20):
            await client.track("numbered", {"number": number})
        assert client.event_counters().queued == 20
    await asyncio.to_thread(own_install.server.restart)
    async with own_install.client() as client:
        await client.flush_events()
        assert client.event_counters().recovered == 20
        stored = await client.call("test.events")
    assert [event["data"]["number"] for event in stored] == list(range(20))


@pytest.mark.parametrize("overflow", skyline.EventOverflow)
async def test_a_full_event_queue_follows_its_policy(
    own_install: Install, overflow: skyline.EventOverflow
) -> None:
    settings = {"max_queued_events": 3, "event_overflow": overflow, **IMPATIENT}
    async with own_install.client(**settings) as client:
        states = client.states()
        own_install.server.kill()
        await wait_for(states, skyline.Reconnecting)
        for number in range(3):
            await client.track("numbered", {"number": number})
        if overflow is skyline.EventOverflow.REFUSE:
            with pytest.raises(skyline.EventQueueFull) as full:
                await client.track("numbered", {"number": 3})
            assert full.value.code == "EVENT_QUEUE_FULL"
            expected, dropped = [0, 1, 2], 0
        else:
            await client.track("numbered", {"number": 3})
            expected, dropped = [1, 2, 3], 1
        await asyncio.to_thread(own_install.server.restart)
        await client.flush_events()
        counters = client.event_counters()
        assert (counters.sent, counters.dropped) == (3, dropped)
        stored = await client.call("test.events")
    assert [event["data"]["number"] for event in stored] == expected


async def test_flushing_events_ends_at_its_deadline(own_install: Install) -> None:
    async with own_install.client(**IMPATIENT) as client:
        states = client.states()
        own_install.server.kill()
        await wait_for(states, skyline.Reconnecting)
        await client.track("app.start")
        with pytest.raises(skyline.DeadlineExceeded):
            await client.flush_events(deadline=0.2)
        await asyncio.to_thread(own_install.server.restart)
        await client.flush_events()
        assert client.event_counters().sent == 1


def release(folder: Path, size: int = 3 * MIB) -> Path:
    """A file to be published."""
    file = folder / "telepower-setup.bin"
    file.write_bytes(os.urandom(size))
    return file


async def test_an_update_is_downloaded_and_verified(own_install: Install, tmp_path: Path) -> None:
    server, folder = own_install.server, tmp_path / "downloads"
    published = release(tmp_path)
    server.publish(published, "7.1.0")
    server.admin("product", "set", PRODUCT, "--minimum-version", "7.1.0")
    client = own_install.client(language="russian")
    with pytest.raises(skyline.OutdatedVersion):
        await client.connect()
    seen: list[skyline.UpdateProgress] = []
    update = await client.download_update(folder, on_progress=seen.append)
    assert (update.version, update.file_name) == ("7.1.0", "telepower-setup.bin")
    assert update.path == folder / "telepower-setup.bin"
    assert update.path.read_bytes() == published.read_bytes()
    assert seen
    assert [each.total for each in seen] == [update.size] * len(seen)
    assert seen[-1].bytes == update.size == published.stat().st_size
    async with own_install.client(product_version=update.version) as updated:
        assert updated.session.is_activated_now


async def test_a_cancelled_download_goes_on_where_it_stopped(
    own_install: Install, tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    published = release(tmp_path, 64 * MIB)
    own_install.server.publish(published, "7.1.0")
    client = own_install.client()
    begun = asyncio.Event()

    def note(progress: skyline.UpdateProgress) -> None:
        if progress.bytes > 0:
            begun.set()

    download = asyncio.ensure_future(client.download_update(folder, on_progress=note))
    await begun.wait()
    download.cancel()
    with pytest.raises(asyncio.CancelledError):
        await download
    assert not (folder / published.name).exists()
    seen: list[skyline.UpdateProgress] = []
    update = await client.download_update(folder, on_progress=seen.append)
    assert seen[0].bytes > 0
    assert update.path.read_bytes() == published.read_bytes()


async def test_an_update_with_a_wrong_signature_is_refused(
    own_install: Install, tmp_path: Path
) -> None:
    server, folder = own_install.server, tmp_path / "downloads"
    server.admin("keygen", "other.key")
    server.publish(release(tmp_path), "7.1.0", "--release-key", "other.key")
    with pytest.raises(skyline.UpdateError) as refused:
        await own_install.client().download_update(folder)
    assert refused.value.code == "UPDATE_SIGNATURE_WRONG"
    assert refused.value.update_failure == "signature-wrong"
    assert not (folder / "telepower-setup.bin").exists()


async def test_a_file_from_elsewhere_is_verified(own_install: Install, tmp_path: Path) -> None:
    server = own_install.server
    file = release(tmp_path)
    server.publish(file, "7.1.0")
    address = f"{server.url.replace('ws', 'http', 1).removesuffix('/ws')}/updates/{PRODUCT}"
    query = f"version=7.0.3&platform=linux-{os.uname().machine}"
    request = urllib.request.Request(f"{address}?{query}", method="HEAD")

    def headers() -> tuple[bytes, bytes]:
        with urllib.request.urlopen(request, timeout=30) as answer:
            manifest, signature = (
                answer.headers[name] for name in ("Skyline-Manifest", "Skyline-Signature")
            )
            return base64.b64decode(manifest), base64.b64decode(signature)

    manifest, signature = await asyncio.to_thread(headers)
    client = own_install.client()
    update = await client.verify_update(file, manifest, signature)
    assert (update.version, update.path) == ("7.1.0", file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(skyline.UpdateError) as refused:
        await client.verify_update(file, manifest, signature)
    assert refused.value.code == "UPDATE_HASH"


async def test_many_calls_in_one_batch_get_their_own_answers(install: Install) -> None:
    requests = [
        ("no-such-method", None) if number % 100 == 7 else ("test.echo", {"number": number})
        for number in range(500)
    ]
    async with install.client() as client:
        answers = await client.call_many(requests, return_exceptions=True)
        with pytest.raises(skyline.UnknownMethod):
            await client.call_many(requests)
        assert await client.call_many(requests[:7]) == [{"number": n} for n in range(7)]
    for number, answer in enumerate(answers):
        if number % 100 == 7:
            assert isinstance(answer, skyline.UnknownMethod)
        else:
            assert answer == {"number": number}
    assert len(answers) == 500
