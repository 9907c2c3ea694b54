"""Plots of a run. The same results give the same bytes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.catalogue import Load, Worker, size
from suite.tables import PERCENTILES, latency_of
from suite.verdicts import AllSeries, Result, Spread, calls_per_second

OURS, THEIRS, MISSED = "#1f6feb", "#9aa4b1", "#d1242f"

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        # Names of elements that depend on nothing but their place, and text that stays text.
        "svg.hashsalt": "skyline",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e5e8ec",
    }
)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(
        path, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None}
    )
    pyplot.close(figure)
    # matplotlib leaves spaces at the ends of lines.
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line.rstrip()}\n" for line in lines))


def budgets(results: Sequence[Result], path: Path) -> None:
    """How far each figure is from its budget, with the spread of the rounds."""
    judged = [(result, _as_multiple(result)) for result in results]
    drawn = [(result, spread) for result, spread in judged if spread]
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.28 * len(drawn)))
    for place, (result, spread) in enumerate(reversed(drawn)):
        color = OURS if result.verdict == "met" else MISSED
        axes.plot([spread.low, spread.high], [place, place], color=color, linewidth=2)
        axes.plot([spread.median], [place], "o", color=color, markersize=5)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(
        range(len(drawn)), [result.name.replace("`", "") for result, _ in reversed(drawn)]
    )
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("as a multiple of the budget: right of the line it is met")
    _save(figure, path)


def _as_multiple(result: Result) -> Spread | None:
    spread, budget = result.spread, result.budget
    if spread is None or budget is None:
        return None
    if budget.at_least:
        low, median, high = spread.low, spread.median, spread.high
        return Spread(median / budget.limit, low / budget.limit, high / budget.limit)
    return Spread(
        budget.limit / spread.median, budget.limit / spread.high, budget.limit / spread.low
    )


def rates(
    series: AllSeries,
    ours: Sequence[Worker],
    workers: Sequence[Worker],
    loads: Sequence[Load],
    path: Path,
) -> None:
    """Calls per second of every worker, one panel a load."""
    figure, panels = pyplot.subplots(1, len(loads), figsize=(3.2 * len(loads), 3.6), squeeze=False)
    for number, (axes, load) in enumerate(zip(panels[0], loads, strict=True)):
        _panel(axes, series, ours, workers, load)
        if number:
            axes.set_yticklabels([])
    _save(figure, path)


def _panel(
    axes: Axes, series: AllSeries, ours: Sequence[Worker], workers: Sequence[Worker], load: Load
) -> None:
    axes.set_title(str(load), fontsize=9)
    axes.set_yticks(range(len(workers)), [worker.name for worker in reversed(workers)])
    axes.set_ylim(-0.6, len(workers) - 0.4)
    # A raw echo makes a hundred times the calls of a script.
    axes.set_xscale("log")
    axes.set_xlabel("1 000 calls/s")
    for place, worker in enumerate(reversed(workers)):
        spread = calls_per_second(series, worker, load)
        if spread is None:
            continue
        low, median, high = spread.low / 1e3, spread.median / 1e3, spread.high / 1e3
        color = OURS if worker in ours else THEIRS
        axes.plot([low, high], [place, place], color=color, linewidth=2)
        axes.plot([median], [place], "o", color=color, markersize=5)


def throughput(
    series: AllSeries, workers: Sequence[Worker], payloads: Sequence[int], path: Path
) -> None:
    """Payload there and back per second against its size, one call at a time."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for worker in workers:
        points = []
        for payload in payloads:
            spread = calls_per_second(series, worker, Load(1, payload))
            if spread:
                points.append((payload, spread.median * payload / 1e6))
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=worker.name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(payloads, [size(payload) for payload in payloads])
    axes.set_xlabel("payload of a call")
    axes.set_ylabel("MB/s each way, sequential")
    axes.legend(fontsize=7, frameon=False)
    _save(figure, path)


def latencies(series: AllSeries, workers: Sequence[Worker], load: Load, path: Path) -> None:
    """The tail of the latencies under a fixed rate."""
    figure, axes = pyplot.subplots(figsize=(7, 4))
    places = range(len(PERCENTILES))
    for worker in workers:
        own = latency_of(series, worker, load)
        if own:
            heights = [own[percentile].median for percentile in PERCENTILES]
            axes.plot(places, heights, marker="o", markersize=3, label=worker.name)
    axes.set_yscale("log")
    axes.set_xticks(places, PERCENTILES)
    axes.set_ylabel("µs from the planned time to the answer")
    axes.set_title(str(load), fontsize=9)
    axes.legend(fontsize=7, frameon=False)
    _save(figure, path)
