"""The scenarios of docs/scenarios.md, one test each, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

import skyline
from harness import MINIMUM_VERSION, MONTHLY, SESSION_TOKEN, Install, Server

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
            asyncio.ensure_future(client.call("test.delay", {"milliseconds": 1500}))
            for _ in range(10)
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
    with pytest.raises(skyline.ConnectionLost) as refused:
        await client.call("test.echo", 1)
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
            await client.send_event(text, {text: text})
        assert await client.call("test.events") == [
            {"event": text, "data": {text: text}, "id": None} for text in texts
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
