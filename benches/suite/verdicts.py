"""From the series of samples to figures, spreads and verdicts."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from suite.catalogue import Absolute, Bound, Comparison, Load, Sample, Worker
from suite.rounds import Series

Verdict = Literal["met", "missed", "no budget", "not run", "FAILED"]
AllSeries = Mapping[tuple[str, str], Series]


@dataclass(frozen=True)
class Spread:
    """The median of the rounds and the two ends."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    spread: Spread | None
    budget: Bound | None
    verdict: Verdict
    reason: str = ""
    unit: str = "×"


def rate(sample: Sample) -> float:
    """Calls per second."""
    return float(sample["calls"]) / float(sample["seconds"])


def compare(series: AllSeries, comparison: Comparison) -> Result:
    """The ratio, taken within each round."""
    load = str(comparison.load)
    subject = series[comparison.subject.name, load]
    baseline = series[comparison.baseline.name, load]
    if gap := _gap(comparison.name, comparison.budget, "×", subject, baseline):
        return gap
    pairs = zip(subject.samples, baseline.samples, strict=True)
    ratios = [rate(own) / rate(other) for own, other in pairs]
    return _judge(comparison.name, ratios, comparison.budget, "×")


def absolute(series: AllSeries, wanted: Absolute) -> Result:
    """The figure itself."""
    own = series[wanted.worker.name, str(wanted.load)]
    if gap := _gap(wanted.name, wanted.budget, wanted.unit, own):
        return gap
    values = [wanted.value(sample) for sample in own.samples]
    return _judge(wanted.name, values, wanted.budget, wanted.unit)


def single(name: str, value: float, budget: Bound, unit: str) -> Result:
    """A figure that no worker measures."""
    return _judge(name, [value], budget, unit)


def calls_per_second(series: AllSeries, worker: Worker, load: Load) -> Spread | None:
    """None where it was not measured."""
    own = series.get((worker.name, str(load)))
    if own is None or own.failure or not own.samples:
        return None
    return Spread.of([rate(sample) for sample in own.samples])


def _gap(name: str, budget: Bound | None, unit: str, *needed: Series) -> Result | None:
    for one in needed:
        if one.failure:
            return Result(name, None, budget, "FAILED", f"{one.worker}: {one.failure}", unit)
    for one in needed:
        if one.not_run:
            return Result(name, None, budget, "not run", f"{one.worker}: {one.not_run}", unit)
    return None


def _judge(name: str, values: list[float], budget: Bound | None, unit: str) -> Result:
    spread = Spread.of(values)
    if budget is None:
        return Result(name, spread, None, "no budget", unit=unit)
    verdict: Verdict = "met" if budget.met(spread.median) else "missed"
    return Result(name, spread, budget, verdict, unit=unit)
