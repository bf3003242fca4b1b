"""What to ask a Prometheus of gateways, and what its answers mean."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, isnan, nan
from typing import Final

from telemetry.gateways.kind import GatewayKind, compile_pattern, target_pattern
from telemetry.gateways.window import Instance, Replica, Scrapes, Target, TargetSeries
from telemetry.prometheus_matrix import Matrix
from telemetry.prometheus_vector import Vector

MAX_SERIES: Final = 50_000
"""Of one answer: about 5 MB. More is a selection that is too wide, such as each sidecar of a mesh as a gateway."""
REMEMBERED: Final = "1h"
"""A gateway that told of no request for so long is known only to a process that saw it fall silent."""
UP: Final = ("job", "instance")
"""The labels that `up` shares with what the scraped page shows."""


class TooManySeries(Exception):
    """The message says of what, and how to have fewer."""


class TwoTargets(Exception):
    """A series that two targets are named by. The message says which, and how to tell them apart."""


@dataclass(frozen=True, slots=True)
class GatewayNames:
    """What is asked for: the kind, whose requests, and how labels tell gateways and Prometheus servers apart."""

    kind: GatewayKind
    targets: tuple[Target, ...]
    instance_labels: tuple[str, ...] = UP
    replica_labels: tuple[str, ...] = ("prometheus_replica", "replica", "__replica__")
    matchers: str = ""
    """In every selector: the section prometheus has them."""

    def instance(self, labels: Mapping[str, str]) -> Instance:
        return tuple(labels.get(label, "") for label in self.instance_labels)

    def replica(self, labels: Mapping[str, str]) -> Replica:
        return tuple(labels.get(label, "") for label in self.replica_labels)


def presence_query(names: GatewayNames, seconds: float) -> str:
    return f"{_presence(names)}[{_ms(seconds)}]"


def earlier_query(names: GatewayNames, seconds: float) -> str:
    """Gateways that were scraped in the hour before these last `seconds`: one that is back is not young."""
    by = ", ".join(names.instance_labels)
    return f"group by ({by}) (last_over_time({_presence(names)}[{REMEMBERED}] offset {_ms(seconds)}))"


def targets_query(names: GatewayNames, seconds: float) -> str:
    """Gateways that were scraped in these last `seconds`, and are among Prometheus' targets: one that it has dropped has no `up`,
    while that of one that it fails to scrape is 0, and that of a Prometheus that died stays as it was for five minutes."""
    by = ", ".join(names.instance_labels)
    return f"group by ({by}) ({_up(names)} and on ({by}) last_over_time({_presence(names)}[{_ms(seconds)}]))"


def lost_queries(names: GatewayNames) -> Sequence[str]:
    """Gateways that told of a target in the last hour, and are among Prometheus' targets: one row for each of both."""
    kind, by = names.kind, ", ".join(names.instance_labels)
    queries = []
    for patterns in kind.targets:
        told = _select(kind.requests, _target_matchers(names, patterns), kind.matchers, names.matchers)
        both = ", ".join(dict.fromkeys((*names.instance_labels, *patterns)))
        queries.append(f"group by ({both}) (last_over_time({told}[{REMEMBERED}])) and on ({by}) {_up(names)}")
    return queries


def kept_query(names: GatewayNames, instances: Iterable[Instance]) -> str:
    """Which of these gateways are among Prometheus' targets."""
    labels, values = names.instance_labels, zip(*sorted(instances), strict=True)
    told = (f'{label}=~"{_any_of(map(re.escape, each))}"' for label, each in zip(labels, values, strict=True))
    return f"group by ({', '.join(labels)}) ({_select('up', ','.join(told), names.matchers)})"


def series_queries(names: GatewayNames, family: str, seconds: float) -> Sequence[str]:
    """Raw samples, one query for each way in which labels name a target."""
    kind = names.kind
    return [
        f"{_select(family, _target_matchers(names, patterns), kind.matchers, names.matchers)}[{_ms(seconds)}]"
        for patterns in kind.targets
    ]


def gauge_queries(names: GatewayNames, family: str) -> Sequence[str]:
    """One row for each target and gateway that shows this gauge now; of several Prometheus servers the largest."""
    return [
        f"max by ({', '.join(dict.fromkeys((*names.instance_labels, *patterns)))}) "
        f"({_select(family, _target_matchers(names, patterns), names.matchers)})"
        for patterns in names.kind.targets
    ]


def read_scrapes(names: GatewayNames, matrix: Matrix) -> Scrapes:
    """When each gateway was scraped, by each Prometheus. Raises TooManySeries."""
    _check(matrix, names.kind.presence, "gateway.instances")
    times: dict[tuple[Instance, Replica], set[float]] = {}
    for series in matrix.series:
        key = names.instance(series.labels), names.replica(series.labels)
        times.setdefault(key, set()).update(at for at, _ in series.samples)
    return {key: sorted(found) for key, found in times.items()}


