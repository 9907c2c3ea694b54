"""The settings: the forms that each takes, mistakes of type, and failures to connect."""

from __future__ import annotations

import base64
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import certificates
import skyline
from harness import Install, Server


@pytest.mark.parametrize("form", ["hex", "HEX", "base64", "url-safe", "bytes", "list", "tuple"])
async def test_an_identity_key_takes_many_forms(form: str, install: Install) -> None:
    text = install.server.identity_key
    raw = bytes.fromhex(text)
    forms: dict[str, Any] = {
        "hex": text,
        "HEX": text.upper(),
        "base64": base64.b64encode(raw).decode(),
        "url-safe": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "bytes": raw,
        "list": [raw],
        "tuple": (text, raw),
    }
    async with install.client(identity_keys=forms[form]) as client:
        assert client.session.is_activated_now


async def test_any_of_several_identity_keys_is_trusted(
    install: Install, own_server: Server
) -> None:
    keys = [own_server.identity_key, install.server.identity_key]
    async with install.client(identity_keys=keys) as client:
        assert client.session.is_activated_now


async def test_a_license_key_is_read_as_people_write_it(install: Install) -> None:
    async with install.client(license_key=f" {install.license_key.lower()}\n") as client:
        assert client.session.is_activated_now


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_state_folder_is_made(as_text: bool, install: Install, tmp_path: Path) -> None:
    folder = tmp_path / "папка" / "state"
    async with install.client(state_folder=str(folder) if as_text else folder):
        pass
    assert any(folder.iterdir())


async def test_a_state_folder_that_cannot_be_is_told(install: Install, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(skyline.StateFolderError) as refused:
        await install.client(state_folder=file / "state").connect()
    assert refused.value.code == "STATE"


async def test_payloads_may_go_inline(install: Install) -> None:
    async with install.client(inline_payloads=True) as client:
        assert await client.call("test.echo", {"a": [1, b"2"]}) == {"a": [1, b"2"]}


async def test_another_key_derivation_is_used(install: Install, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = Server.start(tmp_path / "server", "--hkdf-salt", "0102", "--hkdf-info", "ff")
    try:
        install.server, install.license_key = server, server.issue()
        async with install.client(hkdf_salt=b"\x01\x02", hkdf_info=bytearray(b"\xff")) as client:
            assert await client.call("test.echo", 1) == 1
        with pytest.raises(skyline.SkylineError):
            await install.client().connect()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("product_id", 7),
        ("product_version", None),
        ("license_key", b"bytes"),
        ("identity_keys", [7]),
        ("identity_keys", 7),
        ("url", 7),
        ("language", b"english"),
        ("device", ("serial", "uuid")),
        ("state_folder", 7),
        ("connect_deadline", "10"),
        ("max_packet_bytes", 1.5),
        ("max_calls_in_flight", "many"),
        ("extra_root_certificates", [7]),
        ("proxy", 7),
        ("hkdf_salt", "salt"),
    ],
)
def test_a_setting_of_the_wrong_type_is_named(field: str, value: Any, install: Install) -> None:
    with pytest.raises(TypeError, match=field):
        install.client(**{field: value})


def test_a_setting_in_the_wrong_place_is_not_shown(install: Install) -> None:
    for field in ("state_folder", "connect_deadline", "max_packet_bytes", "proxy"):
        with pytest.raises(TypeError) as wrong:
            install.client(**{field: [install.license_key]})
        assert install.license_key not in str(wrong.value)


def test_an_unknown_setting_is_refused(install: Install) -> None:
    with pytest.raises(TypeError, match="licence_key"):
        install.client(licence_key="BCDFG-HJKMP-QRTVW-XY234-6789B")


def test_detected_devices_stay_the_same(tmp_path: Path) -> None:
    first = skyline.DeviceIdentity.detect(tmp_path)
    assert first == skyline.DeviceIdentity.detect(str(tmp_path))
    assert first.serial_number
    assert first.cs_product_uuid


# Failures to connect


async def connection_failure(install: Install, **changes: Any) -> skyline.ConnectionFailed:
    with pytest.raises(skyline.ConnectionFailed) as failed:
        await install.client(**changes).connect()
    assert failed.value.code == "CONNECTION"
    assert isinstance(failed.value, OSError)
    return failed.value


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of this machine that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
    return port


@pytest.fixture
def web_port() -> Iterator[int]:
    """A port of this machine with a web server that knows no page."""

    class NotFound(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), NotFound) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web.server_port
        web.shutdown()
        thread.join()


async def test_a_refused_connection_is_told(install: Install, closed_port: int) -> None:
    failure = await connection_failure(install, url=f"ws://127.0.0.1:{closed_port}/ws")
    assert failure.connection_failure == "refused"


async def test_a_silent_server_is_told(install: Install, silent_port: int) -> None:
    url = f"ws://127.0.0.1:{silent_port}/ws"
    failure = await connection_failure(install, url=url, connect_deadline=0.2)
    assert failure.connection_failure == "timeout"


async def test_a_web_server_is_told_with_its_status(install: Install, web_port: int) -> None:
    failure = await connection_failure(install, url=f"ws://127.0.0.1:{web_port}/ws")
    assert failure.connection_failure == "http"
    assert failure.http_status == 404


async def test_a_server_without_tls_is_told(install: Install, web_port: int) -> None:
    failure = await connection_failure(install, url=f"wss://127.0.0.1:{web_port}/ws")
    assert failure.connection_failure == "tls"


async def test_a_proxy_that_is_not_there_is_told(
    install: Install, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://user:secret@127.0.0.1:{closed_port}"
    # A name that is not loopback, for which a proxy of the environment would be used; it is never
    # looked up, since the proxy cannot be reached.
    far = {"url": "wss://skyline.invalid/ws", "connect_deadline": 5}
    failure = await connection_failure(install, proxy=proxy, **far)
    assert failure.connection_failure == "proxy"
    assert "secret" not in str(failure)

    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert (await connection_failure(install, **far)).connection_failure == "proxy"
    # Loopback is reached directly, and with DIRECT so is everything.
    async with install.client() as client:
        assert client.session
    async with install.client(proxy=skyline.Proxy.DIRECT) as client:
        assert client.session


# TLS


@pytest.fixture
def tls_install(install: Install, tmp_path: Path) -> Iterator[tuple[Install, Path]]:
    """An installation whose server speaks TLS, and the certificate to trust."""
    folder = tmp_path / "tls"
    folder.mkdir()
    root = certificates.make(folder)
    server = Server.start(folder, "--tls-certificate", "server.pem", "--tls-key", "server.key")
    assert server.url.startswith("wss://")
    install.server, install.license_key = server, server.issue()
    yield install, root
    server.stop()


async def test_an_extra_root_certificate_takes_many_forms(
    tls_install: tuple[Install, Path],
) -> None:
    install, root = tls_install
    pem = root.read_text()
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    for form in (root, pem, pem.encode(), der, [root], (der, pem)):
        async with install.client(extra_root_certificates=form) as client:
            assert await client.call("test.echo", 1) == 1
    failure = await connection_failure(install)
    assert failure.connection_failure == "tls"
