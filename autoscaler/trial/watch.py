"""A look at a running fleet for a minute: rounds over its pods, and what they show, through the API server."""

import asyncio
import math
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from autoscaler.answer import NoData, Reason, Value
from autoscaler.core import Autoscaler
from autoscaler.selection import Settings
from autoscaler.selector import Selector, parse_selector
from autoscaler.signal import Pods, Signal, Total, needed_families
from autoscaler.trial.decide import decide
from autoscaler.trial.diagnosis import Probe, explain, hopeless, parse_server, why_no_target
from autoscaler.trial.find import FleetFinder
from autoscaler.trial.limits import ModelLimits, limits_of
from autoscaler.trial.manifest import model_label
from autoscaler.trial.points import Point, points_of, with_evidence
from autoscaler.trial.problem import TrialError
from autoscaler.trial.proxy import PER_SECOND, Proxied, ProxyPages, proxied
from autoscaler.trial.seen import SCALED_ON, Fleet, Look, Seen, Shown
from telemetry.http_body import StatusError
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.pods import Pod, target_of
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Targets
from telemetry.workloads import ascend

POINT_SECONDS: Final = 10.0
"""Window of a point, and of a signal until its own window is covered."""
_SHORTEST: Final = 2.5
_LONGEST: Final = 5.0
MOST_PODS: Final = int(PER_SECOND * _LONGEST)
_REFRESH_SECONDS: Final = 15.0
_PAGE_BYTES: Final = 64 * 1024
_VERSION_PROBES: Final = 2


class Api(KubernetesApi, Proxied, Protocol):
    """Lists pods, and reads their pages."""


