"""One row played on the real HPA: idle, its load, the fault, and after."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Final

from telemetry.hpa_spec import HpaSpec
from tests.controlplane.hpa_watch import HpaWatch
from tests.e2e.fleet import WINDOW
from tests.faults.adapters import spec_of
from tests.faults.oracle import Look
from tests.faults.outcome import Outcome, Record, Step, is_right, judge
from tests.faults.pods import SyntheticPods
from tests.faults.rows import TARGET, Row, Scene
from tests.faults.stage import Stage

LOOK_SECONDS: Final = 0.25
LATE_SECONDS: Final = 1.0
"""So long without a look, pods were not answered for as long either: they live in the same process."""
READY_SECONDS: Final = 120.0
AFTER_SECONDS: Final = WINDOW + 6.0
"""Watched after the fault at least: what the fault left in the windows has then passed."""
LONGEST_AFTER_SECONDS: Final = 75.0
"""At most, while it is not right again."""


class NotRightBefore(AssertionError):
    """The row's fleet never became what its load asks for, so nothing was shown."""


class _Seen:
    """The truth and the HPA's side, since the fleet began."""

    def __init__(self, pods: SyntheticPods, watch: HpaWatch) -> None:
        self._pods = pods
        self._watch = watch
        self.looks: list[Look] = []

    async def run(self) -> None:
        while True:
            ready = self._watch.replicas[-1].ready if self._watch.replicas else 0
            self.looks.append(Look(time.monotonic(), self._pods.loads(), ready))
            await asyncio.sleep(LOOK_SECONDS)

    def record(self, loaded: float, began: float, ended: float, last: float) -> Record:
        return Record(self._steps(), tuple(self.looks), loaded, began, ended, last)

    def longest_gap(self, since: float) -> float:
        """Seconds between two looks."""
        at = [look.at for look in self.looks if look.at >= since]
        return max((after - before for before, after in pairwise(at)), default=0.0)

    def recent(self, seconds: float) -> Record:
        now = time.monotonic()
        return self.record(now - seconds, now - seconds, now - seconds, now)

    def _steps(self) -> tuple[Step, ...]:
        """Each change of the Deployment's wanted replicas or of the HPA's having a value, in order."""
        changes: list[tuple[float, int | None, bool | None]] = [
            (change.at, change.wanted, None) for change in self._watch.replicas
        ]
        changes += [(c.at, None, c.says("ScalingActive").startswith("True")) for c in self._watch.changes]
        steps: list[Step] = []
        replicas, active = 0, False
        for at, wanted, has_value in sorted(changes, key=lambda change: change[0]):
            replicas = replicas if wanted is None else wanted
            active = active if has_value is None else has_value
            if replicas and (not steps or (steps[-1].replicas, steps[-1].active) != (replicas, active)):
                steps.append(Step(at, replicas, active))
        return tuple(steps)


async def play(stage: Stage, row: Row, say: Callable[[str], None], others: asyncio.Event) -> Outcome:
    """`others` is set once the rows that keep to themselves are over: a fault that touches all waits for it."""
    spec, namespace = spec_of(TARGET), f"row-{row.name}"
    async with AsyncExitStack() as stack:
        pods = await stage.fleet(namespace, stack, TARGET)
        watch = await stack.enter_async_context(
            HpaWatch(stage.control_plane, namespace, stage.adapter.hpa, "triton")
        )
        seen = _Seen(pods, watch)
        looking = asyncio.create_task(seen.run())
        stack.callback(looking.cancel)

        async def until_right(replicas: int, what: str, *, seconds: float = WINDOW) -> None:
            """With so many pods for `seconds`: after a window nothing from before is in it."""
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await _until(lambda: pods.are(replicas))
                    since = time.monotonic()
                    await _until(
                        lambda: time.monotonic() > since + seconds and is_right(seen.recent(7.0), spec)
                    )
            except TimeoutError:
                tail = "\n".join(watch.story().splitlines()[-20:])
                raise NotRightBefore(f"{row.name}: not right {what}, {pods.loads()}\n{tail}") from None

        await until_right(1, "while idle", seconds=0.0)
        scene = Scene(stage, pods, time.time())
        say(f"{row.name}: idle, now its load")
        pods.put(row.load)
        loaded = time.monotonic()
        await until_right(row.replicas, "under its load")
        if row.on_one:
            pods.put(row.load, only=scene.names(0.01)[0])
            await until_right(row.replicas, "with its load on one pod")
        async with _turn(stage, row, others):
            if row.touches_all(stage.adapter):
                await until_right(row.replicas, "before its turn")
            said = len(watch.changes)
            say(f"{row.name}: {row.says}")
            proxied = stage.proxy_of(namespace).failed
            proxied.pop(namespace, None)
            began = time.monotonic()
            async with row.fault(scene):
                await asyncio.sleep(max(0.0, began + row.seconds - time.monotonic()))
            ended = time.monotonic()
            last = await _watch_after(seen, ended, spec)
        if (lag := seen.longest_gap(loaded)) > LATE_SECONDS:
            say(f"{row.name}: this machine was too busy, the truth was not looked at for {lag:.1f} s")
        errors = [change.conditions.get("ScalingActive", ("", "", "")) for change in watch.changes[said:]]
        error = next((message for status, _, message in errors if status == "False"), "")
        failed = proxied.get(namespace) if row.at_prometheus else None
        did = judge(seen.record(loaded, began, ended, last), spec, stage.sync_seconds)
        return Outcome(row.name, stage.adapter.name, row.says, did, failed, error)


async def _watch_after(seen: _Seen, ended: float, spec: HpaSpec) -> float:
    """The moment until which the row is watched."""
    await asyncio.sleep(AFTER_SECONDS)
    longest = ended + LONGEST_AFTER_SECONDS
    await _until(lambda: time.monotonic() > longest or is_right(seen.recent(7.0), spec))
    return time.monotonic()


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - the truth is looked at, and there is nothing to be told by
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _turn(stage: Stage, row: Row, others: asyncio.Event) -> AsyncIterator[None]:
    if not row.touches_all(stage.adapter):
        yield
        return
    await others.wait()
    async with stage.alone:
        yield
