"""Fixtures: a server for the whole run, and an installation with a license for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import Install, Server


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