def read_twice(names: GatewayNames, matrix: Matrix) -> frozenset[Instance]:
    """Gateways that were scraped by two at a time whom no label of `replica_labels` tells apart, or two gateways whom none of
    `instance_labels` does: their samples are of other moments. Series of one scrape are of one moment, and follow each other."""
    spans: dict[tuple[Instance, Replica], list[frozenset[float]]] = {}
    for series in matrix.series:
        key = names.instance(series.labels), names.replica(series.labels)
        spans.setdefault(key, []).append(frozenset(at for at, _ in series.samples))
    return frozenset(
        instance for (instance, _), found in spans.items() if any(_differ(*pair) for pair in pairwise(found))
    )


def _differ(one: frozenset[float], other: frozenset[float]) -> bool:
    if not one or not other:
        return False
    begin, end = max(min(one), min(other)), min(max(one), max(other))
    return any(begin <= at <= end for at in one ^ other)


def read_series(names: GatewayNames, family: str, matrix: Matrix) -> Sequence[TargetSeries]:
    """The series that name a target; those of buckets with their bounds in milliseconds. Raises TooManySeries, TwoTargets."""
    _check(matrix, family, "gateway.matchers")
    kind, naming = names.kind, _Naming(names)
    found = []
    for series in matrix.series:
        target = naming.target(series.labels)
        if target is None:
            continue
        bound = None
        if family == kind.buckets:
            bound = _bound(series.labels.get("le", "")) * kind.milliseconds
            if isnan(bound):
                continue
        found.append(
            TargetSeries(
                target,
                names.instance(series.labels),
                names.replica(series.labels),
                series.samples,
                series.labels.get(kind.code, "") if bound is None else "",
                bound,
            )
        )
    return found


def read_instances(names: GatewayNames, vector: Vector) -> frozenset[Instance]:
    return frozenset(names.instance(labels) for labels in vector.labels)


def read_told(names: GatewayNames, vector: Vector) -> frozenset[tuple[Target, Instance]]:
    """Which gateway names which target. Raises TwoTargets."""
    naming = _Naming(names)
    told = ((naming.target(labels), names.instance(labels)) for labels in vector.labels)
    return frozenset((target, instance) for target, instance in told if target is not None)


def read_numbers(names: GatewayNames, vector: Vector) -> Sequence[tuple[Target, float]]:
    """One for each gateway; a target that no row names is not among them, and neither is what is no number. Raises
    TwoTargets."""
    naming = _Naming(names)
    told = ((naming.target(labels), number) for labels, number in vector.rows if isfinite(number))
    return [(target, number) for target, number in told if target is not None]


class _Naming:
    """Which target a series' labels name."""

    def __init__(self, names: GatewayNames) -> None:
        self._patterns = [
            (
                target,
                {
                    label: compile_pattern(target_pattern(text, target.namespace, target.service))
                    for label, text in patterns.items()
                },
            )
            for patterns in names.kind.targets
            for target in names.targets
        ]
        self._labels = sorted({label for patterns in names.kind.targets for label in patterns})
        self._known: dict[tuple[str, ...], Target | None] = {}

    def target(self, labels: Mapping[str, str]) -> Target | None:
        values = tuple(labels.get(label, "") for label in self._labels)
        if values not in self._known:
            self._known[values] = self._named_by(dict(zip(self._labels, values, strict=True)))
        return self._known[values]

    def _named_by(self, labels: Mapping[str, str]) -> Target | None:
        """Never the first of two: what it did for the other would be counted as its own."""
        found = dict.fromkeys(
            target
            for target, patterns in self._patterns
            if all(pattern.fullmatch(labels[label]) for label, pattern in patterns.items())
        )
        if len(found) > 1:
            one, other = list(found)[:2]
            raise TwoTargets(
                f"one series is of {one.namespace}/{one.workload} and of {other.namespace}/{other.workload} too, by "
                + ", ".join(f"{label}={value[:60]!r}" for label, value in labels.items() if value)
                + ": let gateway.target match the name of one service alone"
            )
        return next(iter(found), None)


def _target_matchers(names: GatewayNames, patterns: Mapping[str, str]) -> str:
    told = []
    for label, text in patterns.items():
        each = (target_pattern(text, t.namespace, t.service) for t in names.targets)
        told.append(f'{label}=~"{_any_of(each)}"')
    return ",".join(told)


def _any_of(patterns: Iterable[str]) -> str:
    """As it stands between the quotes of a matcher."""
    return "|".join(dict.fromkeys(patterns)).replace("\\", "\\\\").replace('"', '\\"')


def _presence(names: GatewayNames) -> str:
    return _select(names.kind.presence, names.kind.instances, names.matchers)


def _up(names: GatewayNames) -> str:
    return _select("up", names.matchers)


def _bound(le: str) -> float:
    """NaN where it is no number: what pages show is not ours."""
    try:
        return float(le)
    except ValueError:
        return nan


def _select(family: str, *matchers: str) -> str:
    return f"{family}{{{','.join(each for each in matchers if each)}}}"


def _check(matrix: Matrix, family: str, key: str) -> None:
    if len(matrix.series) > MAX_SERIES:
        raise TooManySeries(f"Prometheus has more than {MAX_SERIES} series of {family} for it: narrow {key}")


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def instance_name(instance: Iterable[str]) -> str:
    return "/".join(value for value in instance if value) or "without labels"
