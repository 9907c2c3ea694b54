"""The library's log in Python's logging."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

import skyline
from harness import Install, output_of

LOGGER = logging.getLogger("skyline")


class Records(logging.Handler):
    """Keeps the records that it is given."""

    def __init__(self) -> None:
        """Has none yet."""
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one."""
        self.records.append(record)


@pytest.fixture
def handler() -> Iterator[Records]:
    """A handler of the library's logger, whose level is put back afterwards."""
    handler, level = Records(), LOGGER.level
    LOGGER.addHandler(handler)
    yield handler
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)


async def use(install: Install) -> None:
    """Goes through a session and waits a little for its last records."""
    async with install.client() as client:
        await client.call("test.echo", 1)
    await asyncio.sleep(0.2)


async def arrived(handler: Records) -> list[logging.LogRecord]:
    """The records, of which there must be some; they come from a thread of their own."""
    deadline = time.monotonic() + 20
    while not handler.records:
        assert time.monotonic() < deadline, "no record came"
        await asyncio.sleep(0.01)
    return handler.records


async def test_records_are_those_of_the_library(install: Install, handler: Records) -> None:
    LOGGER.setLevel(skyline.TRACE)
    before = time.time()
    await use(install)
    after = time.time()
    for record in await arrived(handler):
        assert record.name == "skyline"
        target: str = vars(record)["target"]
        assert target.startswith("skyline")
        assert record.getMessage()
        # The library's clock has milliseconds.
        assert before - 0.001 <= record.created <= after
        assert 0 <= record.msecs < 1000
        assert record.levelname in {"TRACE", "DEBUG", "INFO", "WARNING", "ERROR"}


async def test_the_level_of_the_logger_is_followed(install: Install, handler: Records) -> None:
    LOGGER.setLevel(logging.DEBUG)
    await use(install)
    assert {record.levelno for record in await arrived(handler)} >= {logging.DEBUG}
    assert skyline.TRACE not in {record.levelno for record in handler.records}

    handler.records.clear()
    LOGGER.setLevel(logging.CRITICAL)
    await use(install)
    assert handler.records == []

    LOGGER.setLevel(logging.DEBUG)
    await use(install)
    assert await arrived(handler)


async def test_the_level_of_the_root_logger_counts(
    install: Install, handler: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    LOGGER.setLevel(logging.NOTSET)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", root.level)
    root.setLevel(logging.DEBUG)
    await use(install)
    assert await arrived(handler)
    handler.records.clear()
    root.setLevel(logging.CRITICAL)
    await use(install)
    assert handler.records == []


async def test_a_damaged_login_record_is_warned_of(install: Install, handler: Records) -> None:
    LOGGER.setLevel(logging.WARNING)
    await use(install)
    assert handler.records == []
    for file in install.state_folder.rglob("*"):
        if file.is_file() and "login" in file.name and "lock" not in file.name:
            file.write_bytes(b"edited")
    await use(install)
    assert [record.levelno for record in await arrived(handler)] == [logging.WARNING]


async def test_a_percent_sign_is_no_placeholder(install: Install, handler: Records) -> None:
    LOGGER.setLevel(skyline.TRACE)
    async with install.client() as client:
        with pytest.raises(skyline.UnknownMethod):
            await client.call("100%s %d %(name)s")
    for record in handler.records:
        record.getMessage()


def test_an_application_without_logging_sees_nothing(install: Install) -> None:
    program = """
settings["identity_keys"] = "35a5906d5222589d0c91f286c94d18030b005ba210002356c68a384a9b72c8cb"
try:
    skyline.BlockingClient(**settings).connect()
except skyline.IntegrityBreach:
    time.sleep(0.2)
"""
    assert output_of(program, install.settings()) == ""


def test_a_handler_that_fails_does_no_harm(install: Install) -> None:
    program = """
import logging
class Broken(logging.Handler):
    def emit(self, record):
        raise ZeroDivisionError
logger = logging.getLogger("skyline")
logger.addHandler(Broken())
logger.setLevel(skyline.TRACE)
sys.unraisablehook = print
with skyline.BlockingClient(**settings) as client:
    print(client.call("test.echo", 1))
"""
    assert output_of(program, install.settings()).splitlines()[0] == "1"
