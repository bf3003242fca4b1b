"""What a notification does to the incidents: alerts join the one of their workload and tree, open one, or end one. Pure.

The same notification again changes nothing: Alertmanager repeats what it could not deliver, and so does a highly available pair."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from triage.oncall.alertmanager import Told
from triage.oncall.incident import Alert, Incident

REOPENS_SECONDS = 3600.0
"""An alert that comes again within this time after its incident ended reopens it (DESIGN.md, Incidents)."""
MOST_OPEN = 200
MOST_ALERTS = 50
"""Of one incident; the record holds no more."""
_TOLD_ALERTS = 10
"""Of those, the ones whose texts are kept; of the others it is kept that they fire."""

Key = tuple[str, str, str]
Done = Literal["opened", "joined", "reopened", "resolved", "unchanged", "refused", "not_ours", "turned_away"]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be stored, and what became of each alert. Alerts that were turned away must come again."""

    changed: Mapping[Key, Incident]
    alerts: Mapping[Key, tuple[Alert, ...]]
    """Those that each of them was told."""
    done: tuple[Done, ...]


def take(
    incidents: Mapping[Key, Incident],
    told: Iterable[Told],
    truncated: int,
    *,
    trees: Collection[str],
    now: float,
    name: Callable[[Key], str],
) -> Taken:
    """`incidents` are those that are not closed, by key; `name` makes the name of a new one."""
    taking = _Taking(incidents, trees, now, name)
    done = tuple(taking.take(one) for one in told)
    changed = {key: with_truncated(incident, truncated) for key, incident in taking.changed.items()}
    alerts = {key: tuple(told) for key, told in taking.alerts.items()}
    return Taken(changed=changed, alerts=alerts, done=done)


def join(incident: Incident, alerts: Iterable[Alert], truncated: int, now: float) -> Incident:
    """The incident after all of these were told."""
    for alert in alerts:
        incident = with_alert(incident, alert, now)
    return with_truncated(incident, truncated)


def with_truncated(incident: Incident, alerts: int) -> Incident:
    return msgspec.structs.replace(incident, truncated_alerts=max(alerts, incident.truncated_alerts))


class _Taking:
    def __init__(
        self,
        incidents: Mapping[Key, Incident],
        trees: Collection[str],
        now: float,
        name: Callable[[Key], str],
    ) -> None:
        self.changed: dict[Key, Incident] = {}
        self.alerts: defaultdict[Key, list[Alert]] = defaultdict(list)
        self._incidents = incidents
        self._trees = trees
        self._now = now
        self._name = name
        self._open = sum(1 for one in incidents.values() if one.state == "open")
        self._known = {
            (one.namespace, one.tree, alert.fingerprint): key
            for key, one in incidents.items()
            for alert in one.alerts
        }

    def take(self, told: Told) -> Done:
        if told.tree not in self._trees or not told.namespace:
            return "not_ours"
        # An alert stays where it is: the pod that it names may be gone by now, and with it who its workload was.
        known = self._known.get((told.namespace, told.tree, told.alert.fingerprint))
        key = known or (told.namespace, told.workload, told.tree)
        self.alerts[key].append(told.alert)
        there = self.changed.get(key) or self._incidents.get(key)
        if there is None or not can_take(there, self._now):
            if not told.alert.firing:
                return "unchanged"
            if self._open >= MOST_OPEN:
                return "turned_away"
            self._open += 1
            self.changed[key] = opened(self._name(key), key, told, self._now)
            return "refused" if told.problem else "opened"
        joined = with_alert(there, told.alert, self._now)
        if joined == there:
            return "unchanged"
        self.changed[key] = joined
        self._open += (joined.state == "open") - (there.state == "open")
        if there.state != "open" and joined.state == "open":
            return "reopened"
        return "resolved" if joined.state == "resolved" else "joined"


def can_take(incident: Incident, now: float) -> bool:
    """Whether alerts still join it."""
    if incident.state == "closed":
        return False
    return incident.resolved_at is None or now - incident.resolved_at <= REOPENS_SECONDS


def opened(name: str, key: Key, told: Told, now: float) -> Incident:
    return Incident(
        name=name,
        namespace=key[0],
        workload=key[1],
        tree=key[2],
        model=told.alert.model,
        began=told.began,
        opened_at=now,
        first_severity=told.alert.severity,
        alerts=(told.alert,),
        refused=told.problem,
        work="done" if told.problem else "waiting",
    )


def with_alert(incident: Incident, alert: Alert, now: float) -> Incident:
    """The incident after this alert was told, at `now`; the same value where it tells nothing new."""
    known = {one.fingerprint: one for one in incident.alerts}
    before = known.get(alert.fingerprint)
    if before == alert or (before is None and not alert.firing):
        return incident
    if before is not None and not alert.firing and before.starts_at > alert.starts_at:
        return incident  # the end of an earlier firing, told late
    known[alert.fingerprint] = alert
    joined = msgspec.structs.replace(incident, alerts=tuple(_kept(list(known.values()))))
    if any(one.firing for one in joined.alerts):
        return joined if incident.state == "open" else reopen(joined)
    return resolve(joined, now)


def _kept(alerts: Sequence[Alert]) -> Iterator[Alert]:
    """Those that fire, then the latest of the others, in the order in which they came."""
    wanted = sorted(alerts, key=lambda one: (not one.firing, -one.starts_at))[:MOST_ALERTS]
    keep = {one.fingerprint for one in wanted}
    kept = [one for one in alerts if one.fingerprint in keep]
    yield from kept[:_TOLD_ALERTS]
    for one in kept[_TOLD_ALERTS:]:
        yield msgspec.structs.replace(one, summary="", runbook_url="", source_url="")


def reopen(incident: Incident) -> Incident:
    """Looked at anew, in the same thread; a workload that was gone may be back."""
    nobody = bool(incident.refused) and not incident.workload
    return msgspec.structs.replace(
        incident,
        state="open",
        work=incident.work if incident.work == "running" else "done" if nobody else "waiting",
        refused=incident.refused if nobody else "",
        resolved_at=None,
        unheard=False,
        outcome=None,
        reopened=incident.reopened + 1,
    )


def resolve(incident: Incident, now: float) -> Incident:
    if incident.state != "open":
        return incident
    return msgspec.structs.replace(incident, state="resolved", resolved_at=now)


def end_unheard(incident: Incident, now: float) -> Incident:
    """Of whose alerts nothing is told any more. One that is told again begins anew."""
    ended = (msgspec.structs.replace(one, firing=False, ends_at=now) for one in incident.alerts if one.firing)
    for alert in ended:
        incident = with_alert(incident, alert, now)
    return msgspec.structs.replace(resolve(incident, now), unheard=True)


def incident_name(key: Key, now_text: str, suffix: str) -> str:
    """Of a Kubernetes object: `prod-web-p99-1130-0241-4f2a9c`. `now_text` and `suffix` are such words already."""
    namespace, workload, tree = key
    where = f"{namespace}-{workload.partition('/')[2] or 'unknown'}".replace(".", "-")
    return f"{where[:30].strip('-')}-{tree}-{now_text}-{suffix}"
