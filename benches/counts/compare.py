"""Counts the instructions of the hot functions and compares them with baseline.json.

scripts/instruction-counts starts it and says how it is used.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 0.03
"""memcpy and its kin are chosen by the C library for the processor, and differ a little."""
FEW, MANY = 100, 1100
"""Iterations. Their difference leaves out what happens once."""


def instructions(program: Path, name: str, iterations: int) -> int:
    """All instructions of one run."""
    done = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            str(program),
            name,
            str(iterations),
        ],
        capture_output=True,
        text=True,
    )
    total = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not total:
        sys.exit(f"instruction-counts: {name}: valgrind failed:\n{done.stderr}")
    return int(total[1])


def per_call(program: Path, name: str) -> int:
    few, many = (instructions(program, name, iterations) for iterations in (FEW, MANY))
    return round((many - few) / (MANY - FEW))


def compare(counts: dict[str, int], baseline: dict[str, int]) -> list[str]:
    """What is wrong with the counts."""
    problems = [f"{name}: it is not in the baseline" for name in counts.keys() - baseline.keys()]
    problems += [f"{name}: it is not measured any more" for name in baseline.keys() - counts.keys()]
    for name in counts.keys() & baseline.keys():
        if counts[name] > baseline[name] * (1 + TOLERANCE):
            change = counts[name] / baseline[name] - 1
            numbers = f"{counts[name]} instructions, {baseline[name]} in the baseline"
            problems.append(f"{name}: {numbers}: {change:+.1%}, more than {TOLERANCE:.0%} allow")
    return sorted(problems)


def table(counts: dict[str, int], baseline: dict[str, int]) -> str:
    lines = []
    for name, count in counts.items():
        before = baseline.get(name)
        change = f"{count / before - 1:+7.1%}" if before else "    new"
        lines.append(f"{count:8} {change}  {name}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/instruction-counts")
    parser.add_argument("--update", action="store_true", help="make these counts the baseline")
    parser.add_argument("program", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()

    machine = platform.machine()
    baselines: dict[str, dict[str, int]] = (
        json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    )
    names = subprocess.run(
        [options.program], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    with ThreadPoolExecutor() as pool:
        measured = pool.map(lambda name: per_call(options.program, name), names)
        counts = dict(zip(names, measured, strict=True))

    if options.update:
        baselines[machine] = counts
        BASELINE.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n")
    elif machine not in baselines:
        print(f"instruction-counts: there is no baseline for {machine}: nothing was compared")
        return 0
    baseline = baselines[machine]
    print(table(counts, baseline))
    problems = compare(counts, baseline)
    for problem in problems:
        print(f"instruction-counts: {problem}", file=sys.stderr)
    if problems:
        print(
            "If that is meant, say why in the commit and run: scripts/instruction-counts --update",
            file=sys.stderr,
        )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
