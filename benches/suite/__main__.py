"""The command line: scripts/bench starts it, in the Python environment that it has filled."""

import argparse
import fnmatch
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from suite import document, machine, tables
from suite.catalogue import (
    ABSOLUTES,
    COMPARISONS,
    MATRIX,
    MATRIX_WORKERS,
    PACED,
    PACED_WORKERS,
    Load,
    Worker,
)
from suite.results import Run
from suite.rounds import Places, Runner, Timing
from suite.server import Servers
from suite.verdicts import Result, Verdict

FULL = Timing(warmup=0.5, measured=2.0)
QUICK = Timing(warmup=0.3, measured=0.7)
QUICK_ROUNDS = 3
ROUNDS = 5
TEMPLATE = Path("benches/performance.md")
PAGE = Path("docs/performance.md")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Runs the benchmarks side by side and holds them against the budgets. A whole "
        "run writes docs/performance.md.",
    )
    parser.add_argument(
        "--rounds", type=int, help=f"rounds of each ({ROUNDS}; quick {QUICK_ROUNDS})"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help=f"how long each worker is measured ({FULL.measured:g}; quick {QUICK.measured:g})",
    )
    parser.add_argument(
        "--quick", action="store_true", help="short rounds, and only what has a line in the table"
    )
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        help="only the lines of the table whose name holds this, or matches it as a shell pattern",
    )
    parser.add_argument(
        "--from", metavar="FILE", type=Path, dest="results", help="measure nothing: take this run"
    )
    parser.add_argument(
        "--document",
        action="store_true",
        help="write docs/performance.md although it is no whole run",
    )
    parser.add_argument(
        "--strict", action="store_true", help="fail when a budget is missed or was not measured"
    )
    # Of scripts/bench:
    parser.add_argument("--release", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def wanted(name: str, pattern: str | None) -> bool:
    return pattern is None or pattern in name or fnmatch.fnmatchcase(name, pattern)


def plan(pattern: str | None, *, matrix: bool) -> dict[Load, list[Worker]]:
    """Which workers run under which load, in order and none twice."""
    pairs: list[tuple[Load, Worker]] = []
    for comparison in COMPARISONS:
        if wanted(comparison.name, pattern):
            pairs.append((comparison.load, comparison.subject))
            pairs.append((comparison.load, comparison.baseline))
    for figure in ABSOLUTES:
        if wanted(figure.name, pattern):
            pairs.append((figure.load, figure.worker))
    if matrix:
        pairs += [(load, worker) for load in MATRIX for worker in MATRIX_WORKERS]
    if pattern is None:
        pairs += [(PACED, worker) for worker in PACED_WORKERS]
    loads: dict[Load, list[Worker]] = {}
    for load, worker in pairs:
        workers = loads.setdefault(load, [])
        if worker not in workers:
            workers.append(worker)
    return loads


def stripped_size(library: Path) -> int:
    """The bytes of a library without its symbols."""
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / library.name
        subprocess.run(["strip", "-o", stripped, library], check=True)
        return stripped.stat().st_size


def measure(options: argparse.Namespace) -> Run:
    timing = QUICK if options.quick else FULL
    if options.seconds:
        timing = replace(timing, measured=options.seconds)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    command = shlex.join(["scripts/bench", *_public_arguments()])
    facts = machine.facts(command)
    output: Path = options.output
    places = Places(options.release, Path(sys.executable).parent, output)
    loads = plan(options.only, matrix=not options.quick and options.only is None)
    with Servers(options.release, output / "servers.log") as servers:
        runner = Runner(places, servers, timing)
        for number, (load, workers) in enumerate(loads.items(), 1):
            print(f"bench: {number} of {len(loads)}: {load}", file=sys.stderr)
            runner.measure(load, workers, rounds)
    has_size = options.library and wanted("size of the stripped library", options.only)
    size = stripped_size(options.library) if has_size else None
    return Run(facts, rounds, timing.measured, runner.series, size)


def _public_arguments() -> list[str]:
    hidden = ("--release=", "--output=", "--library=")
    return [argument for argument in sys.argv[1:] if not argument.startswith(hidden)]


def summary(results: list[Result]) -> str:
    counts = Counter(result.verdict for result in results if result.budget)
    verdicts: tuple[Verdict, ...] = ("met", "missed", "not run", "FAILED")
    return "budgets: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts)


def main() -> int:
    options = arguments()
    if options.results:
        run = Run.load(options.results)
    else:
        run = measure(options)
        run.save(options.output / "results.json")
    results = run.results()
    print(tables.terminal(results))
    print(summary(results))
    for failure in run.failures():
        print(f"bench: failed: {failure}", file=sys.stderr)
    whole = not (options.quick or options.only or options.results)
    if whole or options.document:
        document.write(run, TEMPLATE, PAGE)
        print(f"written: {PAGE}")
    unmet = [result for result in results if result.budget and result.verdict != "met"]
    return 1 if run.failures() or (options.strict and unmet) else 0


if __name__ == "__main__":
    sys.exit(main())
