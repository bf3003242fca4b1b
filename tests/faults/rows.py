"""The rows of the outage table: each a fleet under a steady known load, and what fails around it or in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from tests.faults import proxy
from tests.faults.adapters import Adapter
from tests.faults.pods import SyntheticPods
from tests.faults.stage import Stage

TARGET: Final = 2.0
"""Requests in each pod at which the HPA aims."""
FULL: Final = 0.98
"""How full the fleet is: the HPA's tolerance holds no smaller one and no larger one for right."""
SKEW_SECONDS: Final = 600.0
SLOW_SECONDS: Final = 5.0
FLAP_SECONDS: Final = 4.0
AWAY_SECONDS: Final = 10.0
LOADING_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Scene:
    """What a fault can touch."""

    stage: Stage
    pods: SyntheticPods
    idle_at: float
    """Unix time at which the fleet was idle, before its load came."""

    @property
    def namespace(self) -> str:
        return self.pods.namespace

    def names(self, share: float) -> list[str]:
        """So much of the fleet's pods, the same ones each time."""
        names = sorted(self.pods.tritons)
        return names[: max(1, round(share * len(names)))]


Fault = Callable[[Scene], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Row:
    name: str
    says: str
    """What fails, in words for the table."""
    fault: Fault
    seconds: float = 22.0
    """How long: by default the window and each age at which somebody gives up have passed."""
    replicas: int = 4
    at_prometheus: bool = False
    """It lies between the adapter and Prometheus: an adapter that asks none is not told of it."""
    everywhere: bool = False
    """It cannot be kept to one fleet, or, at Prometheus, only where each fleet has its own."""
    on_one: bool = False
    """One pod has all of the load."""

    @property
    def load(self) -> float:
        return self.replicas * TARGET * FULL

    def touches_all(self, adapter: Adapter) -> bool:
        return self.everywhere and not (self.at_prometheus and adapter.own_prometheus)


def shortened(row: Row, seconds: float) -> Row:
    return replace(row, seconds=min(row.seconds, seconds))


# Nothing fails


@asynccontextmanager
async def no_load(scene: Scene) -> AsyncIterator[None]:
    """Here the fleet must shrink, and nowhere else may it."""
    scene.pods.put(0.0)
    yield


# In the fleet


@asynccontextmanager
async def some_mute(scene: Scene) -> AsyncIterator[None]:
    mute = [scene.pods.tritons[name] for name in scene.names(0.3)]
    for triton in mute:
        triton.mute()
    yield
    for triton in mute:
        triton.recover()


@asynccontextmanager
async def restarts(scene: Scene) -> AsyncIterator[None]:
    """One pod's process after the other begins anew, as after an out-of-memory kill."""

    async def run() -> None:
        for name in scene.names(1.0):
            if (triton := scene.pods.tritons.get(name)) is not None:
                triton.restart()
            await asyncio.sleep(2.0)

    task = asyncio.create_task(run())
    yield
    await task


@asynccontextmanager
async def all_restart(scene: Scene) -> AsyncIterator[None]:
    for triton in scene.pods.tritons.values():
        triton.restart()
    yield


@asynccontextmanager
async def rollout(scene: Scene) -> AsyncIterator[None]:
    """A new template; twice the pods for a while, of which the new ones load first."""
    scene.pods.loading_seconds = 5.0
    template = {"metadata": {"annotations": {"triton-ops.test/revision": "2"}}}
    await scene.stage.patch_deployment(scene.namespace, {"template": template})
    yield
    scene.pods.loading_seconds = 0.0


@asynccontextmanager
async def slow_model(scene: Scene) -> AsyncIterator[None]:
    """The load doubles, and the pods that the HPA adds take long to load: the old ones bear it all meanwhile."""
    scene.pods.loading_seconds = LOADING_SECONDS
    scene.pods.put(2 * scene.pods.load)
    yield


@asynccontextmanager
async def loaded_freezes(scene: Scene) -> AsyncIterator[None]:
    (name,) = scene.names(0.01)
    frozen = scene.pods.tritons[name]
    frozen.freeze()
    yield
    frozen.recover()


# Between the adapter and Prometheus


def at_prometheus(make: Callable[[Scene], proxy.Fault]) -> Fault:
    @asynccontextmanager
    async def fault(scene: Scene) -> AsyncIterator[None]:
        with scene.stage.proxy_of(scene.namespace).failing(make(scene), scene.namespace):
            yield

    return fault


# Around the adapter


@asynccontextmanager
async def adapter_killed(scene: Scene) -> AsyncIterator[None]:
    await scene.stage.adapter.kill()
    await asyncio.sleep(AWAY_SECONDS)
    await scene.stage.adapter.start()
    yield


@asynccontextmanager
async def certificates_rotated(scene: Scene) -> AsyncIterator[None]:
    await scene.stage.adapter.rotate_certificates()
    yield


@asynccontextmanager
async def api_server_away(scene: Scene) -> AsyncIterator[None]:
    async with scene.stage.control_plane.without_api_server():
        await asyncio.sleep(AWAY_SECONDS)
    yield


def _minus(number: str) -> str:
    return f"-{number}"


ROWS: Final = (
    Row("idle", "nothing: the load ends", no_load, seconds=45.0),
    Row("mute", "30 % of the pods (2 of 7) do not answer scrapes", some_mute, replicas=7),
    Row("resets", "every pod's counters begin at zero, one after the other", restarts),
    Row("resets-at-once", "every pod's counters begin at zero at once", all_restart),
    Row("rollout", "a rollout with surge, new pods load first", rollout, seconds=30.0),
    Row(
        "loading",
        "the load doubles; new pods load for 3 minutes",
        slow_model,
        seconds=190.0,
    ),
    Row("freeze", "the pod with all of the load freezes", loaded_freezes, on_one=True),
    Row(
        "empty",
        "Prometheus: no series",
        at_prometheus(lambda s: proxy.empty(s.namespace)),
        at_prometheus=True,
    ),
    Row(
        "nan",
        "Prometheus: NaN",
        at_prometheus(lambda s: proxy.numbers(s.namespace, lambda _: "NaN")),
        at_prometheus=True,
    ),
    Row(
        "infinite",
        "Prometheus: +Inf",
        at_prometheus(lambda s: proxy.numbers(s.namespace, lambda _: "+Inf")),
        at_prometheus=True,
    ),
    Row(
        "negative",
        "Prometheus: negative numbers",
        at_prometheus(lambda s: proxy.numbers(s.namespace, _minus)),
        at_prometheus=True,
    ),
    Row(
        "pods-missing",
        "Prometheus: half of the pods are missing, silently",
        at_prometheus(lambda s: proxy.without_pods(lambda: s.names(0.5))),
        at_prometheus=True,
    ),
    Row(
        "stale",
        "Prometheus: answers as of when the fleet was idle",
        at_prometheus(lambda s: proxy.frozen(s.namespace, s.idle_at)),
        at_prometheus=True,
    ),
    Row(
        "partial",
        "Prometheus: half of the pods are missing, with a warning",
        at_prometheus(lambda s: proxy.without_pods(lambda: s.names(0.5), warning="store is away")),
        at_prometheus=True,
        everywhere=True,
    ),
    Row("down", "Prometheus: down", at_prometheus(lambda _: proxy.down), at_prometheus=True, everywhere=True),
    Row(
        "flapping",
        "Prometheus: down and up every 4 s",
        at_prometheus(lambda _: proxy.flapping(FLAP_SECONDS)),
        seconds=45.0,
        at_prometheus=True,
        everywhere=True,
    ),
    Row(
        "slow",
        "Prometheus: answers after 5 s",
        at_prometheus(lambda _: proxy.slow(SLOW_SECONDS)),
        at_prometheus=True,
        everywhere=True,
    ),
    Row(
        "500",
        "Prometheus: HTTP 500",
        at_prometheus(lambda _: proxy.http_500),
        at_prometheus=True,
        everywhere=True,
    ),
    Row(
        "clock-ahead",
        "Prometheus: clock 10 minutes ahead",
        at_prometheus(lambda _: proxy.clock(SKEW_SECONDS)),
        at_prometheus=True,
        everywhere=True,
    ),
    Row(
        "clock-behind",
        "Prometheus: clock 10 minutes behind",
        at_prometheus(lambda _: proxy.clock(-SKEW_SECONDS)),
        at_prometheus=True,
        everywhere=True,
    ),
    Row("killed", "the adapter is killed, and starts 10 s later", adapter_killed, everywhere=True),
    Row("certificates", "serving certificate and CA are replaced", certificates_rotated, everywhere=True),
    Row("api-server", "the API server is away for 10 s", api_server_away, everywhere=True),
)
