"""The settings of a client: from keyword arguments to the library's configuration."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Union

from skyline import _native
from skyline._convert import (
    Seconds,
    count,
    duration,
    optional_bytes,
    optional_text,
    path,
    text,
    wrong_type,
)
from skyline._device import DeviceIdentity
from skyline._errors import invalid
from skyline._events import (
    EventDurability,
    EventOverflow,
    native_durability,
    native_overflow,
)

if TYPE_CHECKING:
    from typing_extensions import Self

IdentityKey = Union[str, bytes]
"""An identity key of a server: 64 hex digits, or base64, or its 32 bytes."""

Certificate = Union[str, bytes, "os.PathLike[str]"]
"""A certificate: the text of a PEM, the bytes of a PEM or DER, or a path to either."""


class Proxy(enum.Enum):
    """Which proxy leads to the server, where it is not a certain one."""

    ENVIRONMENT = "environment"
    """That of the environment: ``HTTPS_PROXY`` or ``ALL_PROXY``, unless ``NO_PROXY`` names the
    host. Loopback addresses are always reached directly."""

    DIRECT = "direct"
    """None, whatever the environment says."""


class Configured:
    """The settings that the clients have in common."""

    def __init__(
        self,
        *,
        product_id: str,
        product_version: str,
        license_key: str,
        identity_keys: IdentityKey | Iterable[IdentityKey],
        url: str | None = None,
        language: str | None = None,
        device: DeviceIdentity | None = None,
        state_folder: str | os.PathLike[str] | None = None,
        connect_deadline: Seconds | None = None,
        handshake_deadline: Seconds | None = None,
        call_deadline: Seconds | None = None,
        reconnect_initial_delay: Seconds | None = None,
        reconnect_max_delay: Seconds | None = None,
        reconnect_stable_after: Seconds | None = None,
        max_packet_bytes: int | None = None,
        max_calls_in_flight: int | None = None,
        max_bytes_in_flight: int | None = None,
        max_packets_per_connection: int | None = None,
        max_queued_events: int | None = None,
        max_queued_event_bytes: int | None = None,
        event_durability: EventDurability | None = None,
        event_overflow: EventOverflow | None = None,
        update_url: str | None = None,
        release_keys: IdentityKey | Iterable[IdentityKey] = (),
        max_update_bytes: int | None = None,
        extra_root_certificates: Certificate | Iterable[Certificate] = (),
        proxy: str | Proxy = Proxy.ENVIRONMENT,
        allow_plaintext: bool = False,
        hkdf_salt: bytes | None = None,
        hkdf_info: bytes | None = None,
        inline_payloads: bool = False,
    ) -> None:
        """Takes the settings; nothing is sent yet. ``None`` stands for the default.

        Args:
            product_id: The product's id, as the licensing server knows it.
            product_version: The product's version, for example ``"7.0.3"``.
            license_key: The license key, for example ``"WDGQX-WC2Y3-4R966-TK3H3-HXRB8"``.
            identity_keys: The identity key of the server, or several of which any is trusted, so
                that the key can be rotated; each as hex, base64 or bytes.
            url: The server's address, ``wss://`` or, on this machine, ``ws://``. Default: the
                production server.
            language: The language of the server's sentences, ``"english"`` or ``"russian"``.
                Default: English.
            device: This device's identity. Default: `DeviceIdentity.detect`.
            state_folder: Where the client keeps its last login and the source of the device's
                identity; made when absent. Default: ``skyline`` in the user's local data folder.
            connect_deadline: How long name resolution, TCP, proxy, TLS and WebSocket may take
                together, in seconds. Default: 10.
            handshake_deadline: How long the handshake and the login may take together, in
                seconds. Default: 10.
            call_deadline: How long a call may take that names no deadline of its own, waiting for
                its turn included, in seconds. Default: 30.
            reconnect_initial_delay: The longest wait before the first attempt to reconnect, in
                seconds; the waits double from attempt to attempt, and each is drawn evenly from
                zero up. Default: 0.5.
            reconnect_max_delay: The longest wait before any attempt, in seconds. Default: 60.
            reconnect_stable_after: How long a connection must last, in seconds, before the waits
                start again with the shortest. Default: 60.
            max_packet_bytes: The largest packet in either direction, in bytes, from 4 KiB to
                1 GiB. Default: 16 MiB.
            max_calls_in_flight: How many calls may be in flight; further ones wait. Default: 1024.
            max_bytes_in_flight: How many bytes of payload may be in flight; further calls wait.
                Default: 64 MiB.
            max_packets_per_connection: After how many packets, both directions together, the
                client takes a fresh key. Default: just below the protocol's bound of 2**32.
            max_queued_events: How many tracked events may wait for their delivery. Default:
                10 000.
            max_queued_event_bytes: How many bytes they may take. Default: 16 MiB.
            event_durability: When tracking an event is done. Default: at once.
            event_overflow: What happens to an event for which there is no room. Default: the
                oldest are dropped.
            update_url: The address of the product's updates. Default: that of the server.
            release_keys: The key that may sign a release, or several. Default: the identity keys.
            max_update_bytes: The largest update that is downloaded, in bytes. Default: 2 GiB.
            extra_root_certificates: A root certificate, or several, trusted beside those of the
                operating system: PEM text, PEM or DER bytes, or a path.
            proxy: The address of a proxy (``http://``, ``socks5://`` or ``socks5h://``, with
                ``user:password@`` where it wants them), or `Proxy.DIRECT` for none. Default: that
                of the environment.
            allow_plaintext: Whether ``ws://`` is allowed to another machine. Packets are
                encrypted all the same; TLS around them is lost.
            hkdf_salt: The salt of the key derivation, where a deployment uses one.
            hkdf_info: The info of the key derivation, where a deployment uses one.
            inline_payloads: Whether payloads are sent inline instead of as ``bin``
                (docs/protocol.md, section 3).

        Raises:
            InvalidConfiguration: a setting cannot be what it has to be. What only the library
                knows is checked on connecting.
            TypeError: a setting is of the wrong type.
        """
        self._description = f"{product_id} {product_version}"
        self._configuration = _native.Configuration(
            product_id=text("product_id", product_id),
            product_version=text("product_version", product_version),
            # From here on no description of any object shows it.
            license_key=_native.SecretText(text("license_key", license_key)),
            identity_keys=_keys("identity_keys", identity_keys),
            url=optional_text("url", url),
            language=optional_text("language", language),
            device=_device(device),
            state_folder=path("state_folder", state_folder),
            connect_deadline=duration("connect_deadline", connect_deadline),
            handshake_deadline=duration("handshake_deadline", handshake_deadline),
            call_deadline=duration("call_deadline", call_deadline),
            reconnect_initial_delay=duration("reconnect_initial_delay", reconnect_initial_delay),
            reconnect_max_delay=duration("reconnect_max_delay", reconnect_max_delay),
            reconnect_stable_after=duration("reconnect_stable_after", reconnect_stable_after),
            max_packet_bytes=count("max_packet_bytes", max_packet_bytes, bits=64),
            max_calls_in_flight=count("max_calls_in_flight", max_calls_in_flight, bits=32),
            max_bytes_in_flight=count("max_bytes_in_flight", max_bytes_in_flight, bits=64),
            max_packets_per_connection=count(
                "max_packets_per_connection", max_packets_per_connection, bits=64
            ),
            max_queued_events=count("max_queued_events", max_queued_events, bits=32),
            max_queued_event_bytes=count("max_queued_event_bytes", max_queued_event_bytes, bits=64),
            event_durability=native_durability(event_durability),
            event_overflow=native_overflow(event_overflow),
            update_url=optional_text("update_url", update_url),
            release_keys=_keys("release_keys", release_keys),
            max_update_bytes=count("max_update_bytes", max_update_bytes, bits=64),
            extra_root_certificates=_certificates(extra_root_certificates),
            proxy=_proxy(proxy),
            allow_plaintext=bool(allow_plaintext),
            hkdf_salt=optional_bytes("hkdf_salt", hkdf_salt),
            hkdf_info=optional_bytes("hkdf_info", hkdf_info),
            inline_payloads=bool(inline_payloads),
        )

    @classmethod
    def _with_settings_of(cls, other: Configured) -> Self:
        twin = cls.__new__(cls)
        twin._description = other._description
        twin._configuration = other._configuration
        return twin

    def __repr__(self) -> str:
        """Tells the client's class and product, and no secret."""
        return f"<skyline.{type(self).__name__} of {self._description}>"


