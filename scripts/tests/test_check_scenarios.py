"""Tests of scripts/check-scenarios: it accepts complete results and nothing less."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "check-scenarios"

TABLE = """
| number | claim | what is shown |
|---|---|---|
| 1 | `limits_are_read` | … |
| 2 | `integers_keep_their_64_bits` | … |
"""

RUST = """
     Running unittests src/lib.rs (target/debug/deps/skyline-1)
test a_unit_test_elsewhere ... ok
     Running tests/scenarios.rs (target/debug/deps/scenarios-1)
running 2 tests
test limits_are_read ... ok
test integers_keep_their_64_bits ... ok
     Running tests/breach.rs (target/debug/deps/breach-1)
test a_test_elsewhere ... FAILED
"""

PYTHON = """<testsuites><testsuite>
<testcase classname="tests.test_scenarios" name="test_limits_are_read"/>
<testcase classname="tests.test_scenarios" name="test_integers_keep_their_64_bits[signed]"/>
<testcase classname="tests.test_scenarios" name="test_integers_keep_their_64_bits[unsigned]"/>
<testcase classname="tests.test_other" name="test_elsewhere"><skipped/></testcase>
</testsuite></testsuites>
"""

KOTLIN = """<testsuite>
<testcase classname="pro.telepower.skyline.ScenariosTest" name="limitsAreRead"/>
<testcase classname="pro.telepower.skyline.ScenariosTest" name="integersKeepTheir64Bits()"/>
</testsuite>
"""

SWIFT = """
Test Case 'ScenariosTests.testLimitsAreRead' started at 2026-01-01 00:00:00.000
Test Case 'ScenariosTests.testLimitsAreRead' passed (0.1 seconds)
Test Case '-[SkylineTests.ScenariosTests testIntegersKeepTheir64Bits]' started.
Test Case '-[SkylineTests.ScenariosTests testIntegersKeepTheir64Bits]' passed (0.1 seconds).
Test Case 'OtherTests.testElsewhere' failed (0.1 seconds)
"""

FILES = {
    "rust": "rust.txt",
    "python": "python.xml",
    "kotlin": "kotlin/TEST-ScenariosTest.xml",
    "swift": "swift.txt",
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder in which every language ran every scenario of TABLE."""
    folder = tmp_path / "test-results"
    (folder / "kotlin").mkdir(parents=True)
    for language, text in zip(FILES, [RUST, PYTHON, KOTLIN, SWIFT], strict=True):
        (folder / FILES[language]).write_text(text, encoding="utf-8")
    (tmp_path / "scenarios.md").write_text(TABLE, encoding="utf-8")
    return folder


def check(results: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    table = results.parent / "scenarios.md"
    command: list[str | Path] = [
        sys.executable,
        SCRIPT,
        "--table",
        table,
        "--results",
        results,
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_complete_results_pass_with_a_line_per_language(results: Path) -> None:
    outcome = check(results)
    assert outcome.stdout.splitlines() == [
        f"scenarios in {language}: 2 of 2 passed" for language in FILES
    ]
    assert outcome.returncode == 0


@pytest.mark.parametrize(
    ("language", "old", "new", "complaint"),
    [
        ("rust", "limits_are_read ... ok", "limits_are_read ... FAILED", "limits_are_read failed"),
        ("rust", "read ... ok", "read ... ignored, slow", "limits_are_read skipped"),
        ("rust", "test limits_are_read ... ok", "", "limits_are_read is missing"),
        ("rust", "test limits", "test x ... ok\ntest limits", "x is not in the table"),
        ("python", 'read"/>', 'read"><skipped/></testcase>', "test_limits_are_read skipped"),
        ("python", 'read"/>', 'read"><error/></testcase>', "test_limits_are_read failed"),
        (
            "python",
            '[unsigned]"/>',
            '[unsigned]"><failure/></testcase>',
            "test_integers_keep_their_64_bits failed",
        ),
        ("kotlin", "limitsAreRead", "limitsReadAre", "limitsReadAre is not in the table"),
        ("kotlin", "limitsAreRead", "limitsReadAre", "limitsAreRead is missing"),
        ("kotlin", 'Read"/>', 'Read"><failure/></testcase>', "limitsAreRead failed"),
        (
            "swift",
            "testLimitsAreRead' passed",
            "testLimitsAreRead' skipped",
            "testLimitsAreRead skipped",
        ),
        (
            "swift",
            "Test Case 'ScenariosTests.testLimitsAreRead' passed (0.1 seconds)",
            "Illegal instruction",
            "testLimitsAreRead failed",
        ),
    ],
)
def test_a_scenario_that_did_not_pass_is_named(
    results: Path, language: str, old: str, new: str, complaint: str
) -> None:
    replace(results / FILES[language], old, new)
    outcome = check(results)
    assert outcome.returncode == 1
    assert f"  {complaint}" in outcome.stdout.splitlines()


@pytest.mark.parametrize("language", FILES)
def test_a_language_without_results_fails(results: Path, language: str) -> None:
    (results / FILES[language]).unlink()
    outcome = check(results)
    assert outcome.returncode == 1
    assert f"scenarios in {language}: 0 of 2 passed" in outcome.stdout.splitlines()


def test_a_language_left_out_on_purpose_is_said_so(results: Path) -> None:
    (results / FILES["swift"]).unlink()
    outcome = check(results, "--without", "swift")
    assert outcome.returncode == 0
    assert "scenarios in swift: not run" in outcome.stdout.splitlines()


def test_a_table_with_a_gap_in_its_numbers_is_refused(results: Path) -> None:
    replace(results.parent / "scenarios.md", "| 2 |", "| 3 |")
    assert check(results).returncode == 1


def test_the_table_of_this_repository_is_well_formed(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, SCRIPT, "--results", tmp_path]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "scenarios in rust: 0 of 43 passed" in outcome.stdout.splitlines()
