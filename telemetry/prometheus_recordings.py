"""What recording rules keep of every pod for this program: the rules, and the queries for what they recorded.

One group: the timestamp of each pod's newest sample as a *value*, then each family, then the timestamps once more. A recorded
sample carries the second of the evaluation, not of the scrape, so only these values say how old it is. What Prometheus does with a
group (rules/group.go, rules/manager.go) decides the rest:
- Its rules have one evaluation time and are evaluated in order, and each reads what those before it recorded. With
  `concurrent-rule-eval` that holds only where a rule reads the other, so each family reads the first timestamps and the last
  timestamps read each family.
- A rule that fails records nothing, not even that its series went: the values of the evaluation before would stand on. So each
  family also records one series without a pod, the second at which it was evaluated, and the last timestamps are recorded only
  where every family has that of this evaluation. Where they stand, the whole evaluation stands.

So the newest whole evaluation is asked for at its own second, where nothing changes any more.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from json import dumps
from typing import Final

from telemetry.prometheus_pages import (
    NAMESPACE_LABELS,
    POD_LABELS,
    SERIES_LABELS,
    LabelNames,
    PodLabels,
    PodName,
    family_quantiles,
    family_query,
    stamps_query,
)
from telemetry.prometheus_vector import Vector
from telemetry.window import Families

BEFORE: Final = "namespace_pod:triton_newest_sample:timestamp_before"
AFTER: Final = "namespace_pod:triton_newest_sample:timestamp_after"
DIGEST: Final = "digest"
GROUP: Final = "triton-recordings"
OVERDUE: Final = 1.5
"""Intervals after which an evaluation counts as missed: just before the next one the newest is one interval old, and evaluating
takes a part of one."""

_MATCHED_NAME = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Rule:
    """A series' name and the expression that it records."""

    record: str
    expression: str


@dataclass(frozen=True)
class Recordings:
    """What is recorded for these families. Seconds: `scrape_interval` of Prometheus, `interval` between two evaluations."""

    families: Families
    names: LabelNames
    scrape_interval: float
    interval: float

    @property
    def labels(self) -> PodLabels:
        """The labels given, or the first of the usual ones: a rule cannot look for them."""
        return PodLabels(self.names.namespace or NAMESPACE_LABELS[0], self.names.pod or POD_LABELS[0])

    @cached_property
    def digest(self) -> str:
        """Of all that decides what the recordings say: families, quantiles, labels, and the seconds of both intervals. What merely
        narrows or delays them is not in it: a store in the middle has labels and delays of its own."""
        rules = [(rule.record, rule.expression) for rule in self._rules("", 0.0, "")]
        return sha256(dumps([rules, self.interval]).encode()).hexdigest()[:12]

    def rules(self, matchers: str, delay: float) -> list[Rule]:
        """In the order in which they are evaluated, each to be recorded with the label `digest`. `delay`: seconds after its
        timestamp by which a sample can be queried where the rules are evaluated. The labels that `matchers` name are kept, so that
        the same matchers find the recordings."""
        return self._rules(matchers, delay, self.digest)

    def _rules(self, matchers: str, delay: float, digest: str) -> list[Rule]:
        fresh = 2 * self.scrape_interval + delay
        kept = [self.names.cluster, *_MATCHED_NAME.findall(matchers)]
        of_pods = _joined(f'{self.labels.pod}!=""', matchers)
        stamps = stamps_query([self.labels], self.names, of_pods, fresh, delay, kept)
        rules, whole = [Rule(BEFORE, stamps)], stamps
        for family, quantiles in sorted(family_quantiles(self.families).items()):
            values = family_query(family, self.labels, of_pods, fresh, quantiles, delay, kept)
            evaluated = f'max(timestamp({BEFORE}{{{DIGEST}="{digest}"}}))'
            rules.append(Rule(recorded_name(family), f"{values}\nor {evaluated}"))
            mark = f'{recorded_name(family)}{{{DIGEST}="{digest}",{self.labels.pod}=""}}'
            whole += f"\nand on () (max({mark}) == time())"
        return [*rules, Rule(AFTER, whole)]

    def evaluations_query(self, matchers: str, delay: float) -> str:
        """When each pod was last recorded whole, by digest, in seconds of Prometheus' clock: of several that record it, such as
        replicas, the slowest that is not overdue; the last time where all are."""
        at = f"timestamp({AFTER}{{{matchers}}} offset {_milliseconds(delay)}ms)"
        by = f"by ({', '.join(dict.fromkeys([*self.labels, self.names.cluster, DIGEST]))})"
        return f"min {by} ({at} > (time() - {self.overdue(delay):g})) or max {by} ({at})"

    def overdue(self, delay: float) -> float:
        """Seconds after which an evaluation can no longer be the newest. `delay` as for the source, which asks for the past."""
        return OVERDUE * self.interval + delay

    def stamps_query(self, record: str, matchers: str) -> str:
        """What BEFORE or AFTER told at the second of an evaluation."""
        by = ", ".join(dict.fromkeys([*self.labels, self.names.cluster]))
        return f"max by ({by}) ({self._at_evaluation(record, matchers)})"

    def family_query(self, family: str, matchers: str) -> str:
        """The family's rows at the second of an evaluation."""
        by = ", ".join(dict.fromkeys([*self.labels, *SERIES_LABELS]))
        matchers = _joined(f'{self.labels.pod}!=""', matchers)
        return f"max by ({by}) ({self._at_evaluation(recorded_name(family), matchers)})"

    def _at_evaluation(self, record: str, matchers: str) -> str:
        """The one sample of each series that lies less than an interval back. A selector alone would look back five minutes, and
        find what a replica recorded before it died: its counters, the larger ones, would hide that a container began anew."""
        selector = _joined(f'{DIGEST}="{self.digest}"', matchers)
        return f"last_over_time({record}{{{selector}}}[{_milliseconds(self.interval) - 1}ms])"

    def read_evaluations(self, vector: Vector) -> Mapping[str, Mapping[PodName, float]]:
        """By digest: the second of each pod's newest whole evaluation."""
        found: dict[str, dict[PodName, float]] = {}
        for row, at in vector.rows:
            name = PodName(row.get(self.labels.namespace, ""), row.get(self.labels.pod, ""))
            pods = found.setdefault(row.get(DIGEST, ""), {})
            pods[name] = min(at, pods.get(name, at))
        return found


def recorded_name(family: str) -> str:
    """As Prometheus' practice has it, level:metric:operation (https://prometheus.io/docs/practices/rules/)."""
    return f"namespace_pod:{family}:newest"


def rule_file(rules: Collection[Rule], digest: str, interval: float, *, indent: int = 0) -> str:
    """The group as it stands in a file of Prometheus' rules; `indent` spaces further right for where it is a part of one."""
    text = f"groups:\n  - name: {GROUP}\n    interval: {_duration(interval)}\n    rules:\n"
    for rule in rules:
        expression = "".join(f"          {line}\n" for line in rule.expression.splitlines())
        text += f"      - record: {rule.record}\n        labels: {{{DIGEST}: {digest!r}}}\n        expr: |\n{expression}"
    return "".join(f"{' ' * indent}{line}" for line in text.splitlines(keepends=True))


def _duration(seconds: float) -> str:
    return f"{round(seconds)}s" if seconds == round(seconds) else f"{_milliseconds(seconds)}ms"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _joined(*matchers: str) -> str:
    return ",".join(filter(None, matchers))
