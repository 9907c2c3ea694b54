"""The Skyline protocol, written from docs/protocol.md with none of this project's code.

Both peers of this folder stand on it. It is plain on purpose: one thing after another, no limits,
no tolerance. The comments name the sections of docs/protocol.md.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

WAIT_SECONDS = 20
"""Deadline of every wait: far over what loopback needs, far under the patience of a developer."""

HANDSHAKE_NONCE_BYTES = 32
PACKET_NONCE_BYTES = 12
REQUEST_KEYS = ["q", "t", "r", "s", "d"]
RESPONSE_KEYS = ["q", "S", "e", "R"]


def pack(value: Any) -> bytes:
    """MessagePack in the shortest formats."""
    packed = msgpack.packb(value)
    assert isinstance(packed, bytes)
    return packed


def unpack(message: bytes) -> Any:
    """The one MessagePack value that the message must be."""
    return msgpack.unpackb(message, strict_map_key=False)


@dataclass
class Half:
    """What one end brings to the handshake (section 2)."""

    private: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    nonce: bytes = field(default_factory=lambda: os.urandom(HANDSHAKE_NONCE_BYTES))

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def session_key(self, peer_public: bytes) -> bytes:
        """HKDF-SHA256 of the shared secret, with neither salt nor info (section 2)."""
        secret = self.private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"").derive(secret)


def proof(
    client_public: bytes, server_public: bytes, client_nonce: bytes, server_nonce: bytes
) -> bytes:
    """What the server signs (section 2)."""
    return client_public + server_public + client_nonce + server_nonce


class Cipher:
    """Seals and opens packets (section 3)."""

    def __init__(self, session_key: bytes) -> None:
        self._cipher = AESGCM(session_key)

    def seal(self, packet: dict[str, Any], nonce: bytes | None = None) -> bytes:
        nonce = nonce or os.urandom(PACKET_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, pack(packet), None)

    def open(self, message: bytes | str, keys: list[str]) -> dict[str, Any]:
        """The packet, which must have just these keys."""
        assert isinstance(message, bytes), "a packet is a binary message (section 1)"
        nonce, sealed = message[:PACKET_NONCE_BYTES], message[PACKET_NONCE_BYTES:]
        packet = unpack(self._cipher.decrypt(nonce, sealed, None))
        assert isinstance(packet, dict)
        assert list(packet) == keys, "the keys and their order (section 3)"
        return packet


def wrap(payload: Any, *, inline: bool) -> Any:
    """A payload as it stands in a packet: a bin, or inline (section 3)."""
    if payload is None:
        return None
    return payload if inline and not isinstance(payload, bytes) else pack(payload)


def unwrap(value: Any) -> Any:
    """The payload in either form; None without one (section 3)."""
    if isinstance(value, bytes):
        return unpack(value) if value else None
    return value
