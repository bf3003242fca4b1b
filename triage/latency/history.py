"""The evidence over time, read as quantities: pooled over pods and versions, for one model or one group of pods. Pure."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from triage.cluster_views import PodPlacement, PodPlacements
from triage.evidence import Evidence
from triage.latency.facts import Ranges, Series
from triage.latency.kinds import By, Of
from triage.latency.measures import Measure
from triage.latency.quantities import Quantity
from triage.latency.trace import Trace

_HASHED = re.compile(
    r"^(?P<owner>.+)-(?P<hash>[bcdfghjklmnpqrstvwxz2456789]{5,10})-[bcdfghjklmnpqrstvwxz2456789]{5}$"
)
"""A Deployment's pod: its ReplicaSet's hash and five characters, both of Kubernetes' safe alphabet (apimachinery, util/rand)."""


View = Literal["", "close", "1d", "7d"]
"""The window as it is mostly read; scrape by scrape, for dating alone; or the same hours of an earlier day."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A quantity over time, or why there is none."""

    trace: Trace | None
    smear: float = 0.0
    evidence: tuple[str, ...] = ()
    missing: str = ""
    prompt: bool = False
    """It is of high quantiles or peaks of its window, not of means."""


@dataclass(frozen=True, slots=True)
class Who:
    """Whose series: of which models, and of which group of pods, if not of all."""

    model: str = ""
    of: Of = "all"
    by: By | None = None
    group: str = ""


