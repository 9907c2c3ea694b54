"""The types, as a type checker of the application's sees them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import skyline

if sys.version_info < (3, 10):
    pytest.skip("mypy as old as this Python words its answers differently", allow_module_level=True)

# An application that uses everything, and the types that it is told.
PROGRAM = """
import asyncio
import datetime
from pathlib import Path
from typing import Any, Optional, Union

import skyline


async def main(key: bytes) -> None:
    client = skyline.Client(
        product_id="telepower",
        product_version="7.0.3",
        license_key="secret",
        identity_keys=[key, key.hex()],
        device=skyline.DeviceIdentity("serial", "uuid"),
        state_folder=Path("state"),
        call_deadline=datetime.timedelta(seconds=5),
        connect_deadline=2.5,
        extra_root_certificates=Path("root.pem"),
        proxy=skyline.Proxy.DIRECT,
    )
    async with client as same:
        reveal_type(same)
        reveal_type(client.session.expiry_date)
        reveal_type(await client.limits(deadline=1))
        reveal_type(await client.call("method", {"a": 1}))
        reveal_type(await client.call_raw("method", b""))
        await client.send_event("event", {"a": 1})
        async for state in client.states():
            reveal_type(state)
            if isinstance(state, skyline.Reconnecting):
                reveal_type(state.last_error)
        await client.call("method", deadline=1, idempotent=True)
        reveal_type(await client.call_many([("method", 1)], return_exceptions=True))
        await client.track("event", {"a": 1})
        await client.flush_events(deadline=1)
        reveal_type(client.event_counters().sent)
        reveal_type(await client.download_update("downloads", on_progress=print))


def blocking() -> None:
    with skyline.BlockingClient(
        product_id="p", product_version="1", license_key="k", identity_keys="key", proxy="http://p"
    ) as client:
        reveal_type(client)
        reveal_type(client.session)
        reveal_type(client.limits())
        for state in client.states():
            reveal_type(state)
    try:
        client.connect()
    except skyline.RateLimited as error:
        reveal_type(error.retry_after)
"""

STATE = " | ".join(
    f"skyline._states.{name}"
    for name in ("Connecting", "Ready", "Reconnecting", "Refused", "Breached", "ShutDown")
)

REVEALED = [
    "skyline._client.Client",
    "datetime.date",
    "dict[str, int]",
    "Any",
    "bytes | None",
    STATE,
    "skyline._errors.SkylineError",
    "list[Any]",
    "int",
    "skyline._update.Update",
    "skyline._blocking.BlockingClient",
    "skyline._session.Session",
    "dict[str, int]",
    STATE,
    "float | None",
]

WRONG = """
import skyline

skyline.Client(product_id=1, product_version="1", license_key="k", identity_keys="key")
skyline.Client(product_id="p", product_version="1", license_key="k", identity_keys="key", port=1)


async def use(client: skyline.Client) -> int:
    await client.send_event("event", ["no", "mapping"])
    return client.session.license_plan
"""

# Where the stub differs from the generated module on purpose.
ALLOWED = r"""
# That objects are declared as protocols is of no use.
skyline\._native\.(Cancellation|Client|SecretText|StateStream|UpdateDownload)
# Only the library makes these.
skyline\._native\.(Client|EventCounters|FailureDetails|LogRecord|Session)\.__init__
skyline\._native\.(StateStream|Update|UpdateDownload|UpdateProgress)\.__init__
# The stub speaks for this.
skyline\._native\.skyline\..*
"""


def mypy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")),
            *("--no-error-summary", "--hide-error-context", *arguments),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_an_application_passes_strict_checks(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = mypy(tmp_path, "program.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split('"')[1] for line in done.stdout.splitlines()] == REVEALED


def test_mistakes_of_an_application_are_found(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(WRONG)
    done = mypy(tmp_path, "program.py")
    assert done.returncode == 1
    codes = re.findall(r": error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert codes == ["arg-type", "call-arg", "arg-type", "return-value"]


def test_the_stub_describes_the_generated_module(tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\ncache_dir = cache\n[mypy-skyline._native.skyline]\nignore_errors = True\n"
    )
    (tmp_path / "allowed").write_text(ALLOWED)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "skyline._native"),
            # What the package does not use is not in the stub.
            *("--ignore-missing-stub", "--concise", "--mypy-config-file", "mypy.ini"),
            *("--allowlist", "allowed"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert (resources.files("skyline") / "py.typed").is_file()


@pytest.mark.parametrize("name", [name for name in skyline.__all__ if not name.startswith("_")])
def test_everything_public_is_documented(name: str) -> None:
    thing = getattr(skyline, name)
    if not inspect.isclass(thing):
        return
    assert inspect.getdoc(thing)
    for member_name, member in vars(thing).items():
        if not member_name.startswith("_") and (callable(member) or isinstance(member, property)):
            assert inspect.getdoc(member), member_name
