"""Each sync that the controller made of each HPA, read back from what the control plane wrote down.

A sync begins where the controller reads the scale, which it does first and once (after a write that met a conflict it reads it
again, within the same sync). The API server's audit log has each such request with what it answered, each write of the scale, and
each write of the HPA's status. Between that and the next read of the same scale lie what the metrics server answered, and the lines
that the controller logs just before and just after it decides: they bound its clock."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from telemetry.hpa import Reading
from tests.controlplane.kube_client import Object
from tests.hpa.metrics_server import GROUP, Answer


@dataclass(frozen=True)
class Sync:
    began: float
    spec_replicas: int
    status_replicas: int
    readings: tuple[Reading, ...] | None
    """None where the controller asked for no metric."""
    pods_read: tuple[float, float]
    """The controller looked at its cache of pods somewhere in here."""
    clock: tuple[float, float]
    """Its own clock, when it decided, lay in here."""
    written: tuple[float, float]
    """And when it kept that it had changed the scale."""
    replicas: int
    """Of the scale, when it was through."""
    conditions: Mapping[str, tuple[str, str]]
    """Of the HPA's status after it: type -> (status, reason)."""
    unreadable: str = ""
    """Why its inputs or its outcome cannot be known, if so."""


_LINE: Final = re.compile(
    r'^I(?P<time>\d{4} \d\d:\d\d:\d\d\.\d{6}) .*? horizontal\.go:\d+\] "(?P<said>[^"]+)"'
    r'.*?(?:scaleTarget="ReplicationController/[^/"]+/|HPA="[^/"]+/)(?P<name>[^"]+)"',
    re.MULTILINE,
)
_PROPOSING: Final = ("Proposing desired replicas", "Proposing desired replicas from zero")
_DONE: Final = ("Decided not to scale", "Successfully rescaled")


@dataclass(frozen=True)
class _Event:
    """One request of the controller to the API server."""

    began: float
    ended: float
    verb: str
    resource: str
    code: int
    sent: Object
    got: Object

    @property
    def reads_scale(self) -> bool:
        return self.verb == "get"

    @property
    def failed(self) -> bool:
        return self.code >= 400


def read_syncs(audit: Path, log: Path, answers: Iterable[Answer]) -> dict[str, list[Sync]]:
    """By scenario, in order. The last one of each is left out: nothing says that it was complete."""
    events, asked = _requests(audit)
    said = _said(log)
    answered: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        answered[answer.scenario].append(answer)
    return {name: _syncs(found, said[name], asked[name], answered[name]) for name, found in events.items()}


def _syncs(
    events: Sequence[_Event],
    said: Sequence[tuple[float, str]],
    asked: Sequence[float],
    answers: Sequence[Answer],
) -> list[Sync]:
    starts = [
        index
        for index, event in enumerate(events)
        if event.reads_scale
        and not (index and events[index - 1].verb == "update" and events[index - 1].failed)
    ]
    found: list[Sync] = []
    conditions: Mapping[str, tuple[str, str]] = {}
    for start, end in pairwise(starts):
        begun, until = events[start].began, events[end].began
        sync = _sync(
            events[start:end],
            [line for line in said if begun <= line[0] < until],
            [each for each in answers if begun <= each.at < until],
            conditions,
        )
        if sum(begun <= at < until for at in asked) != len(sync.readings or ()):
            sync = replace(sync, unreadable="a request for a metric did not come through")
        conditions = sync.conditions
        found.append(sync)
    return found


def _sync(
    events: Sequence[_Event],
    said: Sequence[tuple[float, str]],
    answers: Sequence[Answer],
    conditions: Mapping[str, tuple[str, str]],
) -> Sync:
    read, writes = events[0], events[1:]
    scale = read.got
    current = int(scale.get("spec", {}).get("replicas", 0))
    replicas, unreadable = current, ""
    if read.failed:
        unreadable = "the scale could not be read"
    for event in writes:
        if event.resource == "replicationcontrollers" and event.verb == "update":
            if not event.failed:
                replicas = int(event.sent.get("spec", {}).get("replicas", 0))
            elif event.code != 409:
                unreadable = "the scale could not be written"
        elif event.resource == "horizontalpodautoscalers":
            status = event.sent["status"]
            conditions = {
                each["type"]: (each["status"], each.get("reason", "")) for each in status["conditions"]
            }
            if event.failed:
                unreadable = "the status could not be written"
            elif int(status.get("currentReplicas", 0)) != current:
                unreadable = "the status tells of other replicas than were read"
    proposing = [at for at, words in said if words in _PROPOSING]
    done = [at for at, words in said if words in _DONE]
    writing = [
        event.began
        for event in writes
        if event.verb == "update" and event.resource == "replicationcontrollers"
    ]
    last = max([event.ended for event in events] + [each.at for each in answers] + done)
    return Sync(
        began=read.began,
        spec_replicas=current,
        status_replicas=int(scale.get("status", {}).get("replicas", 0)),
        readings=tuple(each.reading for each in answers) or None,
        pods_read=(answers[0].at if answers else read.began, proposing[0] if proposing else last),
        clock=(proposing[0] if proposing else read.began, min([*writing, *done, last])),
        written=(max(writing, default=read.began), done[0] if done else last),
        replicas=replicas,
        conditions=conditions,
        unreadable=unreadable,
    )


def _requests(audit: Path) -> tuple[dict[str, list[_Event]], dict[str, list[float]]]:
    """By scenario, in order: what the controller asked the API server itself, and when it asked for a metric."""
    found: dict[str, list[_Event]] = defaultdict(list)
    asked: dict[str, list[float]] = defaultdict(list)
    for line in audit.read_text().splitlines():
        event = json.loads(line)
        ref = event["objectRef"]
        if ref.get("apiGroup") == GROUP:
            asked[ref["resource"].rpartition("-")[0]].append(_seconds(event["requestReceivedTimestamp"]))
            continue
        found[ref["name"]].append(
            _Event(
                _seconds(event["requestReceivedTimestamp"]),
                _seconds(event["stageTimestamp"]),
                event["verb"],
                ref["resource"],
                event["responseStatus"]["code"],
                event.get("requestObject") or {},
                event.get("responseObject") or {},
            )
        )
    events = {name: sorted(of, key=lambda event: event.began) for name, of in found.items()}
    return events, asked


def _said(log: Path) -> dict[str, list[tuple[float, str]]]:
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    year = datetime.now().astimezone().year
    for match in _LINE.finditer(log.read_text(errors="replace")):
        at = datetime.strptime(f"{year}{match['time']}", "%Y%m%d %H:%M:%S.%f").astimezone()
        found[match["name"]].append((at.timestamp(), match["said"]))
    return found


def _seconds(timestamp: str) -> float:
    return datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
