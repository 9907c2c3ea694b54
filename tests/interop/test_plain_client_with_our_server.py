"""A client written from docs/protocol.md alone, with the real skyline-server."""

import json
from pathlib import Path

import pytest
from conftest import Deployment
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from plain import REQUEST_KEYS, RESPONSE_KEYS, WAIT_SECONDS, Cipher, Half, proof
from plain_client import PlainClient
from websockets.exceptions import ConnectionClosed

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(server: Deployment, license_key: str) -> PlainClient:
    """A client whose session has started."""
    client = PlainClient(server.url, server.identity_key)
    assert client.start_session(license_key).status == "OK"
    return client


def connect(server: Deployment) -> PlainClient:
    return PlainClient(server.url, server.identity_key)


def assert_closed(client: PlainClient) -> None:
    with pytest.raises(ConnectionClosed):
        client.socket.recv(WAIT_SECONDS)


def test_the_known_answers_hold_for_the_plain_implementation() -> None:
    file = REPOSITORY / "protocol/tests/vectors/skyline.json"
    vectors = json.loads(file.read_text(encoding="utf-8"))["vectors"]
    assert vectors
    for vector in vectors:
        known = {k: bytes.fromhex(v) for k, v in vector.items() if k not in ("name", "packets")}
        client, server = (
            Half(
                X25519PrivateKey.from_private_bytes(known[f"{end}_ecdh_private"]),
                known[f"{end}_nonce"],
            )
            for end in ("client", "server")
        )
        signed = proof(client.public, server.public, client.nonce, server.nonce)
        assert signed == known["proof"]
        identity = Ed25519PrivateKey.from_private_bytes(known["identity_seed"])
        assert identity.sign(signed) == known["signature"]
        assert client.session_key(server.public) == known["session_key"]
        assert server.session_key(client.public) == known["session_key"]
        cipher = Cipher(known["session_key"])
        for packet in vector["packets"]:
            message, nonce = bytes.fromhex(packet["message"]), bytes.fromhex(packet["gcm_nonce"])
            keys = REQUEST_KEYS if packet["what"].endswith("request") else RESPONSE_KEYS
            assert cipher.seal(cipher.open(message, keys), nonce) == message


@pytest.mark.parametrize("inline", [False, True], ids=["payloads-as-bin", "payloads-inline"])
def test_a_session_runs_from_login_to_event(
    server: Deployment, license_key: str, inline: bool
) -> None:
    with PlainClient(server.url, server.identity_key, inline=inline) as client:
        login = client.start_session(license_key)
        assert login.status == "OK"
        assert login.message is None
        assert list(login.payload) == [
            "isActivatedNow",
            "activationDate",
            "licensePlan",
            "expiryDate",
            "sessionToken",
        ]
        assert login.payload["isActivatedNow"] is True
        assert login.payload["licensePlan"] == "telepower.licensePlan.release.monthly"

        limits = client.call("get-limits")
        assert limits.status == "OK"
        assert limits.payload == {
            "engine.limits.inviteToChannel.dailyLimit": 500,
            "engine.limits.sendMessage.dailyLimit": 150,
        }

        data = {"to": "/account-manager", "шаг": [1, -2, None, 2**64 - 1]}
        event = client.call("send-event", {"event": "app.navigation", "data": data, "id": "e-1"})
        assert (event.status, event.payload) == ("OK", None)
        stored = client.call("test.events").payload
        assert stored == [{"event": "app.navigation", "data": data, "id": "e-1"}]


def test_a_repeated_event_id_is_stored_once(client: PlainClient) -> None:
    for step in (1, 2):
        event = {"event": "app.start", "data": {"step": step}, "id": "one"}
        assert client.call("send-event", event).status == "OK"
    stored = client.call("test.events").payload
    assert [event["data"] for event in stored] == [{"step": 1}]


def test_a_login_that_reports_the_last_one_is_accepted(
    server: Deployment, license_key: str
) -> None:
    with connect(server) as first:
        activation = first.start_session(license_key)
        assert activation.payload["isActivatedNow"] is True
    with connect(server) as second:
        login = second.start_session(license_key, lastLoginReportedByClient=first.login_time)
        assert login.status == "OK"
        assert login.payload["isActivatedNow"] is False
        assert login.payload["sessionToken"] != activation.payload["sessionToken"]
        for date in ("activationDate", "expiryDate"):
            assert login.payload[date] == activation.payload[date]


