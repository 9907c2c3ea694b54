"""docs/operations.md and deploy/ do what they say: the shell blocks of the document run in their
order, as on a clean machine, with the server that the example files configure.

What makes the machine clean is that the folders are moved into a temporary one, the two ports to
free ones; systemd is stood in for by scripts/tests/systemctl, which starts what the unit says.
"""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
FOLDERS = ("/etc/skyline", "/etc/systemd/system", "/usr/local/bin", "/var/lib/skyline")
# A block takes seconds; the server drains for five.
DEADLINE_SECONDS = 100


def blocks() -> list[str]:
    """The shell blocks, without those that cannot run on any machine that tests this."""
    text = (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8")
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [block for _, block in found if not block.lstrip().startswith("# not tested")]


def server() -> Path:
    path = os.environ.get("SKYLINE_SERVER")
    if path is None:
        command = [REPOSITORY / "scripts/server-binary"]
        path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Path(path)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Machine:
    """A folder that looks like the machine of the document."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ports = {port: free_port() for port in (8080, 9090)}
        for folder in FOLDERS:
            (root / folder.lstrip("/")).mkdir(parents=True)
        binaries = root / "usr/local/bin"
        (binaries / "skyline-server").symlink_to(server())
        (binaries / "systemctl").symlink_to(REPOSITORY / "scripts/tests/systemctl")
        self.work = root / "work"
        shutil.copytree(DEPLOY, self.work / "deploy")
        for file in self.work.rglob("*"):
            if file.is_file():
                file.write_text(self.moved(file.read_text(encoding="utf-8")), encoding="utf-8")

        # What the vendor has built, and the document publishes.
        (self.work / "telepower-7.1.0.AppImage").write_bytes(b"a new version")

    def moved(self, text: str) -> str:
        for folder in FOLDERS:
            text = text.replace(folder, f"{self.root}{folder}")
        for port, free in self._ports.items():
            text = re.sub(rf"\b127\.0\.0\.1:{port}\b", f"127.0.0.1:{free}", text)
        return text

    def environment(self) -> dict[str, str]:
        path = f"{self.root}/usr/local/bin:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.root), "UNITS": f"{self.root}/etc/systemd/system"}

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        log = self.root / "output"
        # Not a pipe: the server, which the script leaves running, would hold it open.
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.run(
                ["bash", "-c", script],
                cwd=self.work,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=DEADLINE_SECONDS,
                check=False,
            )
        text = log.read_text(encoding="utf-8")
        return subprocess.CompletedProcess(process.args, process.returncode, text)


def test_the_blocks_of_the_operations_document_run_in_their_order(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    script = ["set -euo pipefail", "trap 'systemctl stop skyline-server' EXIT"]
    for number, block in enumerate(blocks(), start=1):
        script.append(f"echo '--- block {number}'\n{machine.moved(block)}")
    done = machine.run("\n".join(script))
    assert done.returncode == 0, done.stdout
    outputs = re.split(r"^--- block \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    assert len(outputs) == len(blocks()) >= 10
    print(f"{len(outputs)} blocks of docs/operations.md ran")
    joined = done.stdout
    assert re.search(r"^max_connections = 10000 # default$", joined, re.MULTILINE)
    # The rotation: the next key of the first block is the current one of the last.
    following = re.search(r"^next: ([0-9a-f]{64})$", joined, re.MULTILINE)
    assert following is not None, joined
    assert joined.rfind(f"current: {following.group(1)}") > following.start()
    log = (tmp_path / "skyline-server.log").read_text(encoding="utf-8")
    assert "signing with the next identity key" in log
    assert log.count('"message":"stopped"') == log.count('"message":"serving"') == 3
    assert "ERROR" not in log, log
    assert "panicked" not in log, log


def kubernetes() -> dict[str, Any]:
    text = (DEPLOY / "kubernetes/skyline.yaml").read_text(encoding="utf-8")
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_the_kubernetes_manifests_fit_together_and_the_server_takes_their_settings(
    tmp_path: Path,
) -> None:
    objects = kubernetes()
    pod = objects["Deployment"]["spec"]["template"]
    container = pod["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    selector = objects["Service"]["spec"]["selector"].items()
    assert selector <= pod["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] in ports
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}
    file = tmp_path / "skyline.toml"
    file.write_text(objects["ConfigMap"]["data"]["skyline.toml"], encoding="utf-8")
    printed = subprocess.run(
        [server(), "serve", "--config", file, "--print-config"],
        env={"SKYLINE_DATABASE": "postgres://skyline:hunter2@db.example/skyline"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    settings = dict(re.findall(r"^(\w+) = (.*?) # ", printed, re.MULTILINE))
    assert settings["listen"] == f'"0.0.0.0:{ports["http"]}"'
    assert settings["admin_listen"] == f'"0.0.0.0:{ports["admin"]}"'
    assert "hunter2" not in printed
    seconds = [int(settings[name].strip('"s')) for name in ("drain_delay", "drain_deadline")]
    # And four seconds for the close frames.
    assert sum(seconds) + 4 < pod["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("name", ["Dockerfile", "kubernetes/skyline.yaml"])
def test_what_ci_does_not_run_says_so(name: str) -> None:
    assert "NOT RUN BY CI" in (DEPLOY / name).read_text(encoding="utf-8")


def test_the_alerts_are_rules_with_all_their_parts() -> None:
    text = (DEPLOY / "alerts.yaml").read_text(encoding="utf-8")
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 0
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
        assert rule["expr"].strip(), rule
        assert rule["annotations"]["summary"], rule
