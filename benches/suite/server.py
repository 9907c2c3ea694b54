"""The servers that workers connect to, each a real process on the measured core."""

import select
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from suite.catalogue import Worker

CORE = "0"
"""Client and server share one core: see benches/performance.md for why."""
READY_SECONDS = 20
STOP_SECONDS = 20

# What keeps strangers from wearing a server out would be what is measured.
UNLIMITED: list[str] = [
    *("--call-rate-per-address", "off"),
    *("--call-rate-per-license", "off"),
    *("--connection-rate-per-address", "off"),
    *("--login-rate-per-address", "off"),
    *("--login-rate-per-license", "off"),
    *("--max-connections", "20000"),
    *("--max-connections-per-address", "20000"),
    *("--max-calls-in-flight", "1024"),
    *("--log", "warn"),
]


def pinned(command: Sequence[str | Path]) -> list[str]:
    """The command, on the measured core alone."""
    return ["taskset", "--cpu-list", CORE, *map(str, command)]


class Process:
    """A server that prints `listening on URL` when it is ready."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self._log = log
        with log.open("a") as stderr:
            self._process = subprocess.Popen(
                pinned(command), stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        self.url = self._wait()
        self.pid = self._process.pid

    def _wait(self) -> str:
        assert self._process.stdout
        readable, _, _ = select.select([self._process.stdout], [], [], READY_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        if not line.startswith("listening on "):
            self._process.kill()
            raise RuntimeError(f"a server did not get ready: see {self._log}")
        return line.removeprefix("listening on ").strip()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Deployment:
    """skyline-server on SQLite with a fresh identity, in a temporary folder."""

    def __init__(self, release: Path, log: Path) -> None:
        self._binary = release / "skyline-server"
        self._folder = tempfile.TemporaryDirectory(prefix="skyline-bench-")
        self.folder = Path(self._folder.name)
        self._licenses = 0
        identity = self.folder / "identity.key"
        self.identity_key = self._run("keygen", identity)
        self._admin("product", "set", "telepower")
        paths = ["--database", str(self._database), "--identity-key", str(identity)]
        options = ["--listen", "127.0.0.1:0", "--test-hooks", *UNLIMITED]
        self._process = Process([str(self._binary), "serve", *paths, *options], log)
        self.url = self._process.url

    @property
    def _database(self) -> Path:
        return self.folder / "skyline.db"

    def _run(self, *arguments: str | Path) -> str:
        output = subprocess.run(
            [str(self._binary), *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True
        )
        return output.stdout.strip()

    def _admin(self, *arguments: str) -> str:
        return self._run(*arguments, "--database", str(self._database))

    def environment(self, licenses: int) -> dict[str, str]:
        """What a worker needs to connect: licenses that nobody used, a state folder of its own."""
        keys = [self._issue_license() for _ in range(licenses)]
        return {
            "SKYLINE_URL": self.url,
            "SKYLINE_IDENTITY_KEY": self.identity_key,
            "SKYLINE_LICENSE_KEY": keys[0],
            "SKYLINE_STATE_FOLDER": str(self.folder / f"state-{self._licenses}"),
            "SKYLINE_SERVER_PID": str(self._process.pid),
            **({"BENCH_LICENSE_KEYS": ",".join(keys)} if licenses > 1 else {}),
        }

    def _issue_license(self) -> str:
        self._licenses += 1
        plan = "telepower.licensePlan.release.monthly"
        return self._admin("license", "issue", "--product", "telepower", "--plan", plan)

    def stop(self) -> None:
        self._process.stop()
        self._folder.cleanup()


class Servers:
    """All servers, each started when it is first needed."""

    def __init__(self, release: Path, log: Path) -> None:
        self._release = release
        self._log = log
        self._deployments: dict[Path, Deployment] = {}
        self._raw: dict[str, Process] = {}

    def environment(self, worker: Worker) -> dict[str, str]:
        """The environment of a worker that shares a server with others."""
        if worker.endpoint in ("skyline", "skyline-ring"):
            folder = self._release / "ring" if worker.endpoint == "skyline-ring" else self._release
            if folder not in self._deployments:
                self._deployments[folder] = Deployment(folder, self._log)
            return self._deployments[folder].environment(worker.licenses)
        flush = worker.endpoint.removeprefix("raw-")
        if flush not in self._raw:
            command = [str(self._release / "raw-echo"), "server", "--flush", flush]
            self._raw[flush] = Process(command, self._log)
        return {"SKYLINE_URL": self._raw[flush].url}

    def fresh(self) -> Deployment:
        """A deployment that is the caller's to stop."""
        return Deployment(self._release, self._log)

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._raw.values():
            process.stop()
        for deployment in self._deployments.values():
            deployment.stop()