class Watch:
    """`looks` grows while `run` runs; `seen` is what all of them say. `rows` are the signals' rows; each has its own window."""

    def __init__(
        self, api: Api, finder: FleetFinder, namespace: str, rows: Mapping[str, Signal], pods: Sequence[Pod]
    ) -> None:
        if SCALED_ON not in rows:
            raise TrialError(f"the rules have no signal {SCALED_ON}, which a fleet is scaled on", usage=True)
        self.looks: list[Look] = []
        self._finder = finder
        self._api = api
        self._namespace = namespace
        self._rows = rows
        self._points: dict[str, list[Point]] = {}
        self._born: dict[PodKey, bool] = {}
        self._asked: set[PodKey] = set()
        self._targets = Targets()
        self._pods = 0
        self.interval = min(_LONGEST, max(_SHORTEST, len(pods) / PER_SECOND))
        self._take(pods)
        short = {name: row.model_copy(update={"window": POINT_SECONDS}) for name, row in rows.items()}
        self._point_row = short[SCALED_ON]
        windows = {POINT_SECONDS, *(row.window for row in rows.values())}
        timeout = 0.8 * self.interval
        self._settings = Settings(max_age=min(30.0, 2 * self.interval + timeout))
        self._pages = ProxyPages(api)
        families = with_evidence(needed_families(rows))
        scrape = ScrapeSettings(self.interval, timeout)
        self._scraper = Scraper(self._targets, families, windows, scrape, self._pages, time.monotonic)
        self._core, self._early = (
            Autoscaler(each, self._scraper.pods, self._settings, time.monotonic) for each in (rows, short)
        )
        self._begin = time.monotonic()
        self._limits: dict[str, ModelLimits] = {}
        self._version = ""
        self._version_probes = _VERSION_PROBES

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    async def run(self) -> None:
        """Rounds until cancelled. Raises `TrialError` when nothing will ever be seen."""
        listed = time.monotonic()
        due = listed
        rounds = 0
        while True:
            await self._scraper.scrape_all()
            rounds += 1
            self._read_limits()
            now = time.monotonic()
            self._collect(now)
            states = list(self._scraper.pods(self._namespace))
            lost = hopeless(states, rounds)
            if lost is not None:
                raise TrialError(explain(lost, self._namespace, await self._probe(lost.target.http_url)))
            await self._read_version()
            self.looks.append(self._look())
            if now - listed > _REFRESH_SECONDS:
                listed = now
                with suppress(KubernetesError):  # the pods known so far are still there to look at
                    self._take(await self._finder.find())
            due = max(due + self.interval, time.monotonic())
            # Not in step with clients that come every second: see Scraper.run.
            await asyncio.sleep(due - time.monotonic() + random.uniform(0.0, self.interval / 10))  # noqa: S311 -- not a secret

    async def seen(self, *, ended_early: bool) -> Seen:
        """All of it. Raises `TrialError` where no pod was seen at all."""
        if not any(look.fleet.answered for look in self.looks):
            states = sorted(self._scraper.pods(self._namespace), key=lambda state: state.target.key)
            if not states:
                raise TrialError(f"no pod of {self._finder.workload.name} is left")
            running = [state for state in states if state.target.phase is Phase.RUNNING]
            one = (running or states)[0]
            raise TrialError(explain(one, self._namespace, await self._probe(one.target.http_url)))
        last = self.looks[-1]
        answer = last.signals[SCALED_ON].answer
        decoupled = [model for model, limits in self._limits.items() if limits.decoupled]
        why = why_no_target(answer, sorted(decoupled), list(self._limits))
        points = [point for points in self._points.values() for point in points]
        decision = None if why else decide(points, self._limits)
        if decision is None and not why:
            why = "no target: no load was seen, and no model's configuration could be read"
        return Seen(
            fleet=last.fleet,
            triton=self._version,
            seconds=self.elapsed,
            ended_early=ended_early,
            units={name: row.unit for name, row in self._rows.items()},
            signals=last.signals,
            limits=self._limits,
            points=points,
            most_total=self._most_total(),
            decision=decision,
            why_none=why,
            other_scalers=await self._finder.other_scalers(),
        )

    def _take(self, pods: Sequence[Pod]) -> None:
        """The pods as they are listed now; of many a sample, and always the same ones while they live."""
        targets = {}
        for pod in pods:
            target = target_of(pod, ascent=ascend(pod.metadata, {}))
            born = self._born.setdefault(pod.key, bool(self._born) and target.phase is Phase.STARTING)
            targets[pod.key] = proxied(replace(target, born_in_sight=born))
        alive = [key for key, t in targets.items() if t.phase is not Phase.TERMINATING and not t.finished]
        self._pods = len(alive)
        kept = [key for key in alive if key in self._asked]
        others = [key for key in alive if key not in self._asked]
        self._asked = {*kept, *evenly(others, MOST_PODS - len(kept))}
        self._targets.replace(
            {key: t for key, t in targets.items() if key in self._asked or key not in alive}
        )

    def _read_limits(self) -> None:
        for state in self._scraper.pods(self._namespace):
            for model, facts in state.models.items():
                self._limits.setdefault(model, limits_of(facts))

    def _collect(self, now: float) -> None:
        """Points that do not overlap: each request is evidence once."""
        states = self._scraper.pods(self._namespace)
        for point in points_of(self._point_row, states, self._selector(), self._settings, self._limits, now):
            kept = self._points.setdefault(point.pod, [])
            if not kept or point.at - kept[-1].at >= POINT_SECONDS - self.interval / 2:
                kept.append(point)

    def _look(self) -> Look:
        selector = self._selector()
        share = self._pods / max(1, len(self._asked))
        signals = {name: self._answer(name, selector, share) for name in self._rows}
        states = [
            state
            for state in self._scraper.pods(self._namespace)
            if state.target.phase is not Phase.TERMINATING and not state.target.finished
        ]
        failures = {
            state.target.key.pod: str(state.target.phase)
            if state.target.phase is not Phase.RUNNING
            else state.failure
            for state in states
            if state.failure is not None
        }
        fleet = Fleet(
            self._namespace,
            self._finder.workload,
            self._pods,
            len(self._asked),
            len(states) - len(failures),
            failures,
        )
        explained = self._early.answer(self._namespace, SCALED_ON, selector, explain=True)
        pods: dict[str, float | None] = dict.fromkeys(sorted(state.target.key.pod for state in states))
        for row in explained.trace:
            if row.get("contribution") is not None and row["standing"] != "departed":
                pods[row["pod"]] = (pods.get(row["pod"]) or 0.0) + row["contribution"]
        return Look(self.elapsed, fleet, signals, pods)

    def _answer(self, name: str, selector: Selector, share: float) -> Shown:
        """Over the row's own window once that is covered, before that over a shorter one."""
        row = self._rows[name]
        answer, window = self._core.answer(self._namespace, name, selector, explain=False), row.window
        if isinstance(answer, NoData) and answer.reason is Reason.WARMING_UP and row.window > POINT_SECONDS:
            answer = self._early.answer(self._namespace, name, selector, explain=False)
            window = POINT_SECONDS
        if isinstance(answer, Value) and isinstance(row.formula, Total | Pods):
            answer = replace(answer, value=answer.value * share)
        return Shown(answer, window)

    def _selector(self) -> Selector:
        """The manifest's own: the workload without its decoupled models, unless all are."""
        decoupled = sorted(model for model, limits in self._limits.items() if limits.decoupled)
        name = f"workload={self._finder.workload.name}"
        if not decoupled or len(decoupled) == len(self._limits):
            return parse_selector(name)
        return parse_selector(f"{name},model notin ({','.join(map(model_label, decoupled))})")

    def _most_total(self) -> float | None:
        """Of the window that an HPA gets where one was covered, else of a shorter one."""
        values = [
            (shown.window, shown.answer.value)
            for shown in (look.signals[SCALED_ON] for look in self.looks)
            if isinstance(shown.answer, Value)
        ]
        longest = max((window for window, _ in values), default=0.0)
        return max((value for window, value in values if window == longest), default=None)

    async def _read_version(self) -> None:
        """Of one pod; a closed HTTP port is not asked for ever."""
        states = self._scraper.pods(self._namespace)
        url = next((s.target.http_url for s in states if s.windows and s.failure is None), None)
        if not self._version and url is not None and self._version_probes > 0:
            self._version_probes -= 1
            self._version = (await self._probe(url)).version

    async def _probe(self, http_url: str | None) -> Probe:
        """Whether Triton is behind a pod's HTTP port."""
        if http_url is None:
            return Probe(failure="the pod has no address")
        try:
            async with self._pages.turn(mute=False), asyncio.timeout(5.0):
                return parse_server(await self._pages.read(f"{http_url}/v2", _PAGE_BYTES))
        except TimeoutError:
            return Probe(failure="timed out")
        except StatusError as error:
            return Probe(failure=str(error))


def evenly(keys: Sequence[PodKey], most: int) -> list[PodKey]:
    """At most so many of them, at even distances in the order of their names."""
    ordered = sorted(keys)
    if len(ordered) <= most:
        return ordered
    most = max(0, most)
    return [ordered[math.floor(index * len(ordered) / most)] for index in range(most)]
