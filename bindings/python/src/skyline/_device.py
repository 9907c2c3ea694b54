"""What tells this device from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyline import _convert, _native, _process

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class DeviceIdentity:
    """What a license key is bound to on its first login (docs/protocol.md, section 5)."""

    serial_number: str
    """The serial number of the system."""

    cs_product_uuid: str
    """The UUID of the computer system product (SMBIOS type 1)."""

    @classmethod
    def detect(cls, state_folder: str | os.PathLike[str] | None = None) -> DeviceIdentity:
        """This machine's identity, or a stand-in derived from the machine's id.

        Args:
            state_folder: Where the source, once chosen, is remembered, so that running as another
                user does not change it. Default: ``skyline`` in the user's local data folder.

        Raises:
            InvalidConfiguration: nothing usable was found (field ``device``), as on phones: the
                application must make one from what it knows.
        """
        _process.start()
        folder = _convert.path("state_folder", state_folder)
        identity = _process.call(lambda: _native.detect_device_identity(folder))
        return cls(identity.serial_number, identity.cs_product_uuid)
