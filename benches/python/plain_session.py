"""The client's end of docs/protocol.md, without I/O, as one writes it for speed in Python alone."""

import os
import time
from typing import Any

import msgpack
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class PlainSession:
    """One connection's keys, numbers and token."""

    def __init__(self, identity_key: str) -> None:
        self._identity_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(identity_key))
        self._private = X25519PrivateKey.generate()
        self._public = self._private.public_key().public_bytes_raw()
        self._nonce = os.urandom(32)
        self._seq = 0
        # They keep their buffers from one message to the next.
        self._pack = msgpack.Packer().pack
        self.token: str | None = None

    def hello(self) -> bytes:
        """The first message (section 2)."""
        body = {"clientEcdhPublic": self._public, "nonce": self._nonce}
        packed: bytes = self._pack({"r": "client-hello", "d": body})
        return packed

    def finish(self, message: bytes) -> None:
        """Takes the server's hello."""
        hello = msgpack.unpackb(message)
        if hello["S"] != "OK":
            raise RuntimeError(f"the server refused the handshake: {hello['e']}")
        server = hello["R"]
        public = server["serverEcdhPublic"]
        proof = self._public + public + self._nonce + server["serverNonce"]
        self._identity_key.verify(server["signature"], proof)
        secret = self._private.exchange(X25519PublicKey.from_public_bytes(public))
        key = HKDF(hashes.SHA256(), 32, salt=None, info=b"").derive(secret)
        cipher = AESGCM(key)
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt

    def request(self, method: str, payload: Any) -> tuple[int, bytes]:
        """The number and the packet of the next request (section 3)."""
        seq = self._seq
        self._seq = seq + 1
        pack = self._pack
        packet = {
            "q": seq,
            "t": int(time.time()),
            "r": method,
            "s": self.token,
            "d": None if payload is None else pack(payload),
        }
        nonce = os.urandom(NONCE_BYTES)
        return seq, nonce + self._encrypt(nonce, pack(packet), None)

    def response(self, message: bytes) -> tuple[int, str, str | None, Any]:
        """The number, status, sentence and payload of a response."""
        plaintext = self._decrypt(message[:NONCE_BYTES], memoryview(message)[NONCE_BYTES:], None)
        packet = msgpack.unpackb(plaintext)
        payload = packet["R"]
        if isinstance(payload, bytes):
            payload = msgpack.unpackb(payload, strict_map_key=False) if payload else None
        return packet["q"], packet["S"], packet["e"], payload
