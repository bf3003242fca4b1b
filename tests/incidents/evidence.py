"""What one run left behind, read back: the users' answers, the metrics pages, and what the models did."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.incidents.client import Answer
from tests.incidents.world import Note
from tests.tritons.executions import Execution

LINE = re.compile(r"^(?P<family>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Phase:
    """Part of a run, in seconds since 1970."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Check:
    """One thing that the cause must have done, and what was measured."""

    says: str
    measured: float
    holds: bool


@dataclass(frozen=True)
class Evidence:
    folder: Path
    baseline: Phase
    incident: Phase
    answers: tuple[Answer, ...]
    executions: tuple[Execution, ...]
    notes: tuple[Note, ...]
    statistics: tuple[Mapping[str, Any], ...]
    """Of the statistics API by pod: at the onset and at the end."""
    onset: float

    def sent(self, phase: Phase, **wanted: object) -> list[Answer]:
        """The requests that were due in the phase; `kind=`, `pod=` and the like choose."""
        return [
            answer
            for answer in self.answers
            if phase.start <= answer.due < phase.end
            and all(getattr(answer, name) == value for name, value in wanted.items())
        ]

    def latency_ms(self, phase: Phase, share: float, **wanted: object) -> float:
        """The quantile of what users waited, by nearest rank; a request without a good answer waited until it was given up."""
        waited = sorted(answer.latency_seconds for answer in self.sent(phase, **wanted))
        return 1000 * waited[math.ceil(share * len(waited)) - 1] if waited else math.nan

    def error_share(self, phase: Phase, **wanted: object) -> float:
        sent = self.sent(phase, **wanted)
        return sum(answer.status != 200 for answer in sent) / len(sent) if sent else math.nan

    def increase(self, family: str, phase: Phase, *, of: str = "*", **labels: str) -> float:
        """By how much a counter grew, over all series and pods; `of` is a pod's name, or a pattern. A restart starts at zero."""
        total = 0.0
        for file in self.folder.glob(f"pages/{of}.jsonl"):
            before: dict[str, float] | None = None
            for _, text in _pages(file, phase):
                after = dict(_series(text, family, labels))
                if before is not None:
                    total += sum(_grown(before.get(key, 0.0), value) for key, value in after.items())
                before = after
        return total

    def peak(self, family: str, phase: Phase, *, of: str = "*", **labels: str) -> float:
        """The largest sum over the series of one page; 0 when none was there."""
        pages = (page for file in self.folder.glob(f"pages/{of}.jsonl") for page in _pages(file, phase))
        return max(
            (sum(value for _, value in _series(text, family, labels)) for _, text in pages), default=0.0
        )

    def platform(self, count: str, phase: Phase, *, of: str = "*") -> float:
        """By how much the kernel's count grew, over all pods."""
        total = 0.0
        for file in self.folder.glob(f"platform/{of}.jsonl"):
            values = [line[count] for line in _lines(file, phase) if count in line]
            total += values[-1] - values[0] if values else 0.0
        return total

    def pods(self) -> list[str]:
        return sorted(file.stem for file in self.folder.glob("pages/web-*.jsonl"))

    def executed(self, phase: Phase, model: str | None = None) -> list[Execution]:
        """Executions that began in the phase."""
        return [
            each
            for each in self.executions
            if phase.start <= each.started_at_ns / 1e9 < phase.end and model in (None, each.model)
        ]


def _pages(file: Path, phase: Phase) -> Iterator[tuple[float, str]]:
    for line in _lines(file, phase):
        if "text" in line:
            yield line["at"], line["text"]


def _lines(file: Path, phase: Phase) -> list[dict[str, Any]]:
    # One scrape more before: an increase is between scrapes. None after: the next phase would be in it.
    found = (json.loads(line) for line in file.read_text().splitlines())
    return [line for line in found if phase.start - 1 <= line["at"] < phase.end]


def _series(text: str, family: str, labels: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for match in LINE.finditer(text):
        if match["family"] == family:
            of_series = dict(LABEL.findall(match["labels"] or ""))
            if all(of_series.get(name) == value for name, value in labels.items()):
                yield match["labels"] or "", float(match["value"])


def _grown(before: float, after: float) -> float:
    return after - before if after >= before else after
