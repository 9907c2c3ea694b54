"""Updates: downloading a new version of the product, and verifying one got in another way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

from skyline import _native, _process
from skyline._convert import path, wrong_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

Folder = Union[str, "os.PathLike[str]"]
"""A path to a folder or a file."""


@dataclass(frozen=True)
class UpdateProgress:
    """How far a download is."""

    bytes: int
    """The bytes of the file that are here, those of earlier runs included."""

    total: int
    """The size of the file in bytes, as it was signed."""

    bytes_per_second: int
    """The bytes that came per second, over the last seconds."""


@dataclass(frozen=True)
class Update:
    """A file that has passed every check (docs/protocol.md, section 8)."""

    path: Path
    """Where the file is."""

    version: str
    """The version that it brings."""

    file_name: str
    """The name that the vendor gave to the file."""

    size: int
    """Its size in bytes."""

    @classmethod
    def _from_native(cls, update: _native.Update) -> Self:
        return cls(Path(update.path), update.version, update.file_name, update.size)


class Download:
    """A download under way."""

    def __init__(self, configuration: _native.Configuration, folder: Folder) -> None:
        """Begins to download into `folder`."""
        target = path("folder", folder)
        if target is None:
            raise wrong_type("folder", "a path", folder)
        _process.start()
        self._native = _process.call(lambda: _native.UpdateDownload.start(configuration, target))

    async def next_progress(self) -> UpdateProgress | None:
        """The next change; ``None`` when the download is over, well or not."""
        progress = await _process.drive(self._native.next_progress, None)
        if progress is None:
            return None
        return UpdateProgress(progress.bytes, progress.total, progress.bytes_per_second)

    async def finish(self) -> Update:
        """Waits for the file."""
        return Update._from_native(await _process.drive(self._native.finish, None))

    async def run(self, on_progress: Callable[[UpdateProgress], None] | None) -> Update:
        """Tells the progress and gives the file; whatever interrupts that ends the download."""
        try:
            if on_progress is not None:
                while (progress := await self.next_progress()) is not None:
                    on_progress(progress)
            return await self.finish()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Ends it; what has come stays for the next one."""
        if _process.refusal() is None:
            _process.call(self._native.cancel)


async def verify(
    configuration: _native.Configuration, file: Folder, manifest: bytes, signature: bytes
) -> Update:
    """Checks a file that came in another way."""
    target = path("file", file)
    if target is None:
        raise wrong_type("file", "a path", file)
    for name, value in (("manifest", manifest), ("signature", signature)):
        if not isinstance(value, bytes):
            raise wrong_type(name, "bytes", value)
    _process.start()
    update = await _process.drive(_native.verify_update, configuration, target, manifest, signature)
    return Update._from_native(update)
