"""Tables of the results, for a terminal and for a page."""

from collections.abc import Iterable, Sequence

from suite.catalogue import Load, Worker, size
from suite.verdicts import AllSeries, Result, Spread, calls_per_second

NOTHING = "–"


def figure(value: float) -> str:
    """Three digits, and no exponent."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _with_unit(value: str, unit: str) -> str:
    return value if unit == "×" else f"{value} {unit}"


def row(result: Result) -> tuple[str, str, str, str, str]:
    """Name, median, spread, budget, verdict."""
    spread = result.spread
    return (
        result.name,
        _with_unit(figure(spread.median), result.unit) if spread else NOTHING,
        f"{figure(spread.low)} … {figure(spread.high)}" if spread else NOTHING,
        str(result.budget) if result.budget else NOTHING,
        f"{result.verdict}: {result.reason}" if result.reason else result.verdict,
    )


HEADS = ("measured", "median", "lowest … highest", "budget", "verdict")


def terminal(results: Iterable[Result]) -> str:
    """Columns apart by spaces."""
    rows = [HEADS, *map(row, results)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEADS) - 1)]
    return "\n".join(
        "  ".join(
            [*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[-1]]
        )
        for line in rows
    )


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of a page, its figures to the right."""
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, rule, *rows])


def budgets(results: Iterable[Result]) -> str:
    """All ratios against their budgets, what misses one in bold."""
    rows = []
    for result in results:
        *cells, verdict = row(result)
        emphasis = "" if result.verdict in ("met", "no budget") else "**"
        rows.append(
            [*cells, NOTHING if verdict == "no budget" else f"{emphasis}{verdict}{emphasis}"]
        )
    return markdown(HEADS, rows)


def rates(series: AllSeries, workers: Sequence[Worker], loads: Sequence[Load]) -> str:
    """Calls per second of every worker: the median of the rounds."""
    rows = []
    for worker in workers:
        spreads = [calls_per_second(series, worker, load) for load in loads]
        rows.append([worker.name, *(figure(one.median) if one else NOTHING for one in spreads)])
    heads = [f"{load.callers} × {size(load.payload_bytes)}" for load in loads]
    return markdown(["calls per second", *heads], rows)


PERCENTILES = ("p50", "p90", "p99", "p99.9", "max")


def latencies(series: AllSeries, workers: Sequence[Worker], load: Load) -> str:
    """Percentiles of each worker in microseconds: the medians of the rounds."""
    rows = []
    for worker in workers:
        own = latency_of(series, worker, load)
        rows.append(
            [worker.name, *(figure(own[p].median) if own else NOTHING for p in PERCENTILES)]
        )
    return markdown(["µs", *PERCENTILES], rows)


def latency_of(series: AllSeries, worker: Worker, load: Load) -> dict[str, Spread] | None:
    """Percentile → spread; None where it was not measured."""
    own = series.get((worker.name, str(load)))
    if own is None or own.failure or not own.samples:
        return None
    return {p: Spread.of([sample["latency_us"][p] for sample in own.samples]) for p in PERCENTILES}
