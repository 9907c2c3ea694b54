"""A client of docs/protocol.md: one connection, blocking."""

import time
from types import TracebackType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from plain import REQUEST_KEYS, RESPONSE_KEYS, WAIT_SECONDS, Cipher, Half, pack, proof, unpack
from plain import unwrap as unwrap_payload
from plain import wrap as wrap_payload
from websockets.sync.client import connect


class Response(NamedTuple):
    """A response packet, its payload unwrapped."""

    seq: int
    status: str
    message: str | None
    payload: Any


class PlainClient:
    """Connects and shakes hands when made; the requests are the caller's."""

    def __init__(
        self, url: str, identity_key: bytes, *, inline: bool = False, nonce: bytes | None = None
    ) -> None:
        self.inline = inline
        self.seq = 0
        self.token: str | None = None
        self.login_time = 0
        self.socket = connect(url, proxy=None, max_size=None, open_timeout=WAIT_SECONDS)
        half = Half(nonce=nonce) if nonce else Half()
        hello = {"clientEcdhPublic": half.public, "nonce": half.nonce}
        self.socket.send(pack({"r": "client-hello", "d": hello}))
        answer = self.socket.recv(WAIT_SECONDS)
        assert isinstance(answer, bytes)
        self.hello_answer = unpack(answer)
        assert list(self.hello_answer) == ["S", "e", "R"]
        server = self.hello_answer["R"]
        if server is None:
            return
        assert list(server) == ["serverEcdhPublic", "signature", "serverNonce"]
        # Raises if the signature does not verify.
        Ed25519PublicKey.from_public_bytes(identity_key).verify(
            server["signature"],
            proof(half.public, server["serverEcdhPublic"], half.nonce, server["serverNonce"]),
        )
        self.cipher = Cipher(half.session_key(server["serverEcdhPublic"]))

    def send(self, method: str, payload: Any = None, **replaced: Any) -> int:
        """Sends a request and returns its number; `replaced` are packet keys with other values."""
        wrapped = wrap_payload(payload, inline=self.inline)
        values = [self.seq, int(time.time()), method, self.token, wrapped]
        packet = dict(zip(REQUEST_KEYS, values, strict=True)) | replaced
        self.socket.send(self.cipher.seal(packet))
        self.seq += 1
        return int(packet["q"])

    def receive(self) -> Response:
        packet = self.cipher.open(self.socket.recv(WAIT_SECONDS), RESPONSE_KEYS)
        assert packet["R"] is None or isinstance(packet["R"], bytes)
        return Response(packet["q"], packet["S"], packet["e"], unwrap_payload(packet["R"]))

    def call(self, method: str, payload: Any = None, **replaced: Any) -> Response:
        seq = self.send(method, payload, **replaced)
        response = self.receive()
        assert response.seq == seq
        return response

    def start_session(self, license_key: str, **replaced: Any) -> Response:
        """`start-session`; `replaced` are payload keys with other values."""
        payload = {
            "productId": "telepower",
            "productVersion": "7.0.3",
            "language": "english",
            "lastLoginReportedByClient": 0,
            "deviceSerialNumber": "ADTFBB4112800098",
            "csProductUUID": "20240113-E0C2-646E-FDB1-E0C2646EFDB5",
            "licenseKey": license_key,
        }
        self.login_time = int(time.time())
        response = self.call("start-session", payload | replaced, t=self.login_time)
        if response.status == "OK":
            self.token = response.payload["sessionToken"]
        return response

    def __enter__(self) -> "PlainClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()
