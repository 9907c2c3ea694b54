"""The results of a run, as they are kept in target/bench/."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from suite.catalogue import ABSOLUTES, COMPARISONS, LIBRARY_SIZE
from suite.rounds import Series
from suite.verdicts import AllSeries, Result, absolute, compare, single


@dataclass
class Run:
    """Everything that a report needs."""

    machine: dict[str, str]
    rounds: int
    seconds: float
    series: AllSeries
    library_bytes: int | None

    def results(self) -> list[Result]:
        """One line for each ratio and figure that was asked for."""
        lines = [
            compare(self.series, comparison)
            for comparison in COMPARISONS
            if {
                (comparison.subject.name, str(comparison.load)),
                (comparison.baseline.name, str(comparison.load)),
            }
            <= self.series.keys()
        ]
        lines += [
            absolute(self.series, wanted)
            for wanted in ABSOLUTES
            if (wanted.worker.name, str(wanted.load)) in self.series
        ]
        if self.library_bytes is not None:
            megabytes = self.library_bytes / 1e6
            lines.append(single("size of the stripped library", megabytes, LIBRARY_SIZE, "MB"))
        return lines

    def failures(self) -> list[str]:
        """What went wrong, also where no ratio needs it."""
        return [f"{s.worker}, {s.load}: {s.failure}" for s in self.series.values() if s.failure]

    def save(self, path: Path) -> None:
        """Writes it."""
        fields = {
            "machine": self.machine,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "library_bytes": self.library_bytes,
            "series": [asdict(one) for one in self.series.values()],
        }
        path.write_text(json.dumps(fields, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Reads what `save` wrote."""
        fields = json.loads(path.read_text())
        series: Iterable[Series] = (Series(**one) for one in fields["series"])
        fields["series"] = {(one.worker, one.load): one for one in series}
        return cls(**fields)
