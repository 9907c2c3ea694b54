"""Fixtures: a server for the whole run, and an installation with a license for each test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness import Install, Server

try:
    import uvloop
except ImportError:
    # requirements-test.txt has it for all others.
    if sys.version_info >= (3, 10) and sys.platform != "win32":
        raise
    uvloop = None


# These run under each event loop that there is.
UNDER_EACH_LOOP = {"test_scenarios", "test_calls", "test_many", "test_client"}


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loops to run a test under."""
    loops = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None and item.path.stem in UNDER_EACH_LOOP:
        loops["uvloop"] = uvloop.new_event_loop
    return loops


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that the tests share; each has licenses of its own."""
    server = Server.start(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may break."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server.start(folder)
    yield server
    server.kill()


@pytest.fixture
def new_install(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Install]:
    """Makes installations, each with a new license and device."""
    return lambda: Install(server, tmp_path_factory.mktemp("state"), server.issue())


@pytest.fixture
def install(new_install: Callable[[], Install]) -> Install:
    """An installation with a new license."""
    return new_install()
