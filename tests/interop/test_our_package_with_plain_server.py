"""The Python package, with a server written from docs/protocol.md alone."""

import asyncio
import datetime
import functools
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import skyline
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from plain_server import LIMITS, SESSION, PlainServer

REPOSITORY = Path(__file__).resolve().parents[2]
LICENSE_KEY = "WDGQX-WC2Y3-4R966-TK3H3-HXRB8"
DEVICE = skyline.DeviceIdentity(
    serial_number="ADTFBB4112800098", cs_product_uuid="20240113-E0C2-646E-FDB1-E0C2646EFDB5"
)
FORMS = pytest.mark.parametrize("inline", [False, True], ids=["payloads-as-bin", "payloads-inline"])


def settings(server: PlainServer, state_folder: Path, **others: Any) -> dict[str, Any]:
    return {
        "product_id": "telepower",
        "product_version": "7.0.3",
        "license_key": LICENSE_KEY,
        "identity_keys": server.identity_key,
        "url": server.url,
        "device": DEVICE,
        "state_folder": state_folder,
        **others,
    }


@FORMS
def test_a_session_runs_from_login_to_event(tmp_path: Path, inline: bool) -> None:
    data = {"to": "/account-manager", "шаг": [1, -2, None, 2**64 - 1], "raw": b"\x00\xff"}
    before = int(time.time())
    with PlainServer(inline=inline) as server:
        given = settings(server, tmp_path, language="russian", inline_payloads=inline)
        with skyline.BlockingClient(**given) as client:
            assert client.session.is_activated_now is False
            assert client.session.activation_date == datetime.date(2024, 11, 20)
            assert client.session.expiry_date == datetime.date(2025, 2, 20)
            assert client.session.license_plan == SESSION["licensePlan"]
            assert client.limits() == LIMITS
            client.send_event("app.navigation", data)

    login, limits, event = server.requests
    assert login["d"] == {
        "productId": "telepower",
        "productVersion": "7.0.3",
        "language": "russian",
        "lastLoginReportedByClient": 0,
        "deviceSerialNumber": DEVICE.serial_number,
        "csProductUUID": DEVICE.cs_product_uuid,
        "licenseKey": LICENSE_KEY,
    }
    assert (limits["r"], limits["d"]) == ("get-limits", None)
    assert event["r"] == "send-event"
    assert (event["d"]["event"], event["d"]["data"]) == ("app.navigation", data)
    assert set(event["d"]) <= {"event", "data", "id"}
    assert all(before <= request["t"] <= time.time() for request in server.requests)
    payload = dict if inline else bytes
    assert server.forms == [payload, type(None), payload]


def test_the_next_login_reports_the_last_one(tmp_path: Path) -> None:
    with PlainServer() as server:
        for _ in range(2):
            with skyline.BlockingClient(**settings(server, tmp_path)):
                pass
    first, second = server.requests
    assert second["d"]["lastLoginReportedByClient"] == first["t"]


@FORMS
@pytest.mark.parametrize(
    "payload",
    [{"a": [1.5, "ключ", b"\x01"]}, [], "text", b"bytes", -(2**63), 2**64 - 1, False, None],
    ids=repr,
)
def test_payloads_of_every_kind_survive_in_both_forms(
    tmp_path: Path, inline: bool, payload: Any
) -> None:
    with PlainServer(inline=inline) as server:
        given = settings(server, tmp_path, inline_payloads=inline)
        with skyline.BlockingClient(**given) as client:
            assert client.call("echo", payload) == payload


def test_calls_are_numbered_in_the_order_of_the_wire(tmp_path: Path) -> None:
    async def many_at_once(server: PlainServer) -> list[Any]:
        async with skyline.Client(**settings(server, tmp_path)) as client:
            return await asyncio.gather(*(client.call("echo", number) for number in range(50)))

    with PlainServer() as server:
        assert asyncio.run(many_at_once(server)) == list(range(50))
    # PlainServer itself asserts that each is one more than the one before.
    assert [request["q"] for request in server.requests] == list(range(51))


@pytest.mark.parametrize("nonce_bytes", [16, 64])
def test_a_server_nonce_of_16_to_64_bytes_is_accepted(tmp_path: Path, nonce_bytes: int) -> None:
    with (
        PlainServer(nonce_bytes=nonce_bytes) as server,
        skyline.BlockingClient(**settings(server, tmp_path)) as client,
    ):
        assert client.limits() == LIMITS


def test_a_refusal_keeps_status_and_sentence(tmp_path: Path) -> None:
    with (
        PlainServer() as server,
        skyline.BlockingClient(**settings(server, tmp_path)) as client,
        pytest.raises(skyline.UnknownMethod, match="There is no method dance") as refused,
    ):
        client.call("dance")
    assert refused.value.status == "UNKNOWN_METHOD"


def test_another_identity_key_is_a_breach(tmp_path: Path) -> None:
    with PlainServer() as server, PlainServer() as other:
        given = settings(server, tmp_path, identity_keys=other.identity_key)
        with pytest.raises(skyline.IntegrityBreach) as breach:
            skyline.BlockingClient(**given).connect()
        assert breach.value.breach_reason == "server-signature"
    assert server.requests == []


@pytest.mark.parametrize("document", ["README.md", "docs/getting-started/python.md"])
def test_the_first_example_of_the_document_runs(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example
    # The documents show the identity key of the known answers.
    vectors = (REPOSITORY / "protocol/tests/vectors/skyline.json").read_text(encoding="utf-8")
    seed = bytes.fromhex(json.loads(vectors)["vectors"][0]["identity_seed"])
    with PlainServer(identity=Ed25519PrivateKey.from_private_bytes(seed)) as server:
        here = functools.partial(
            skyline.BlockingClient, url=server.url, device=DEVICE, state_folder=tmp_path
        )
        monkeypatch.setattr(skyline, "BlockingClient", here)
        exec(example[1], {})
    methods = [request["r"] for request in server.requests]
    assert methods == ["start-session", "get-limits", "send-event"]
