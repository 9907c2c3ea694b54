"""The real server process, for the tests of this folder."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain import WAIT_SECONDS


class Deployment:
    """A skyline-server with its database and identity key in a folder, on a free loopback port."""

    def __init__(self, folder: Path) -> None:
        self._server = os.environ["SKYLINE_SERVER"]
        self._database = folder / "skyline.db"
        identity_file = folder / "identity.key"
        self.identity_key = bytes.fromhex(self._run("keygen", identity_file))
        self.admin("product", "set", "telepower")
        self.process = subprocess.Popen(
            [
                self._server,
                "serve",
                *("--database", self._database),
                *("--identity-key", identity_file),
                *("--listen", "127.0.0.1:0"),
                "--test-hooks",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        # A server that never gets ready must not hang the tests: its end closes the pipe.
        watchdog = threading.Timer(WAIT_SECONDS, self.process.kill)
        watchdog.start()
        ready = self.process.stdout.readline()
        watchdog.cancel()
        assert ready.startswith("listening on "), f"the server did not get ready: {ready!r}"
        self.url = ready.removeprefix("listening on ").strip()

    def _run(self, *arguments: str | Path) -> str:
        command = [self._server, *arguments]
        output = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=WAIT_SECONDS
        )
        return output.stdout.strip()

    def admin(self, *arguments: str) -> str:
        """Runs an administration command on the server's database and returns its output."""
        return self._run(*arguments, "--database", self._database)

    def issue_license(self) -> str:
        plan = "telepower.licensePlan.release.monthly"
        return self.admin("license", "issue", "--product", "telepower", "--plan", plan)

    def stop(self) -> None:
        self.process.terminate()
        try:
            assert self.process.wait(WAIT_SECONDS) == 0
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("server"))
    yield deployment
    deployment.stop()


@pytest.fixture
def license_key(server: Deployment) -> str:
    """A license that was never used."""
    return server.issue_license()
