"""docs/performance.md and its plots, from a run and the text of benches/performance.md."""

import re
from pathlib import Path

from suite import plots, tables
from suite.catalogue import (
    ASYNCIO,
    BLOCKING,
    KOTLIN,
    MATRIX,
    MATRIX_WORKERS,
    PACED,
    PACED_WORKERS,
    PAYLOADS,
    PICOWS_UVLOOP,
    RAW,
    RUST,
    SWIFT,
    UVLOOP,
    WEBSOCKETS,
    Load,
)
from suite.results import Run

OURS = (RUST, ASYNCIO, UVLOOP, BLOCKING, KOTLIN, SWIFT)
# Thirteen lines in one plot tell nothing.
LINES = (RAW, *OURS, WEBSOCKETS, PICOWS_UVLOOP)


def write(run: Run, template: Path, page: Path) -> None:
    """Fills the template and draws the plots beside the page."""
    results = run.results()
    folder = page.with_suffix("")
    plots.budgets(results, folder / "budgets.svg")
    small = [Load(callers, 64) for callers in (1, 64, 1000)]
    plots.rates(run.series, OURS, MATRIX_WORKERS, small, folder / "small-calls.svg")
    plots.throughput(run.series, LINES, PAYLOADS, folder / "payloads.svg")
    plots.latencies(run.series, [w for w in LINES if w is not RAW], PACED, folder / "latency.svg")
    parts = {
        "command": run.machine["command"],
        "machine": tables.markdown(("fact", "of this run"), run.machine.items()),
        "rounds": str(run.rounds),
        "seconds": f"{run.seconds:g}",
        "budgets": tables.budgets(results),
        "rates": tables.rates(run.series, MATRIX_WORKERS, MATRIX),
        "latencies": tables.latencies(run.series, PACED_WORKERS, PACED),
        "paced load": str(PACED),
    }
    page.write_text(fill(template.read_text(), parts))


def fill(text: str, parts: dict[str, str]) -> str:
    """Puts each part where `{{its name}}` stands; every part has exactly its places."""
    names = set(re.findall(r"\{\{(.*?)\}\}", text))
    if names != parts.keys():
        wrong = ", ".join(sorted(names ^ parts.keys()))
        raise ValueError(f"the template and the parts differ in: {wrong}")
    return re.sub(r"\{\{(.*?)\}\}", lambda place: parts[place[1]], text)
