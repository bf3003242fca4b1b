"""Evidence of slow requests in a few words: a measure is its values, an incident what was measured of it."""

from collections.abc import Sequence
from functools import cache

import msgspec

from telemetry.rules_dir import rules_dir
from triage.cluster_views import (
    ClusterEvent,
    ClusterEvents,
    HpaView,
    PodPlacement,
    PodPlacements,
    Revision,
    Rollouts,
)
from triage.evidence import Asked, Evidence, Facts, LogExcerpt, LogLine, Missing, Snapshot
from triage.latency.facts import Lifetime, ModelSettings, Ranges, RepositoryChange, RepositoryChanges, Series
from triage.latency.history import History, View, Who
from triage.latency.incident import Incident
from triage.latency.rules import LatencyRules, latency_rules_from_folder

START, STEP = 1_795_000_000.0, 30.0
"""2026-11-18 11:06:40 UTC."""
FETCHED = "2026-11-18T12:00:00Z"
EVERYBODY = Who()
Values = Sequence[float | None]
Part = Evidence | Sequence["Part"]


@cache
def rules() -> LatencyRules:
    return latency_rules_from_folder(rules_dir())


def steady(level: float | None, count: int) -> list[float | None]:
    return [level] * count


def stepped(before: float | None, during: float | None) -> list[float | None]:
    """An hour on one grid: forty minutes, then twenty at another level."""
    return steady(before, 80) + steady(during, 40)


def at_step(place: int) -> float:
    return START + STEP * place


def evidence(
    id: str,
    probe: str,
    facts: Facts | None,
    missing: Missing | None = None,
    *,
    source: str = "",
    fetched_at: str = FETCHED,
    subject: str = "",
) -> Evidence:
    return Evidence(
        id=id,
        probe=probe,
        source=source or id,
        query=id,
        command=f"ask {id}",
        fetched_at=fetched_at,
        subject=subject,
        facts=facts,
        missing=missing,
    )


def measured(
    id: str,
    values: Values,
    labels: dict[str, str],
    *,
    start: float = START,
    step: float = STEP,
    smear: float = 0.0,
) -> Evidence:
    """Of a probe and a measure such as `triton/success`."""
    measure = id.partition("/")[2].partition("/")[0].partition(":")[0]
    series = (Series(labels, tuple(values)),)
    return evidence(id, id.partition("/")[0], Ranges(measure, start, step, len(values), smear, series))


def triton(measure: str, values: Values, *, smear: float = 0.0, **labels: str) -> Evidence:
    return measured(f"triton/{measure}", values, labels, smear=smear)


def platform(measure: str, values: Values, **labels: str) -> Evidence:
    return measured(f"platform/{measure}", values, labels)


def gateway(measure: str, values: Values, **labels: str) -> Evidence:
    return measured(f"gateway/{measure}", values, labels)


def served(
    model: str = "m",
    pod: str = "a",
    *,
    rate: float | Values = 20.0,
    queue: float | Values = 1.0,
    infer: float | Values = 8.0,
    rest: float | Values = 1.0,
    smear: float = 0.0,
    **labels: str,
) -> list[Evidence]:
    """What Triton counts of a model in a pod, from its requests a second and the milliseconds of a request in each part."""
    given = (rate, queue, infer, rest)
    count = max((len(one) for one in given if not isinstance(one, float | int)), default=120)
    rates, *parts = (steady(one, count) if isinstance(one, float | int) else one for one in given)

    def times(*these: Values) -> list[float | None]:
        return [
            None if r is None else r * sum(each for each in row if each is not None)
            for r, *row in zip(rates, *these, strict=True)
        ]

    told = {
        "success": list(rates),
        "request_time": times(*parts),
        "queue_time": times(parts[0]),
        "input_time": times(steady(0.0, count)),
        "infer_time": times(parts[1]),
        "output_time": times(steady(0.0, count)),
    }
    return [triton(name, v, smear=smear, pod=pod, model=model, **labels) for name, v in told.items()]


def nothing_of(id: str, reason: str = "timeout") -> Evidence:
    probe = id.partition("/")[0]
    missing = Missing(reason, "it said nothing", "ask again")  # type: ignore[arg-type]
    return evidence(id, probe, None, missing, source=f"source of {id}")


def settings(model: str = "m", **more: object) -> Evidence:
    facts = ModelSettings(model, **more)  # type: ignore[arg-type]
    return evidence(f"settings:{model}", "settings", facts)


def lifetime(**totals: float) -> Evidence:
    facts = Lifetime({name: (Series({"model": "m"}, (value,)),) for name, value in totals.items()})
    return evidence("lifetime:a", "lifetime", facts)


def placed(*pods: PodPlacement) -> Evidence:
    return evidence("placements", "placements", PodPlacements(pods))


def rollouts(*revisions: Revision, **more: object) -> Evidence:
    facts = Rollouts("deployment/llm", revisions=revisions, **more)  # type: ignore[arg-type]
    return evidence("rollouts", "rollouts", facts)


def hpa(desired: int, most: int) -> Evidence:
    return evidence("hpa", "hpa", HpaView("llm", 1, most, desired, desired))


def happened(reason: str, at: float, object: str = "pod/a", message: str = "said so") -> Evidence:
    events = ClusterEvents((ClusterEvent(at, at, object, reason, message),))
    return evidence("cluster_events", "cluster_events", events)


def recorded(model: str, after: float, seen_at: float) -> Evidence:
    change = RepositoryChange(seen_at, after, model, "config changed")
    facts = RepositoryChanges(START, at_step(120), (change,))
    return evidence("repository", "repository", facts)


def log(*lines: str, fetched_at: str = FETCHED) -> Evidence:
    kept = tuple(LogLine(number, line) for number, line in enumerate(lines, 1))
    facts = LogExcerpt(kept, len(kept), sum(map(len, lines)))
    return evidence("log:a/triton", "log", facts, fetched_at=fetched_at, subject="a")


def snapshot(*parts: Part, model: str = "", target: str = "", namespace: str = "") -> Snapshot:
    """Series of one measure and probe are put together, as one answer has them."""
    found: dict[str, Evidence] = {}
    for one in _flat(parts):
        there = found.get(one.id)
        if there and isinstance(there.facts, Ranges) and isinstance(one.facts, Ranges):
            series = there.facts.series + one.facts.series
            facts = msgspec.structs.replace(there.facts, series=series)
            found[one.id] = msgspec.structs.replace(one, facts=facts)
        else:
            found[one.id] = one
    asked = Asked(tree="p99", model=model, target=target, namespace=namespace, start=START, end=at_step(120))
    return Snapshot(asked=asked, collected_at=FETCHED, took_seconds=1.0, evidence=tuple(found.values()))


def _flat(parts: Sequence[Part]) -> list[Evidence]:
    return [one for part in parts for one in ([part] if isinstance(part, Evidence) else _flat(part))]


def history(*parts: Part) -> History:
    return History(snapshot(*parts).evidence, rules().measures, rules().quantities)


def incident(*parts: Part, model: str = "", target: str = "", namespace: str = "") -> Incident:
    told = snapshot(*parts, model=model, target=target, namespace=namespace)
    return Incident(told, rules().measures, rules().quantities, rules().xids)


def values_of(
    told: History, quantity: str, who: Who = EVERYBODY, view: View = ""
) -> list[float | None] | None:
    """The quantity over time; None where it is not known at all."""
    trace = told.read(quantity, who, view).trace
    return None if trace is None else [None if v is None else round(v, 6) for v in trace.values]
