"""Fleets drawn from wide ranges: sizes, load, service times, hardware, timeouts, the hour of the day."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.fleetsim.autoscaling import AutoscalerSettings
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.gateway import GatewaySettings
from tests.fleetsim.models import Model, Service
from tests.fleetsim.setup import Setup, Template
from triage.evidence import Snapshot

NAMES = (
    "resnet",
    "ranker",
    "embedder",
    "detector",
    "speech",
    "reranker",
    "ocr",
    "fraud",
    "segmenter",
    "toxicity",
)
FIRST_MOMENT = 1_780_000_000


@dataclass(frozen=True)
class Play:
    """A fleet, and what happens to it."""

    setup: Setup
    fault: Callable[[Fleet], None]
    also_accepted: frozenset[str] = frozenset()
    """Labels that are true as well."""
    notes: str = ""
    every_day: bool = False
    """It happened at the same hour of the earlier days, too."""
    seen: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
    """What of the evidence is left."""


def draw_setup(
    rng: random.Random,
    *,
    pods: tuple[int, int] = (2, 8),
    busy: tuple[float, float] = (0.25, 0.5),
    instances: tuple[int, int] = (1, 4),
    batching: bool | None = None,
    gpu: bool | None = None,
    rate: tuple[float, float] = (5.0, 20.0),
    onset_minutes: tuple[float, float] = (10.0, 40.0),
    grows: bool = False,
    model: dict[str, Any] | None = None,
    service: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    gateway: dict[str, Any] | None = None,
    **more: Any,
) -> Setup:
    """A fleet in ordinary life, whose instances are `busy` for that share of their time. `grows`: its load will."""
    end = FIRST_MOMENT + rng.randrange(60 * 86400) + rng.random()
    count = rng.randint(*pods)
    each = rng.randint(*instances)
    arrivals = rng.uniform(*rate)
    on_gpu = rng.random() < 0.6 if gpu is None else gpu
    batches = rng.random() < 0.4 if batching is None else batching
    if grows:  # a fleet at its capacity does much more than it does usually
        arrivals *= 0.3 if batches else 0.6
    alone_ms = rng.uniform(*busy) * count * each / arrivals * 1000
    per_item = alone_ms * rng.uniform(0.1, 0.35) if batches else 0.0
    drawn = Service(
        base_ms=alone_ms - per_item,
        per_item_ms=per_item,
        sigma=rng.uniform(0.05, 0.4),
        input_ms=alone_ms * rng.uniform(0.002, 0.02),
        output_ms=alone_ms * rng.uniform(0.001, 0.01),
        cpu_threads=rng.uniform(0.05, 0.3) if on_gpu else rng.uniform(1.0, 4.0),
    )
    drawn = replace(drawn, **(service or {}))
    main = Model(
        name=rng.choice(NAMES),
        service=drawn,
        instances=each,
        max_batch_size=rng.choice((4, 8, 16)) if batches else rng.choice((0, 0, 8)),
        dynamic_batching=batches,
        max_queue_delay_ms=rng.choice((0.0, 0.5, 2.0, 5.0)) if batches else 0.0,
    )
    main = replace(main, **(model or {}))
    nodes = rng.randint(2, max(2, min(6, count)))
    cores = rng.choice((16.0, 32.0, 64.0))
    needed = drawn.cpu_threads * each * -(-count // nodes)
    settings = GatewaySettings(
        balancing=rng.choice(("round_robin", "least_connections")),
        timeout_seconds=max(rng.uniform(8, 40), alone_ms / 1000 * 8),
        tries=rng.choice((1, 1, 2)),
        own_ms=rng.uniform(0.5, 6),
    )
    setup = Setup(
        seed=rng.randrange(2**40),
        end=end,
        window=7200.0,
        onset=end - rng.uniform(*onset_minutes) * 60,
        template=Template(
            models=(main,),
            **{
                "load_seconds": rng.uniform(8, 60),
                "gpus": 1 if on_gpu else 0,
                "memory_limit": rng.uniform(4, 32) * 1e9,
                **(template or {}),
            },
        ),
        model=main.name,
        pods=count,
        nodes=nodes,
        node_cores=max(cores, 1.6 * needed),
        rate=arrivals,
        gateway=replace(settings, **(gateway or {})),
        summaries=rng.random() < 0.7,
        swing=rng.uniform(0.05, 0.4),
        peak_at=rng.uniform(0, 86400),
    )
    setup = replace(setup, **more)
    # Where more load comes, an autoscaler would be part of the story.
    if not grows and "autoscaler" not in more and rng.random() < 0.5:
        watches_cpu = AutoscalerSettings(
            least=max(1, count - 1), most=count * 2, target=80.0, watches_cpu=True
        )
        setup = replace(setup, autoscaler=watches_cpu)
    return setup


def asked_model(setup: Setup) -> Model:
    return next(model for model in setup.template.models if model.name == setup.model)


def capacity(setup: Setup) -> float:
    """Requests a second of the whole fleet."""
    return asked_model(setup).capacity() * setup.pods


def at_onset(fault: Callable[[Fleet], None]) -> Callable[[Fleet], None]:
    """The same, when it begins."""
    return lambda fleet: fleet.loop.at(fleet.onset, fault, fleet)


def loaded_to(setup: Setup, share: float, ramp: float = 0.0) -> Callable[[Fleet], None]:
    """Users send, from the onset on, `share` of what the fleet can do at its usual size."""

    def fault(fleet: Fleet) -> None:
        usual = fleet.usual_rate(fleet.onset)
        most = share * capacity(setup) / usual

        def factor(now: float) -> float:
            since = now - fleet.onset
            if since < 0:
                return 1.0
            return 1 + (most - 1) * min(1.0, since / ramp if ramp else 1.0)

        fleet.load_factor = factor

    return fault


def some(rng: random.Random, fleet: Fleet, share: float) -> list[Any]:
    """That share of the pods that serve, one at least."""
    pods = fleet.endpoints()
    return rng.sample(pods, max(1, round(len(pods) * share)))
