"""The real server process, and the settings of clients that talk to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import skyline

# The server is ready within a second; a loaded machine may take many times that.
READY_SECONDS = 30.0
STOP_SECONDS = 20.0

MONTHLY = "telepower.licensePlan.release.monthly"
PRODUCT = "telepower"
VERSION = "7.0.3"
MINIMUM_VERSION = "7.0.0"

# 64 random bits as the server writes them: nothing else in a log looks like it.
SESSION_TOKEN = re.compile(r"(?<![0-9a-fA-F-])[0-9a-f]{8}-[0-9a-f]{8}(?![0-9a-fA-F-])")


def server_binary() -> str:
    """The server's program, named by the environment."""
    binary = os.environ.get("SKYLINE_SERVER")
    assert binary, "SKYLINE_SERVER must name the server's binary: run scripts/test-python"
    return binary


def clean_environment() -> dict[str, str]:
    """The environment without settings of a server or client of this machine's user."""
    return {name: text for name, text in os.environ.items() if not name.startswith("SKYLINE_")}


@dataclass
class Server:
    """A server process with a database of its own, on a free port of this machine."""

    folder: Path
    identity_key: str
    process: subprocess.Popen[str]
    url: str

    @classmethod
    def start(cls, folder: Path, *options: str) -> Server:
        """Makes the database in `folder` and starts a server with `options`; it listens then."""
        run(folder, "product", "set", PRODUCT, "--minimum-version", MINIMUM_VERSION)
        identity_key = run(folder, "keygen", "identity.key").strip()
        return cls(folder, identity_key, *_serve(folder, "127.0.0.1:0", "identity.key", options))

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self.url.removeprefix("ws://").removesuffix("/ws").split(":")
        return host, int(port)

    def restart(self, identity_file: str = "identity.key") -> None:
        """Kills the server and starts it again on the same port, database and releases."""
        self.kill()
        host, port = self.address
        self.process, self.url = _serve(self.folder, f"{host}:{port}", identity_file, ())

    def stop(self) -> None:
        """Stops the server in order."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Ends the server as a crash would."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def publish(self, file: Path, version: str, *options: str) -> None:
        """Publishes a release for this system, signed by the identity key unless options differ."""
        key = () if "--release-key" in options else ("--release-key", "identity.key")
        platform = f"linux-{os.uname().machine}"
        run(
            self.folder,
            *("release", "publish", str(file), "--product", PRODUCT),
            *("--version", version, "--platform", platform, *key, *options),
        )

    def issue(self, *arguments: str, plan: str = MONTHLY) -> str:
        """Issues a license and gives its key."""
        return run(
            self.folder, "license", "issue", "--product", PRODUCT, "--plan", plan, *arguments
        ).strip()

    def admin(self, *arguments: str) -> str:
        """Runs an admin command on the server's database and gives what it prints."""
        return run(self.folder, *arguments)


def _serve(
    folder: Path, address: str, identity_file: str, options: tuple[str, ...]
) -> tuple[subprocess.Popen[str], str]:
    """Starts a server that listens on `address` when this returns; gives its URL too."""
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(server_binary(), "serve", "--test-hooks"),
                *("--identity-key", identity_file, "--listen", address),
                # Nobody waits for the calls that tests leave behind.
                *("--drain-deadline", "100ms", *options),
            ],
            cwd=folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    url = _listening_url(process)
    if not url:
        process.kill()
        process.wait()
        raise AssertionError("the server did not start: " + (folder / "server.log").read_text())
    return process, url


def _listening_url(process: subprocess.Popen[str]) -> str:
    """The URL of the server's ready line, empty when it does not come in time."""
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()))  # type: ignore[union-attr]
    reader.start()
    reader.join(READY_SECONDS)
    ready = re.fullmatch(r"listening on (wss?://\S+)\n", lines[0]) if lines else None
    return ready[1] if ready else ""


def run(folder: Path, *arguments: str) -> str:
    """Runs a command of the server's binary in `folder` and gives what it prints."""
    done = subprocess.run(
        [server_binary(), *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Begins a program whose clients take their settings from `run_program`.
PREAMBLE = """
import os, sys, threading, time
import skyline

settings = dict(
    product_id="telepower",
    product_version="7.0.3",
    url=os.environ["SKYLINE_URL"],
    identity_keys=os.environ["SKYLINE_IDENTITY_KEY"],
    license_key=os.environ["SKYLINE_LICENSE_KEY"],
    state_folder=os.environ["SKYLINE_STATE_FOLDER"],
    device=skyline.DeviceIdentity("TEST0001", "20240113-E0C2-646E-FDB1-E0C2646EFDB5"),
)
"""


def run_program(
    program: str | Path,
    settings: dict[str, Any],
    *,
    seconds: float = 60.0,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a Python program, or its text after `PREAMBLE`, in a process of its own.

    `settings` of a client reach it as the environment variables that the examples read.
    """
    command = [str(program)] if isinstance(program, Path) else ["-c", PREAMBLE + program]
    return subprocess.run(
        [sys.executable, *command],
        env={**clean_environment(), **environment_of(settings), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output_of(program: str | Path, settings: dict[str, Any], *, seconds: float = 60.0) -> str:
    """Runs a program as `run_program` and gives what it prints.

    It must succeed and leave standard error empty: a crash or a stray traceback shows there.
    """
    done = run_program(program, settings, seconds=seconds)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def environment_of(settings: dict[str, Any]) -> dict[str, str]:
    """The environment variables that the examples read."""
    return {
        "SKYLINE_URL": settings["url"],
        "SKYLINE_IDENTITY_KEY": settings["identity_keys"],
        "SKYLINE_LICENSE_KEY": settings["license_key"],
        "SKYLINE_STATE_FOLDER": str(settings["state_folder"]),
    }


@dataclass
class Install:
    """An installation of the product on a device: what its clients are configured with."""

    server: Server
    state_folder: Path
    license_key: str
    device: skyline.DeviceIdentity = field(
        default_factory=lambda: skyline.DeviceIdentity(
            serial_number=f"TEST{uuid.uuid4().hex[:12].upper()}",
            cs_product_uuid=str(uuid.uuid4()).upper(),
        )
    )

    def settings(self, **changes: Any) -> dict[str, Any]:
        """The keyword arguments of a client, with `changes`."""
        return {
            "product_id": PRODUCT,
            "product_version": VERSION,
            "license_key": self.license_key,
            "identity_keys": self.server.identity_key,
            "url": self.server.url,
            "device": self.device,
            "state_folder": self.state_folder,
            **changes,
        }

    def client(self, **changes: Any) -> skyline.Client:
        """An asyncio client."""
        return skyline.Client(**self.settings(**changes))

    def blocking_client(self, **changes: Any) -> skyline.BlockingClient:
        """A blocking client."""
        return skyline.BlockingClient(**self.settings(**changes))