def _device(device: DeviceIdentity | None) -> _native.DeviceIdentity | None:
    if device is None:
        return None
    if not isinstance(device, DeviceIdentity):
        raise wrong_type("device", "a DeviceIdentity", device)
    return _native.DeviceIdentity(
        serial_number=text("device", device.serial_number),
        cs_product_uuid=text("device", device.cs_product_uuid),
    )


def _keys(field: str, keys: IdentityKey | Iterable[IdentityKey]) -> list[str]:
    if isinstance(keys, (str, bytes)):
        return [_key(field, keys)]
    if not isinstance(keys, Iterable):
        raise wrong_type(field, "a key or several", keys)
    return [_key(field, key) for key in keys]


def _key(field: str, key: IdentityKey) -> str:
    if isinstance(key, bytes):
        return key.hex()
    if not isinstance(key, str):
        raise wrong_type(field, "a str or bytes", key)
    return text(field, key)


def _certificates(certificates: Certificate | Iterable[Certificate]) -> list[bytes]:
    if isinstance(certificates, (str, bytes, os.PathLike)):
        return [_certificate(certificates)]
    if not isinstance(certificates, Iterable):
        raise wrong_type("extra_root_certificates", "a certificate or several", certificates)
    return [_certificate(certificate) for certificate in certificates]


def _certificate(certificate: Certificate) -> bytes:
    if isinstance(certificate, bytes):
        return certificate
    if isinstance(certificate, str):
        return text("extra_root_certificates", certificate).encode()
    if not isinstance(certificate, os.PathLike):
        raise wrong_type("extra_root_certificates", "a str, bytes or a path", certificate)
    # Its import takes milliseconds.
    from pathlib import Path

    try:
        return Path(certificate).read_bytes()
    except OSError as error:
        raise invalid("extra_root_certificates", f"a file that can be read ({error})") from error


def _proxy(proxy: str | Proxy) -> _native.Proxy:
    if proxy is Proxy.ENVIRONMENT or proxy is None:
        return _native.Proxy.ENVIRONMENT()
    if proxy is Proxy.DIRECT:
        return _native.Proxy.DIRECT()
    return _native.Proxy.URL(url=_native.SecretText(text("proxy", proxy)))
