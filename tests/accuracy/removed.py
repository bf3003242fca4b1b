"""What is said once a source is gone: the same, or that it cannot be told; never another cause."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.accuracy.judge import BOLD
from tests.fleetsim.incidents import Incident
from tests.fleetsim.observe import without
from triage.latency.rules import LatencyRules
from triage.report import Report
from triage.report_of import report_of

SOURCES = (
    "triton",
    "gateway",
    "platform",
    "past",
    "close",
    "settings",
    "statistics",
    "capture",
    "rollouts",
    "placements",
    "hpa",
    "cluster_events",
    "prometheus",
    "kubernetes",
    "live",
)
How = Literal["stays", "cannot_tell", "true", "consequence", "another"]


@dataclass(frozen=True)
class Removal:
    label: str
    seed: int
    source: str
    said: str
    confidence: str
    how: How
    """`true`: another that is true of this incident too; `consequence`: another that the whole evidence shows to follow from the
    verdict; `another`: what nobody should say."""

    @property
    def bold(self) -> bool:
        return self.confidence in BOLD


def removals(one: Incident, seed: int, whole: Report, by: LatencyRules) -> Iterator[Removal]:
    """Of one incident that was told rightly, whose whole report this is: one for each source that it has."""
    for source in SOURCES:
        left = without(one.snapshot, source)
        if left == one.snapshot:
            continue
        report = report_of(left, by)
        said, confidence = report.verdict.category, report.verdict.confidence
        yield Removal(one.label, seed, source, said, confidence, _how(said, one, whole))


def _how(said: str, one: Incident, whole: Report) -> How:
    if said == whole.verdict.category:
        return "stays"
    if said == "cannot_tell":
        return "cannot_tell"
    if said in {one.label, *one.also_accepted}:
        return "true"
    shown = {other.category for other in whole.alternatives}
    return "consequence" if said in shown else "another"
