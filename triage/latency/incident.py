"""The incident that the evidence shows: which model, since when, and what moved how far. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

from triage.answers import Value
from triage.evidence import Evidence, LogExcerpt, Snapshot
from triage.latency.beginning import find_beginning
from triage.latency.change import Change
from triage.latency.changes import changes
from triage.latency.facts import Lifetime, ModelSettings, Ranges, Series
from triage.latency.history import History, Reading, Who
from triage.latency.kinds import By, Of
from triage.latency.looked_again import latest_settings
from triage.latency.measures import Measure
from triage.latency.model_in_question import model_in_question, models_of
from triage.latency.number import amount
from triage.latency.onset import Found
from triage.latency.points import median, spread
from triage.latency.quantities import Quantities, Quantity
from triage.latency.shift import LEAST_POINTS, Shift, fell, rose, shift
from triage.latency.trace import Trace
from triage.xids import Xids

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class Movement:
    """A quantity before and during: how it moved, and what that rests on."""

    quantity: Quantity
    before: float | None
    during: float | None
    evidence: tuple[str, ...]
    missing: str = ""

    shift: Shift | None = None
    """Of the independent points; None where there are too few, or the worst tenths are compared."""
    noise: float = 0.0
    """The robust standard deviation of the values before."""

    @property
    def clear(self) -> bool:
        """Whether it rose by more than its noise explains, by a tenth at least."""
        return self.known and self.difference > max(3 * self.noise, 0.1 * (self.before or 0.0))

    @property
    def known(self) -> bool:
        return self.before is not None and self.during is not None

    @property
    def difference(self) -> float:
        return (self.during or 0.0) - (self.before or 0.0)

    @property
    def from_to(self) -> str:
        """In words: what it was, and what it is."""
        unit = self.quantity.unit
        return f"{amount(self.before, unit)} before, {amount(self.during, unit)} during"

    def up(self, ratio: float, least: float) -> Value:
        value = self._beyond(lambda b, d: d >= b * ratio and d - b > least)
        return self._unless_excluded(value, rose(self.shift, ratio, least) if self.shift else "no")

    def down(self, ratio: float, least: float) -> Value:
        value = self._beyond(lambda b, d: d * ratio <= b and b - d > least)
        return self._unless_excluded(value, fell(self.shift, ratio, least) if self.shift else "no")

    @staticmethod
    def _unless_excluded(value: Value, by_ranks: Value) -> Value:
        """No is said only of what the points exclude."""
        return "unknown" if value == "no" and by_ranks != "no" else value

    def flat(self, ratio: float, least: float) -> Value:
        answers = (self.up(ratio, least), self.down(ratio, least))
        if "yes" in answers:
            return "no"
        return "unknown" if "unknown" in answers else "yes"

    def _beyond(self, is_beyond: Callable[[float, float], bool]) -> Value:
        if self.before is None or self.during is None:
            return "unknown"
        return "yes" if is_beyond(self.before, self.during) else "no"


@dataclass
class Incident:
    """What was asked, what came back, and when it began."""

    snapshot: Snapshot
    measures: Mapping[str, Measure]
    quantities: Mapping[str, Quantity]
    xids: Xids = field(default_factory=dict)
    model: str = field(init=False)
    """The one in question; empty where no model is known."""
    symptom: str = field(init=False, default="")
    onset: Found | None = field(init=False, default=None)
    intermittent: bool = field(init=False, default=False)
    """It comes and goes: most points are as before, and some are not. Quantities are then compared by their worst tenth."""
    no_onset: str = field(init=False, default="")
    _moved: dict[tuple[str, Who], Movement] = field(init=False, default_factory=dict)
    """What was compared already."""
    _once: dict[str, object] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.quantities = Quantities(self.quantities)
        untimed = frozenset(model for model, settings in self.settings.items() if settings.decoupled)
        self.history = History(self.snapshot.evidence, self.measures, self.quantities, untimed)
        self.model = self.snapshot.asked.model or model_in_question(self.history, self.settings)
        began = find_beginning(self.history, self.who())
        self.symptom, self.onset, self.no_onset = began.symptom, began.onset, began.missing
        self.intermittent = began.intermittent

    def once(self, name: str, find: Callable[[], Facts]) -> Facts:
        """What several ask for and takes long to find, found once."""
        if name not in self._once:
            self._once[name] = find()
        return cast(Facts, self._once[name])

    # Evidence.

    def facts(self, kind: type[Facts]) -> Iterator[tuple[Evidence, Facts]]:
        return ((one, one.facts) for one in self.snapshot.evidence if isinstance(one.facts, kind))

    def missing(self, *probes: str) -> str:
        """Why these probes brought nothing, in words; empty where one did."""
        asked = [one for one in self.snapshot.evidence if one.probe in probes]
        if any(one.facts is not None for one in asked):
            return ""
        if not asked:
            return f"{probes[0].replace('_', ' ')}: nothing was given to ask"
        return "; ".join(f"{e.source}: {e.missing.reason.replace('_', ' ')}" for e in asked[:3] if e.missing)

    def missing_logs(self) -> str:
        """Why the servers' logs do not tell all, in words; empty where all of them were read to their end."""
        if told := self.missing("log"):
            return told
        for one in self.snapshot.evidence:
            if one.probe == "log" and one.missing:
                return f"{one.source}: {one.missing.reason.replace('_', ' ')}"
            if isinstance(one.facts, LogExcerpt) and one.facts.cut:
                return f"{one.source}: not read to its end"
        return ""

    @cached_property
    def settings(self) -> Mapping[str, ModelSettings]:
        """The latest of each model."""
        told = latest_settings(self.snapshot.evidence)
        return {m: one.facts for m, one in told.items() if isinstance(one.facts, ModelSettings)}

    def settings_ids(self, model: str) -> tuple[str, ...]:
        """The evidence that these settings are from."""
        told = latest_settings(self.snapshot.evidence).get(model)
        return (told.id,) if told else ()

    @cached_property
    def changes(self) -> Sequence[Change]:
        return changes(self.snapshot.evidence, self.history)

    def pods_by_step(self) -> dict[float, int]:
        """How many of the model's pods answered, by the time of the step."""
        found: dict[float, int] = {}
        for pod in self.history.groups("throughput", "pod", self.who()):
            trace = self.read("throughput", by="pod", group=pod).trace
            for time, _ in trace.present() if trace else ():
                found[round(time, 3)] = found.get(round(time, 3), 0) + 1
        return found

    def paired(self, reading: Reading, other: Mapping[float, int], when: str) -> list[tuple[float, int]]:
        """The points of that time, each with what the other has at its step; 1 where that knows no step at all."""
        points = self.points(reading, when)
        pairs = [(value, other.get(round(time, 3), 0)) for time, value in points]
        return [(value, count) for value, count in pairs if count] or [
            (value, 1) for _, value in points if not other
        ]

    def pods(self, when: str = "during") -> list[str]:
        """Those of the model's pods that answered for most of that time."""
        found = []
        for pod in self.history.groups("throughput", "pod", self.who()):
            trace = self.read("throughput", by="pod", group=pod).trace
            whole = self.read("throughput").trace
            if trace is not None and whole is not None:
                there = len(self.values(Reading(trace), when))
                if there >= 0.5 * max(1, len(self.values(Reading(whole), when))):
                    found.append(pod)
        return found

    @property
    def models(self) -> Sequence[str]:
        return models_of(self.history)

    def parts(self) -> Sequence[str]:
        """The models that the one in question is made of; where that is not known, all that it might call."""
        settings = self.settings.get(self.model)
        if settings and settings.parts:
            return settings.parts
        return [model for model in self.models if model != self.model]

    # Time.

    @property
    def before(self) -> tuple[float, float] | None:
        return (float("-inf"), self.onset.onset.earliest) if self.onset else None

    @property
    def during(self) -> tuple[float, float]:
        if self.onset is None:
            return float("-inf"), float("inf")
        return self.onset.onset.latest, self.onset.ended.earliest if self.onset.ended else float("inf")

    def values(self, reading: Reading, when: str) -> list[float]:
        """What is known of it before, during, or ever."""
        return [value for _, value in self.points(reading, when)]

    def points(self, reading: Reading, when: str) -> list[tuple[float, float]]:
        """Time and value, before, during, or ever. A value of a window that reaches across the border belongs to neither."""
        if reading.trace is None:
            return []
        span = {"before": self.before, "during": self.during, "ever": (float("-inf"), float("inf"))}[when]
        if span is None:
            return []
        low, high = span[0] + (reading.smear if when == "during" and self.onset else 0.0), span[1]
        known = reading.trace.present()
        found = [(time, value) for time, value in known if low <= time <= high]
        # A short incident has no value that is wholly its own: the last ones are the most its own.
        if when == "during" and len(found) < 3:
            found = [(time, value) for time, value in known if span[0] <= time <= high][-3:]
        return found

    # Movements.

    def who(self, of: Of = "model", by: By | None = None, group: str = "") -> Who:
        return Who(self.model, of if self.model else "all", by, group)

    def read(self, quantity: str, of: Of = "model", by: By | None = None, group: str = "") -> Reading:
        return self.history.read(quantity, self.who(of, by, group))

    def movement(self, quantity: str, of: Of = "model", by: By | None = None, group: str = "") -> Movement:
        """Medians before and during; without a history, before is what the server counted in its life."""
        return self._movement(quantity, self.who(of, by, group))

    def movement_of(self, model: str, quantity: str) -> Movement:
        """The same of another model, over the same times."""
        return self._movement(quantity, Who(model, "model"))

    def _movement(self, quantity: str, who: Who) -> Movement:
        if (quantity, who) not in self._moved:
            self._moved[quantity, who] = self._compared(quantity, who)
        return self._moved[quantity, who]

    def _compared(self, quantity: str, who: Who) -> Movement:
        row, reading = self.quantities[quantity], self.history.read(quantity, who)
        if reading.trace is None:
            return Movement(row, None, None, (), reading.missing)
        before, during = self.values(reading, "before"), self.values(reading, "during")
        if self.onset is None:
            lived, source = self._lifetime(row, who)
            told = median(during)
            because = "" if lived is not None else self.no_onset or "nothing is known of the time before"
            return Movement(row, lived, told, reading.evidence + source, because)
        if not self.covered(reading, "during") or not self.covered(reading, "before"):
            return Movement(row, None, median(during), reading.evidence, f"too few points of the {row.says}")
        moved = (
            None if self.intermittent else shift(before, during, smear=reading.smear, step=reading.trace.step)
        )
        if (
            moved
            and moved.before
            and moved.during
            and min(moved.before.points, moved.during.points) < LEAST_POINTS
        ):
            moved = None
        return Movement(
            row, self._level(before), self._level(during), reading.evidence, shift=moved, noise=spread(before)
        )

    def _level(self, values: Sequence[float]) -> float | None:
        """The median, or where it comes and goes the worst tenth begins."""
        return sorted(values)[-1 - len(values) // 10] if self.intermittent and values else median(values)

    def within(self, ranges: Ranges, series: Series, when: str) -> list[float]:
        """One series' values before, during, or ever."""
        return self.values(Reading(Trace(ranges.start, ranges.step, series.values), ranges.smear), when)

    def then(self, past: Trace, ago: str) -> list[float]:
        """What an earlier day's trace has at the times of day of this incident."""
        moved = Trace(past.start + {"1d": 86_400.0, "7d": 604_800.0}[ago], past.step, past.values)
        return self.values(Reading(moved), "during")

    def part(self, quantity: str) -> tuple[float | None, Movement]:
        """The share of the increase of the time per request that is this quantity's, 0 to 1 and beyond; None: not known."""
        whole, one = self.movement("latency"), self.movement(quantity)
        if not (whole.known and one.known) or whole.difference <= 0:
            return None, one
        return one.difference / whole.difference, one

    def covered(self, reading: Reading, when: str) -> bool:
        """Whether enough of this part of the window was measured: requests that are not made have no time per request, so what
        counts is that the source answered at all."""
        return len(self.values(reading, when)) >= (3 if when == "during" else 8)

    def _lifetime(self, quantity: Quantity, who: Who) -> tuple[float | None, tuple[str, ...]]:
        """A ratio of what was counted before the first look; the whole life of the model, this incident so far included."""
        if not quantity.per:
            return None, ()
        above = below = 0.0
        sources: list[str] = []
        for evidence, facts in self.facts(Lifetime):
            if facts.totals.keys() >= {*quantity.measures} - {*quantity.optional}:
                above += sum(self._counted(facts, name, who) for name in quantity.sum)
                above -= sum(self._counted(facts, name, who) for name in quantity.minus)
                below += sum(self._counted(facts, name, who) for name in quantity.per)
                sources.append(evidence.id)
        return (above / below * quantity.scale if below else None), tuple(sources)

    def _counted(self, lifetime: Lifetime, measure: str, who: Who) -> float:
        theirs = (one for one in lifetime.totals.get(measure, ()) if self.history.is_of(one, who))
        return sum(series.values[0] or 0.0 for series in theirs)
