"""Runs the workers: all of a load one after another, then all again, round by round.

What the machine does beside the benchmark comes and goes; it hits neighbours in time alike, so the
ratio of two workers in one round is steadier than their figures.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.catalogue import Load, Sample, Worker
from suite.server import Servers, pinned

UNAVAILABLE = 69
"""The exit status of a build or a worker whose toolchain cannot be had (EX_UNAVAILABLE)."""
PATIENCE_SECONDS = 240
"""How long a worker may take beyond its time: 10 000 connections are made one by one."""


@dataclass(frozen=True)
class Places:
    """Folders of what was built."""

    release: Path
    python: Path
    results: Path

    def command(self, command: Iterable[str]) -> list[str]:
        names = {"release": self.release, "python": self.python}
        return [part.format_map(names) for part in command]


@dataclass(frozen=True)
class Timing:
    """Seconds of one run of a worker."""

    warmup: float
    measured: float


@dataclass
class Series:
    """The samples of one worker under one load, one a round; or why there are none."""

    worker: str
    load: str
    samples: list[Sample]
    not_run: str | None = None
    failure: str | None = None


class Runner:
    """Keeps what has been measured."""

    def __init__(self, places: Places, servers: Servers, timing: Timing) -> None:
        self._places = places
        self._servers = servers
        self._timing = timing
        self._unavailable: dict[tuple[str, ...], tuple[str, bool] | None] = {}
        self.series: dict[tuple[str, str], Series] = {}

    def measure(self, load: Load, workers: Sequence[Worker], rounds: int) -> None:
        """Runs each worker once a round; every round begins with another one."""
        for worker in workers:
            series = Series(worker.name, str(load), [])
            self.series[worker.name, str(load)] = series
            reason = self._reason_against(worker)
            if reason:
                text, is_failure = reason
                series.failure, series.not_run = (text, None) if is_failure else (None, text)
        for number in range(rounds):
            start = number % len(workers)
            for worker in [*workers[start:], *workers[:start]]:
                self._run(self.series[worker.name, str(load)], worker, load)

    def _reason_against(self, worker: Worker) -> tuple[str, bool] | None:
        """Why the worker cannot run, and whether that is a failure. Builds it the first time."""
        if worker.needs not in self._unavailable:
            self._unavailable[worker.needs] = self._prepare(worker.needs)
        reason = self._unavailable[worker.needs]
        program = self._places.command(worker.command)[0]
        if reason is None and not os.access(program, os.X_OK):
            return f"{Path(program).name} is not there", False
        return reason

    def _prepare(self, command: tuple[str, ...]) -> tuple[str, bool] | None:
        if not command:
            return None
        if not os.access(command[0], os.X_OK):
            return f"{command[0]} is not there", False
        log = self._places.results / f"{Path(command[0]).name}.log"
        print(f"bench: building by {' '.join(command)}", file=sys.stderr)
        with log.open("w") as output:
            status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
        if status == UNAVAILABLE:
            return f"its tools cannot be had here: see {log.name}", False
        return (f"its build failed: see {log.name}", True) if status else None

    def _run(self, series: Series, worker: Worker, load: Load) -> None:
        if series.not_run or series.failure:
            return
        deployment = self._servers.fresh() if worker.fresh_server else None
        try:
            access = (
                deployment.environment(worker.licenses)
                if deployment
                else self._servers.environment(worker)
            )
            warmup = max(self._timing.warmup, worker.warmup)
            environment = {
                **os.environ,
                **access,
                "BENCH_CALLERS": str(load.callers),
                "BENCH_PAYLOAD_BYTES": str(load.payload_bytes),
                "BENCH_WARMUP_SECONDS": str(warmup),
                "BENCH_SECONDS": str(self._timing.measured),
                **({"BENCH_RATE": str(load.rate)} if load.rate else {}),
                **dict(worker.environment),
            }
            self._keep(series, worker, environment)
        finally:
            if deployment:
                deployment.stop()

    def _keep(self, series: Series, worker: Worker, environment: dict[str, str]) -> None:
        try:
            done = subprocess.run(
                pinned(self._places.command(worker.command)),
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS + self._timing.warmup + self._timing.measured,
            )
        except subprocess.TimeoutExpired:
            series.failure = "it did not end"
            return
        if done.returncode == UNAVAILABLE:
            series.not_run = done.stderr.strip()[-300:] or "it says that it cannot run here"
        elif done.returncode:
            series.failure = f"status {done.returncode}: {done.stderr.strip()[-300:]}"
        else:
            try:
                series.samples.append(json.loads(done.stdout))
            except json.JSONDecodeError:
                series.failure = f"it printed no JSON: {done.stdout[:100]!r}"