def test_a_last_login_that_the_server_never_accepted_is_a_breach(
    server: Deployment, license_key: str
) -> None:
    with connect(server) as first:
        assert first.start_session(license_key).status == "OK"
    with connect(server) as second:
        login = second.start_session(license_key, lastLoginReportedByClient=first.login_time + 1)
        assert login.status == "INTEGRITY_BREACH"
        assert login.message
        assert "LL" in login.message
        assert login.payload is None


def test_a_key_bound_to_another_device_is_refused(server: Deployment, license_key: str) -> None:
    with connect(server) as first:
        assert first.start_session(license_key).status == "OK"
    for language, word in (("english", "device"), ("russian", "устройству")):
        with connect(server) as second:
            login = second.start_session(
                license_key, language=language, deviceSerialNumber="ANOTHER-1", csProductUUID="X"
            )
            assert login.status == "KEY_BOUND_TO_ANOTHER_DEVICE"
            assert login.message
            assert word in login.message


def test_an_outdated_version_is_refused(server: Deployment) -> None:
    server.admin("product", "set", "strict", "--minimum-version", "7.1.0")
    plan = "telepower.licensePlan.release.yearly"
    key = server.admin("license", "issue", "--product", "strict", "--plan", plan)
    with connect(server) as client:
        login = client.start_session(key, productId="strict", language="russian")
        assert (login.status, login.message) == ("OUTDATED_VERSION", "Версия ПО устарела.")
    with connect(server) as client:
        login = client.start_session(key, productId="strict", productVersion="7.1.0")
        assert login.status == "OK"


def test_an_unknown_license_is_refused(server: Deployment) -> None:
    with connect(server) as client:
        assert client.start_session("BBBBB-CCCCC-DDDDD-FFFFF-GGGGG").status == "LICENSE_NOT_FOUND"


def test_pipelined_requests_are_all_answered(client: PlainClient) -> None:
    sent = {client.send("test.echo", {"number": number}): number for number in range(100)}
    answers = [client.receive() for _ in sent]
    assert {answer.seq: answer.payload["number"] for answer in answers} == sent


@pytest.mark.parametrize("field", [None, b""], ids=["nil", "empty-bin"])
def test_nil_and_an_empty_bin_are_no_payload(client: PlainClient, field: bytes | None) -> None:
    echo = client.call("test.echo", d=field)
    assert (echo.status, echo.payload) == ("OK", None)


def test_an_unknown_method_leaves_the_session_usable(client: PlainClient) -> None:
    assert client.call("no-such-method").status == "UNKNOWN_METHOD"
    assert client.call("get-limits").status == "OK"


def test_unknown_keys_of_a_packet_are_ignored(client: PlainClient) -> None:
    assert client.call("get-limits", z={"later": "version"}).status == "OK"


@pytest.mark.parametrize("seq", [0, 2, 2**64 - 1])
def test_an_unexpected_number_is_a_breach_and_ends_the_connection(
    client: PlainClient, seq: int
) -> None:
    assert client.call("get-limits", q=seq).status == "INTEGRITY_BREACH"
    assert_closed(client)


@pytest.mark.parametrize("token", ["00000000-00000000", "", None])
def test_another_token_is_refused(client: PlainClient, token: str | None) -> None:
    assert client.call("get-limits", s=token).status == "INVALID_SESSION"


def test_a_request_before_the_session_is_refused(server: Deployment) -> None:
    with connect(server) as client:
        assert client.call("get-limits").status == "INVALID_SESSION"


def test_a_text_message_ends_the_connection(client: PlainClient) -> None:
    client.socket.send("text")
    assert_closed(client)


def test_a_forged_packet_ends_the_connection(client: PlainClient) -> None:
    client.socket.send(bytes(64))
    assert_closed(client)


@pytest.mark.parametrize("length", [16, 64])
def test_a_nonce_of_16_to_64_bytes_is_accepted(
    server: Deployment, license_key: str, length: int
) -> None:
    with PlainClient(server.url, server.identity_key, nonce=bytes(length)) as client:
        assert client.start_session(license_key).status == "OK"


@pytest.mark.parametrize("length", [15, 65])
def test_a_nonce_of_another_length_is_refused(server: Deployment, length: int) -> None:
    with PlainClient(server.url, server.identity_key, nonce=bytes(length)) as client:
        assert client.hello_answer["S"] == "BAD_REQUEST"
        assert_closed(client)