@dataclass
class History:
    """All `Ranges` of a snapshot."""

    evidence: Sequence[Evidence]
    measures: Mapping[str, Measure]
    quantities: Mapping[str, Quantity]
    untimed: frozenset[str] = frozenset()
    """Decoupled models: what Triton says of their durations ends when `execute()` returns, and is no time of a request
    (triton-inference-server/server#8463)."""
    _read: dict[tuple[str, Who, View], Reading] = field(default_factory=dict)
    _told: dict[tuple[str, View, By | None], list["MeasureRanges"]] = field(default_factory=dict)

    def read(self, quantity: str, who: Who = Who(), view: View = "") -> Reading:
        key = (quantity, who, view)
        if key not in self._read:
            self._read[key] = self._make(self.quantities[quantity], who, view)
        return self._read[key]

    def groups(self, quantity: str, by: By, who: Who) -> list[str]:
        """The pods, nodes, versions, models, revisions or GPUs that the quantity is known of."""
        first = self.quantities[quantity].sum[0]
        found: set[str] = set()
        for ranges in self._ranges(first, "", by):
            groups = self._grouped(ranges, by).items()
            found |= {group for group, theirs in groups if any(self.is_of(series, who) for series in theirs)}
        found.discard("")
        return sorted(found)

    def of_measure(self, measure: str) -> "list[MeasureRanges]":
        """The evidence that tells a measure, in the finest form."""
        return self._ranges(measure, "", "pod")

    def missing(self, measure: str) -> str:
        """Why nothing is known of a measure, in words."""
        for evidence in self.evidence:
            if evidence.missing and _tells_of(evidence, measure, ""):
                return f"{evidence.source}: {evidence.missing.reason.replace('_', ' ')}"
        told = self.measures[measure].says if measure in self.measures else measure
        return f"no source tells the {told}"

    def has_none(self, measure: str) -> bool:
        """Whether a source was asked for a measure, and answered that it has no series of it."""
        for one in self.evidence:
            if _tells_of(one, measure, ""):
                empty = isinstance(one.facts, Ranges) and not one.facts.series
                if empty or (one.missing and one.missing.reason == "no_series"):
                    return True
        return False

    def group_of(self, series: Series, by: By) -> str:
        labels = series.labels
        match by:
            case "node":
                placed = self._placements.get(labels.get("pod", ""))
                return labels.get("node") or (placed.node if placed else "")
            case "revision":
                pod = labels.get("pod", "")
                placed, named = self._placements.get(pod), _HASHED.match(pod)
                return (placed.revision if placed else "") or (named["hash"] if named else "")
            case "gpu":  # a MIG instance is a device of its own
                return "/".join(filter(None, (labels.get("gpu", ""), labels.get("gpu_instance", ""))))
            case _:
                return labels.get(by, "")

    def _make(self, quantity: Quantity, who: Who, view: View) -> Reading:
        if who.of == "model" and who.model in self.untimed and self._is_timed(quantity):
            return Reading(
                None, missing=f"{who.model} is decoupled: Triton does not see how long its requests take"
            )
        used: list[str] = []
        parts: dict[str, _Pooled] = {}
        for measure in dict.fromkeys(quantity.measures):
            pooled = self._pooled(measure, who, view, quantity.only if measure in quantity.sum else {})
            if pooled is None and (measure not in quantity.optional or self._unread(measure, view)):
                return Reading(None, missing=self.missing(measure))
            if pooled is not None:
                parts[measure] = pooled
                used += pooled.evidence
        if not parts:
            return Reading(None, missing=self.missing(quantity.sum[0]))
        first = next(iter(parts.values()))
        grid = [one for one in parts.values() if one.step == first.step]
        if len(grid) != len(parts):
            return Reading(
                None, missing=f"the {quantity.says} comes from two sources that do not fit together"
            )
        start = min(one.start for one in grid)
        count = max(round((one.start - start) / one.step) + len(one.values) for one in grid)

        def on_grid(measure: str) -> Sequence[float | None]:
            one = parts.get(measure)
            if one is None:
                return [0.0] * count  # optional, and there is none
            before = round((one.start - start) / one.step)
            found = [*[None] * before, *one.values, *[None] * (count - before - len(one.values))]
            return [value or 0.0 for value in found] if measure in quantity.optional else found

        values = _put_together(quantity, {name: on_grid(name) for name in quantity.measures}, count)
        if quantity.witness:
            values = self._zero_before_birth(values, quantity.witness, who, view)
        smear = max(one.smear for one in grid)
        prompt = all(name in self.measures and self.measures[name].prompt for name in parts)
        return Reading(Trace(start, first.step, values), smear, tuple(dict.fromkeys(used)), prompt=prompt)

    def _is_timed(self, quantity: Quantity) -> bool:
        """Whether it rests on a duration that Triton measures."""
        rows = (self.measures[name] for name in quantity.measures if name in self.measures)
        return any(
            (row.family or "").startswith("nv_inference_") and row.unit.startswith("ms") for row in rows
        )

    def _zero_before_birth(
        self, values: tuple[float | None, ...], witness: str, who: Who, view: View
    ) -> tuple[float | None, ...]:
        seen = self._pooled(witness, who, view)
        born = next((place for place, value in enumerate(values) if value is not None), len(values))
        if seen is None or len(seen.values) != len(values):
            return values
        before = (None if there is None else 0.0 for there in seen.values[:born])
        return (*before, *values[born:])

    def _pooled(
        self, measure: str, who: Who, view: View, only: Mapping[str, str] = MappingProxyType({})
    ) -> "_Pooled | None":
        pool = self.measures[measure].pool if measure in self.measures else "sum"
        found: _Pooled | None = None
        for ranges in self._ranges(measure, view, who.by):
            facts = ranges.facts
            theirs = facts.series if who.by is None else self._grouped(ranges, who.by).get(who.group, [])
            chosen = [s for s in theirs if self.is_of(s, who) and only.items() <= s.labels.items()]
            if not chosen:
                continue
            values = [_pool(pool, column) for column in zip(*(s.values for s in chosen), strict=True)]
            one = _Pooled(facts.start, facts.step, facts.smear, values, [ranges.id])
            found = one if found is None else found.beside(one, pool)
        return found

    def _ranges(self, measure: str, view: View, by: By | None) -> list["MeasureRanges"]:
        """The evidence of one measure. Of two probes that tell the same, the one that tells the groups apart, else the first; each
        scraped server has evidence of its own."""
        key = (measure, view, by)
        if key not in self._told:
            self._told[key] = self._finest(measure, view, by)
        return self._told[key]

    def _finest(self, measure: str, view: View, by: By | None) -> list["MeasureRanges"]:
        found: dict[str, list[MeasureRanges]] = {}
        for evidence in self.evidence:
            facts = evidence.facts
            if isinstance(facts, Ranges) and facts.series and _tells_of(evidence, measure, view):
                probe = evidence.id.partition("/")[0]
                found.setdefault(probe, []).append(MeasureRanges(evidence.id, facts))
        if not found:
            return []
        telling = [all_of for all_of in found.values() if by and self._tells(all_of, by)]
        return (telling or list(found.values()))[0]

    def _grouped(self, ranges: "MeasureRanges", by: By) -> Mapping[str, list[Series]]:
        """Its series by group, in their order: a fleet has as many groups as pods, and each is read by itself."""
        if by not in ranges.groups:
            groups = ranges.groups.setdefault(by, {})
            for series in ranges.facts.series:
                groups.setdefault(self.group_of(series, by), []).append(series)
        return ranges.groups[by]

    def _unread(self, measure: str, view: View) -> bool:
        """Whether those who were asked could not say; that a source has no such series is an answer."""
        asked = [one for one in self.evidence if _tells_of(one, measure, view)]
        return bool(asked) and all(one.missing and one.missing.reason != "no_series" for one in asked)

    def _tells(self, ranges: Iterable["MeasureRanges"], by: By) -> bool:
        return any(self.group_of(s, by) for one in ranges for s in one.facts.series)

    def is_of(self, series: Series, who: Who) -> bool:
        """Whether these are theirs; what has no model label is everybody's."""
        model = series.labels.get("model")
        if (
            model is not None
            and who.model
            and who.of != "all"
            and (model == who.model) != (who.of == "model")
        ):
            return False
        return who.by is None or self.group_of(series, who.by) == who.group

    @cached_property
    def _placements(self) -> Mapping[str, PodPlacement]:
        """By pod."""
        for evidence in self.evidence:
            if isinstance(evidence.facts, PodPlacements):
                return {pod.pod: pod for pod in evidence.facts.pods}
        return {}


