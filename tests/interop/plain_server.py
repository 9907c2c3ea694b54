"""A server of docs/protocol.md: it serves one license, and keeps what clients sent for the test."""

import threading
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from plain import REQUEST_KEYS, WAIT_SECONDS, Cipher, Half, pack, proof, unpack, unwrap, wrap
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

SESSION = {
    "isActivatedNow": False,
    "activationDate": "2024-11-20",
    "licensePlan": "telepower.licensePlan.release.quarterly",
    "expiryDate": "2025-02-20",
    "sessionToken": "0b4968ec-3f2d1d71",
}
LIMITS = {
    "engine.limits.inviteToChannel.dailyLimit": 500,
    "engine.limits.sendMessage.dailyLimit": 150,
}


class PlainServer:
    """Listens on a free loopback port while it is entered.

    `requests` are all request packets, payload unwrapped; `forms` the type in which each payload
    came; `faults` what went wrong in a connection's thread, which the end of the test raises.
    """

    def __init__(
        self,
        *,
        inline: bool = False,
        nonce_bytes: int = 32,
        identity: Ed25519PrivateKey | None = None,
    ) -> None:
        self.inline = inline
        self.nonce_bytes = nonce_bytes
        self.identity = identity or Ed25519PrivateKey.generate()
        self.requests: list[dict[str, Any]] = []
        self.forms: list[type] = []
        self.faults: list[BaseException] = []
        self._server = serve(self._connection, "127.0.0.1", 0, max_size=None)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/ws"

    @property
    def identity_key(self) -> str:
        return self.identity.public_key().public_bytes_raw().hex()

    def _connection(self, socket: ServerConnection) -> None:
        try:
            cipher = self._shake_hands(socket)
            expected_seq = 0
            while True:
                packet = cipher.open(socket.recv(WAIT_SECONDS), REQUEST_KEYS)
                assert packet["q"] == expected_seq, "one more than the one before (section 4)"
                expected_seq += 1
                self.forms.append(type(packet["d"]))
                packet["d"] = unwrap(packet["d"])
                self.requests.append(packet)
                socket.send(cipher.seal(self._answer(packet)))
        except ConnectionClosed:
            pass
        except BaseException as fault:
            self.faults.append(fault)
            raise

    def _shake_hands(self, socket: ServerConnection) -> Cipher:
        message = socket.recv(WAIT_SECONDS)
        assert isinstance(message, bytes)
        hello = unpack(message)
        assert list(hello) == ["r", "d"]
        assert hello["r"] == "client-hello"
        assert list(hello["d"]) == ["clientEcdhPublic", "nonce"]
        client_public, client_nonce = hello["d"].values()
        assert (len(client_public), len(client_nonce)) == (32, 32)

        half = Half()
        half.nonce = (half.nonce * 2)[: self.nonce_bytes]
        signature = self.identity.sign(proof(client_public, half.public, client_nonce, half.nonce))
        answer = {
            "serverEcdhPublic": half.public,
            "signature": signature,
            "serverNonce": half.nonce,
        }
        socket.send(pack({"S": "OK", "e": None, "R": answer}))
        return Cipher(half.session_key(client_public))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        status = "OK"
        message: str | None = None
        payload: Any = None
        # Only start-session, the first, comes without the token (section 5).
        starts = request["r"] == "start-session"
        assert starts == (request["q"] == 0)
        assert request["s"] == (None if starts else SESSION["sessionToken"])
        match request["r"]:
            case "start-session":
                payload = SESSION
            case "get-limits":
                assert request["d"] is None
                payload = LIMITS
            case "send-event":
                assert isinstance(request["d"]["event"], str)
                assert isinstance(request["d"]["data"], dict)
            case "echo":
                payload = request["d"]
            case method:
                status, message = "UNKNOWN_METHOD", f"There is no method {method}."
        wrapped = wrap(payload, inline=self.inline)
        return {"q": request["q"], "S": status, "e": message, "R": wrapped}

    def __enter__(self) -> "PlainServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join(WAIT_SECONDS)
        if self.faults and error is None:
            raise self.faults[0]
