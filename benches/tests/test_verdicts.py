"""What the table says of the samples."""

from typing import Any

from counts.compare import compare as compare_counts
from suite.catalogue import (
    ABSOLUTES,
    COMPARISONS,
    MATRIX,
    SENSELESS,
    Absolute,
    Bound,
    Comparison,
    Load,
    Worker,
    size,
)
from suite.results import Run
from suite.rounds import Series
from suite.tables import figure
from suite.verdicts import Result, compare

LOAD = Load(1, 64)
SUBJECT = Worker("subject", ("a",))
BASELINE = Worker("baseline", ("b",))


def series(worker: Worker, *calls: int, **why: str) -> Series:
    samples: list[dict[str, Any]] = [{"calls": count, "seconds": 2.0} for count in calls]
    return Series(worker.name, str(LOAD), samples, **why)


def judge(subject: Series, baseline: Series, budget: Bound | None) -> Result:
    both = {(one.worker, one.load): one for one in (subject, baseline)}
    return compare(both, Comparison(SUBJECT, BASELINE, LOAD, budget))


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was twice as slow in the second round: no ratio changes by it.
    result = judge(series(SUBJECT, 400, 200, 300), series(BASELINE, 200, 100, 200), Bound(1.9))
    assert result.spread
    assert (result.spread.low, result.spread.median, result.spread.high) == (1.5, 2.0, 2.0)
    assert result.verdict == "met"


def test_a_budget_is_held_against_the_median() -> None:
    assert judge(series(SUBJECT, 9, 9, 30), series(BASELINE, 10, 10, 10), Bound(1)).verdict == (
        "missed"
    )


def test_a_worker_that_fails_is_never_green() -> None:
    failed = judge(series(SUBJECT, 9, failure="status 1"), series(BASELINE, 1), Bound(1))
    assert (failed.verdict, failed.spread) == ("FAILED", None)
    assert "status 1" in failed.reason


def test_a_missing_toolchain_is_neither_green_nor_a_failure() -> None:
    missing = judge(series(SUBJECT, not_run="no Swift"), series(BASELINE, 1), Bound(1))
    assert missing.verdict == "not run"
    assert "no Swift" in missing.reason


def test_a_run_survives_being_kept(tmp_path: Any) -> None:
    one = COMPARISONS[0]
    kept = {
        (worker.name, str(one.load)): Series(
            worker.name, str(one.load), [{"calls": 4, "seconds": 1}]
        )
        for worker in (one.subject, one.baseline)
    }
    run = Run({"processor": "any"}, 1, 1.0, kept, 5_000_000)
    run.save(tmp_path / "results.json")
    read = Run.load(tmp_path / "results.json")
    assert read == run
    assert [result.verdict for result in read.results()] == ["met", "met"]


def test_names_of_lines_tell_them_apart() -> None:
    lines: list[Comparison | Absolute] = [*COMPARISONS, *ABSOLUTES]
    names = [line.name for line in lines]
    assert len(names) == len(set(names))


def test_the_matrix_leaves_out_what_makes_no_sense() -> None:
    assert not SENSELESS & {(load.callers, load.payload_bytes) for load in MATRIX}
    assert Load(64, 1 << 20) in MATRIX


def test_numbers_are_written_for_people() -> None:
    assert [figure(value) for value in (0.777, 12.34, 345.6, 123456.0)] == [
        "0.78",
        "12.3",
        "346",
        "123 000",
    ]
    assert [size(count) for count in (64, 1024, 65536, 1 << 20)] == [
        "64 B",
        "1 KiB",
        "64 KiB",
        "1 MiB",
    ]


def test_more_instructions_than_tolerated_are_a_problem_and_fewer_are_none() -> None:
    baseline = {"slower": 1000, "same": 1000, "faster": 1000, "gone": 1}
    problems = compare_counts({"slower": 1031, "same": 1030, "faster": 500, "new": 1}, baseline)
    assert [problem.partition(":")[0] for problem in problems] == ["gone", "new", "slower"]