@dataclass(frozen=True, slots=True)
class MeasureRanges:
    """One piece of evidence."""

    id: str
    facts: Ranges
    groups: dict[By, dict[str, list[Series]]] = field(default_factory=dict, compare=False)
    """As far as they were asked for."""


@dataclass(frozen=True, slots=True)
class _Pooled:
    start: float
    step: float
    smear: float
    values: list[float | None]
    evidence: list[str]

    def beside(self, other: "_Pooled", pool: str) -> "_Pooled":
        """Both on this grid: servers that were scraped at about the same times. Of the other's values the nearest counts."""
        values = list(self.values)
        for place, value in enumerate(values):
            index = math.floor((self.start + place * self.step - other.start) / other.step + 0.5)
            if 0 <= index < len(other.values):
                values[place] = _pool(pool, (value, other.values[index]))
        return _Pooled(self.start, self.step, self.smear, values, self.evidence + other.evidence)


def owner_by_name(pod: str) -> str:
    """The name of the Deployment whose pod this is by its name; empty: the name does not tell."""
    named = _HASHED.match(pod)
    return named["owner"] if named else ""


def _tells_of(evidence: Evidence, measure: str, view: View) -> bool:
    """Whether it was asked for this measure: `PROBE/MEASURE`, `PROBE/MEASURE:SERVER`, `close/MEASURE`, or `past/MEASURE/AGO`."""
    probe, _, rest = evidence.id.partition("/")
    if view:
        return evidence.id == (f"close/{measure}" if view == "close" else f"past/{measure}/{view}")
    return probe not in ("past", "close") and rest.partition(":")[0] == measure


def _pool(pool: str, values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    if not there:
        return None
    if pool in ("max", "min"):
        return max(there) if pool == "max" else min(there)
    return sum(there) / len(there) if pool == "mean" else sum(there)


def _put_together(
    quantity: Quantity, measured: Mapping[str, Sequence[float | None]], count: int
) -> tuple[float | None, ...]:
    """At each of `count` steps; None where a part is not known."""

    def totals(measures: Sequence[str]) -> Sequence[float | None]:
        if not measures:
            return [0.0] * count
        columns = zip(*(measured[measure] for measure in measures), strict=True)
        return [None if None in column else sum(column) for column in columns]

    both = zip(totals(quantity.sum), totals(quantity.minus), strict=True)
    values = [None if a is None or b is None else (a - b) * quantity.scale for a, b in both]
    if quantity.per:
        pairs = zip(values, totals(quantity.per), strict=True)
        values = [value / of if value is not None and of else None for value, of in pairs]
    return tuple([value if value is not None and math.isfinite(value) else None for value in values])
