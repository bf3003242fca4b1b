"""What an HPA decided and what became of it, as a record of every change: seen by watch, so that nothing
between two looks is lost."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Self

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class HpaChange:
    """The HPA's status after a change. `at` is monotonic seconds."""

    at: float
    current_replicas: int
    desired_replicas: int
    last_scale_time: str | None
    conditions: dict[str, tuple[str, str, str]]
    """Type -> (status, reason, message): `ScalingActive`, `AbleToScale`, `ScalingLimited`."""
    current_metrics: list[Object]
    generation: int
    spec: Object

    def says(self, condition: str) -> str:
        """`status reason`, empty while the HPA has not said it."""
        status, reason, _ = self.conditions.get(condition, ("", "", ""))
        return f"{status} {reason}".strip()


@dataclass(frozen=True)
class ReplicasChange:
    """The Deployment after a change of its wanted or ready replicas. `at` is monotonic seconds."""

    at: float
    wanted: int
    ready: int


@dataclass(frozen=True)
class Event:
    at: float
    reason: str
    """`SuccessfulRescale`, `FailedGetExternalMetric` and the like."""
    message: str


@dataclass
class HpaWatch:
    """An async context manager; the lists grow while it is open.

    One HPA in the cluster at a time: the controller counts syncs of all HPAs together."""

    control_plane: ControlPlane
    namespace: str
    hpa: str
    deployment: str
    changes: list[HpaChange] = field(default_factory=list)
    replicas: list[ReplicasChange] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._changed = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._watch_hpa()),
            asyncio.create_task(self._watch_deployment()),
            asyncio.create_task(self._watch_events()),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def scale_downs(self) -> list[tuple[int, int]]:
        """Each (from, to) by which the Deployment's wanted replicas fell."""
        return [pair for pair in self.moves if pair[1] < pair[0]]

    @property
    def moves(self) -> list[tuple[int, int]]:
        """Each (from, to) of the Deployment's wanted replicas."""
        wanted = [change.wanted for change in self.replicas]
        return [(before, after) for before, after in pairwise(wanted) if before != after]

    async def until(self, reached: Callable[["HpaWatch"], bool], *, seconds: float) -> None:
        """Returns once `reached(self)`, looked at after each change; `TimeoutError` with the story so far."""
        try:
            async with asyncio.timeout(seconds):
                while not reached(self):
                    self._changed.clear()
                    self._raise_for_lost_watches()
                    await self._changed.wait()
        except TimeoutError as late:
            raise TimeoutError(f"not reached within {seconds:g} s\n{self.story()}") from late

    async def until_wanted(self, replicas: int, *, seconds: float) -> None:
        await self.until(
            lambda watch: bool(watch.replicas) and watch.replicas[-1].wanted == replicas, seconds=seconds
        )

    async def syncs(self, count: int, *, error: str | None = None, seconds: float | None = None) -> None:
        """Returns after `count` more syncs of the HPA controller.

        `error` narrows to those that ended so: `none` are decisions from metrics, `internal` are those
        without an answer."""
        sync_seconds = self.control_plane.options.hpa_sync_seconds
        limit = seconds or sync_seconds * (count + 5) * 2
        start = await self._count(error)
        try:
            async with asyncio.timeout(limit):
                while await self._count(error) < start + count:
                    self._raise_for_lost_watches()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as late:
            raise TimeoutError(f"no {count} syncs within {limit:g} s\n{self.story()}") from late

    def story(self) -> str:
        """All that was seen, by time, one line each: for failure messages."""
        lines = [(change.at, _describe(change)) for change in self.changes]
        lines += [
            (change.at, f"deployment wants {change.wanted}, {change.ready} ready") for change in self.replicas
        ]
        lines += [(event.at, f"event {event.reason}: {event.message}") for event in self.events]
        start = min((at for at, _ in lines), default=0.0)
        return "\n".join(f"{at - start:7.2f} s  {text}" for at, text in sorted(lines)) or "nothing was seen"

    async def _count(self, error: str | None) -> int:
        counts = await self.control_plane.hpa_syncs()
        return counts.get(error, 0) if error else sum(counts.values())

    async def _watch_hpa(self) -> None:
        fields = f"metadata.name={self.hpa}"
        watch = self.control_plane.api.watch(
            "autoscaling/v2", "HorizontalPodAutoscaler", self.namespace, fields=fields
        )
        async for event, found in watch:
            if event != "DELETED":
                self.changes.append(_hpa_change(found))
                self._changed.set()

    async def _watch_deployment(self) -> None:
        fields = f"metadata.name={self.deployment}"
        async for event, found in self.control_plane.api.watch(
            "apps/v1", "Deployment", self.namespace, fields=fields
        ):
            wanted, ready = found["spec"]["replicas"], found.get("status", {}).get("readyReplicas", 0)
            last = self.replicas[-1] if self.replicas else None
            if event != "DELETED" and (last is None or (last.wanted, last.ready) != (wanted, ready)):
                self.replicas.append(ReplicasChange(time.monotonic(), wanted, ready))
                self._changed.set()

    async def _watch_events(self) -> None:
        fields = f"involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name={self.hpa}"
        async for event, found in self.control_plane.api.watch("v1", "Event", self.namespace, fields=fields):
            if event != "DELETED":
                self.events.append(Event(time.monotonic(), found["reason"], found.get("message", "")))
                self._changed.set()

    def _raise_for_lost_watches(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
                raise RuntimeError("a watch ended")


def _hpa_change(hpa: Object) -> HpaChange:
    status = hpa.get("status", {})
    return HpaChange(
        at=time.monotonic(),
        current_replicas=status.get("currentReplicas", 0),
        desired_replicas=status.get("desiredReplicas", 0),
        last_scale_time=status.get("lastScaleTime"),
        conditions={
            each["type"]: (each["status"], each.get("reason", ""), each.get("message", ""))
            for each in status.get("conditions") or []
        },
        current_metrics=[metric for metric in status.get("currentMetrics") or [] if metric],
        generation=hpa["metadata"].get("generation", 0),
        spec=hpa["spec"],
    )


def _describe(change: HpaChange) -> str:
    conditions = "; ".join(
        f"{name}={status} {reason}" + (f" ({message})" if status == "False" else "")
        for name, (status, reason, message) in sorted(change.conditions.items())
    )
    replicas = f"{change.current_replicas} -> {change.desired_replicas}"
    return f"HPA {replicas}  {conditions}  metrics {change.current_metrics}"
