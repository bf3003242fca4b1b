"""What is done to a fleet of Tritons, as values: which pods there are when, who asks them how often, and what befalls them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from autoscaler.answer import Reason
from tests.groundtruth.quantiles import QUANTILES
from tests.groundtruth.served import ONE_BY_ONE, Batching
from tests.groundtruth.truth import RATIOS, TOTALS

MODEL: Final = "measured"
ALL: Final = f"model={MODEL}"
CACHED: Final = ("triton_cache_hit_ratio", "triton_request_rate", "triton_inference_throughput")
"""What a response cache is seen by; with one on there are no summaries, and a hit's durations are those of a lookup."""
SIGNALS: Final = tuple(name for name in (*TOTALS, *RATIOS, *QUANTILES) if name != CACHED[0])
SETTLED: Final = 30.0
"""Seconds of load after which a window of 30 s holds nothing but load."""


@dataclass(frozen=True)
class Flow:
    """Requests at random moments, `per_second` on average, from second `start` of the scenario on for `seconds`."""

    per_second: float
    start: float
    seconds: float


@dataclass(frozen=True)
class PodPlan:
    """One pod. Seconds of the scenario: its process starts at `launched`, it is ready at `ready` and terminates at `leaves`."""

    name: str
    flows: tuple[Flow, ...]
    version: int = 1
    service_ms: float | None = None
    launched: float | None = None
    """None: before the load, with an idle fleet."""
    ready: float = 0.0
    leaves: float | None = None


@dataclass(frozen=True)
class Event:
    """What befalls pod `pod` at second `at`. A restart is a crash and a new process; a reload is a load in place; an unload is
    followed by a load."""

    kind: Literal["restart", "reload", "unload"]
    at: float
    pod: str = "a"


@dataclass(frozen=True)
class Scenario:
    """A load on one model. One instance of `service_ms` executes at most 1000 / `service_ms` times a second."""

    name: str
    pods: tuple[PodPlan, ...]
    seconds: float
    service_ms: float
    instances: int = 1
    window: float = 30.0
    interval: float = 2.0
    events: tuple[Event, ...] = ()
    silences: frozenset[Reason] = frozenset()
    """Why there may be no value, once a request was counted."""
    fail_every: int = 0
    batching: Batching = ONE_BY_ONE
    idle_model: bool = False
    """Beside the model each pod has another, which nobody asks."""
    selectors: tuple[str, ...] = (ALL,)
    signals: tuple[str, ...] = SIGNALS
    new_every: int = 1
    """With more, the model has Triton's response cache; of so many requests one asks something new, and the others all the same."""


def steady(
    name: str,
    per_second: float,
    service_ms: float,
    instances: int = 1,
    *,
    pods: int = 1,
    seconds: float = 75.0,
    shares: Sequence[float] = (),
) -> Scenario:
    """The same load throughout, on `pods` pods in equal `shares` if nothing else is said."""
    shares = shares or [1 / pods] * pods
    plans = tuple(
        PodPlan(pod, (Flow(per_second * share, 0, seconds),))
        for pod, share in zip("abc", shares, strict=False)
    )
    return Scenario(name, plans, seconds, service_ms, instances)


_T: Final = 75.0
_ROLLED, _GONE = 40.0, 43.0
_LOADS: Final = (  # a second, milliseconds of service and instances of each pod: between six and eight tenths busy
    (0.5, 1200.0, 1),
    (5.0, 130.0, 1),
    (20.0, 36.0, 1),
    (100.0, 14.0, 2),
    (300.0, 10.0, 4),
)
STEADY: Final = tuple(
    steady(f"{rate:g}/s, {pods} pod{'s' if pods > 1 else ''}", rate, ms * pods, instances, pods=pods)
    for rate, ms, instances in _LOADS
    for pods in (1, 2)
)
UNEVEN: Final = steady("20/s, 2 pods, nine tenths on one", 20, 45, pods=2, shares=(0.9, 0.1))
BESIDE_IDLE: Final = replace(steady("20/s, 1 pod, an idle model beside", 20, 36), idle_model=True)
RESTART: Final = replace(
    steady("20/s, 2 pods, one restarts", 20, 72, pods=2),
    events=(Event("restart", 40.0),),
    silences=frozenset({Reason.COVERAGE, Reason.NOT_ANSWERING}),
)
RELOAD: Final = replace(steady("20/s, 1 pod, reload in place", 20, 36), events=(Event("reload", 40.0),))
UNLOAD: Final = replace(
    steady("20/s, 1 pod, unload and load", 20, 36),
    events=(Event("unload", 40.0),),
    # Quantiles and the busy fraction: after the load Triton's summary is empty, and its statistics begin anew.
    silences=frozenset({Reason.NO_SERIES, Reason.FAMILY_ABSENT, Reason.STALLED}),
)
ROLLOUT: Final = Scenario(
    "20/s, another pod replaces the only one",
    (
        PodPlan("a", (Flow(10, 0, _GONE), Flow(10, 0, _ROLLED)), leaves=_GONE),
        PodPlan(
            "b", (Flow(10, _GONE, _T - _GONE), Flow(10, _ROLLED, _T - _ROLLED)), launched=33.0, ready=_ROLLED
        ),
    ),
    _T,
    service_ms=36,
)
MIXED: Final = Scenario(
    "20/s, 2 pods, version 1 and 2 (half as slow)",
    (
        PodPlan("a", (Flow(10, 0, _T),), version=1, service_ms=80),
        PodPlan("b", (Flow(10, 0, _T),), version=2, service_ms=40),
    ),
    _T,
    service_ms=80,
    selectors=(ALL, f"{ALL},version=2"),
)
FAILING: Final = replace(steady("20/s, 1 pod, one in ten fails", 20, 36), fail_every=10)
BATCHING: Final = replace(
    steady("100/s, 1 pod, batches of up to 8 and 20 ms of delay", 100, 50),
    batching=Batching(8, 0.020),
)
CACHE: Final = replace(steady("20/s, 1 pod, three in four cached", 20, 100), signals=CACHED, new_every=4)

ROUNDS: Final = (
    tuple(scenario for scenario in STEADY if scenario.name.startswith(("0.5/s", "5/s", "20/s"))),
    tuple(scenario for scenario in STEADY if scenario.name.startswith("100/s")),
    (next(scenario for scenario in STEADY if scenario.name == "300/s, 1 pod"),),
    (next(scenario for scenario in STEADY if scenario.name == "300/s, 2 pods"),),
    (UNEVEN, BESIDE_IDLE, RESTART, MIXED),
    (RELOAD, UNLOAD, ROLLOUT, FAILING, BATCHING, CACHE),
)
"""What is played at the same time: as much as two cores carry without being late."""
