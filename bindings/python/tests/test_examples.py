"""The programs of examples/python, run as a reader would run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import MONTHLY, PRODUCT, Install, Server, output_of, run_program

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "python"


def lines_of(example: str, install: Install) -> dict[str, str]:
    output = output_of(EXAMPLES / example, install.settings())
    return dict(line.split(": ", 1) for line in output.splitlines())


@pytest.mark.parametrize("example", ["quickstart.py", "quickstart_blocking.py"])
def test_the_quick_start_activates_and_reports(example: str, install: Install) -> None:
    first = lines_of(example, install)
    assert first["activated now"] == "yes"
    assert first["plan"] == MONTHLY
    assert first["limit engine.limits.sendMessage.dailyLimit"] == "150"
    assert first["event reported"] == "app.navigation"
    assert lines_of(example, install) == {**first, "activated now": "no"}


@pytest.mark.parametrize("example", ["quickstart.py", "quickstart_blocking.py"])
def test_the_quick_start_tells_what_is_wrong(example: str, install: Install) -> None:
    install.license_key = "BCDFG-HJKMP-QRTVW-XY234-6789B"
    done = run_program(EXAMPLES / example, install.settings())
    assert done.returncode == 1
    assert done.stderr.startswith("LICENSE_NOT_FOUND: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_update_example_updates_itself(own_server: Server, tmp_path: Path) -> None:
    release = tmp_path / "telepower-7.1.0.bin"
    release.write_bytes(bytes(range(256)) * 4096)
    own_server.publish(release, "7.1.0")
    own_server.admin("product", "set", PRODUCT, "--minimum-version", "7.1.0")
    install = Install(own_server, tmp_path / "state", own_server.issue())
    environment = {"SKYLINE_DOWNLOADS": str(tmp_path / "downloads")}
    done = run_program(EXAMPLES / "update.py", install.settings(), environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("OUTDATED_VERSION: Версия ПО устарела.\n")
    assert "[" + "#" * 40 + "]" in done.stdout
    assert "logged in as 7.1.0" in done.stdout
    downloaded = tmp_path / "downloads" / release.name
    assert downloaded.read_bytes() == release.read_bytes()
