"""What rollouts, readiness and autoscalers can do to a fleet's latency."""

import random
from dataclasses import replace

from tests.fleetsim.autoscaling import AutoscalerSettings
from tests.fleetsim.drawing import Play, asked_model, at_onset, draw_setup, loaded_to
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.hosts import Pod
from tests.fleetsim.setup import Setup

OVERLOAD = frozenset({"overload"})


def rollout_or_termination(rng: random.Random) -> Play:
    setup = draw_setup(
        rng, busy=(0.6, 0.75), pods=(2, 3), batching=False, template={"load_seconds": rng.uniform(180, 420)},
        gateway={"tries": rng.choice((1, 3))}, onset_minutes=(10, 20),
    )  # fmt: skip
    changes = (
        rng.choice(
            ("image of triton: 24.09 -> 24.10", "env MODE changed", "memory limit of triton: 8Gi -> 12Gi")
        ),
    )

    def fault(fleet: Fleet) -> None:
        fleet.rollout(changes, drain_seconds=0.0, surge=False)

    return Play(setup, at_onset(fault), notes="old pods end at once, before the new ones are ready")


def readiness_flip(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.5, 0.7), pods=(2, 4), batching=False, onset_minutes=(10, 25))
    takes = rng.uniform(90, 240)

    def load(fleet: Fleet, pods: list[Pod]) -> None:
        pod, *others = pods
        pod.say("model_lifecycle.cc:472] loading: newcomer:1")
        fleet.set_ready(pod, False)
        fleet.event(
            f"pod/{pod.name}", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 400"
        )

        def done() -> None:
            pod.say("model_lifecycle.cc:838] successfully loaded 'newcomer'")
            fleet.set_ready(pod, True)

        fleet.loop.after(takes, done)
        # On and on: a model after the other is loaded into each pod.
        fleet.loop.after(takes + 5, load, fleet, [*others, pod])

    return Play(setup, at_onset(lambda fleet: load(fleet, fleet.endpoints())), OVERLOAD,
                "each pod in turn is not ready while a new model loads into it")  # fmt: skip


def _scaled(rng: random.Random, room: float, load_seconds: tuple[float, float], **more: object) -> Setup:
    """A fleet with an autoscaler that has `room` times as many pods to give, and now has what it needs."""
    setup = draw_setup(
        rng, busy=(0.45, 0.6), pods=(2, 4), batching=False, rate=(4.0, 10.0), autoscaler=None, swing=0.05,
        template={"load_seconds": rng.uniform(*load_seconds)}, **more,  # type: ignore[arg-type]
    )  # fmt: skip
    at_once = setup.rate * asked_model(setup).service.mean_ms() / 1000 / setup.pods
    most = max(setup.pods, round(setup.pods * room))
    return replace(setup, autoscaler=AutoscalerSettings(max(1, setup.pods - 1), most, at_once * 1.6))


def autoscaler_at_max(rng: random.Random) -> Play:
    room = rng.uniform(1.0, 1.5)
    setup = _scaled(rng, room, (10, 40))
    assert setup.autoscaler is not None
    whole = setup.autoscaler.most / setup.pods
    return Play(
        setup,
        loaded_to(setup, whole * rng.uniform(1.15, 1.5)),
        OVERLOAD,
        f"at most {setup.autoscaler.most} pods",
    )


def autoscaler_blind(rng: random.Random) -> Play:
    setup = _scaled(rng, 4.0, (10, 40))
    rise = loaded_to(setup, rng.uniform(1.15, 1.6))
    since = rng.uniform(0, 900)

    def fault(fleet: Fleet) -> None:
        rise(fleet)

        def go_blind() -> None:
            assert fleet.autoscaler is not None
            fleet.autoscaler.blind = True

        fleet.loop.at(fleet.onset - since, go_blind)

    return Play(setup, fault, OVERLOAD, f"no measure for the autoscaler, {since:.0f} s before the load rose")


def autoscaler_late(rng: random.Random) -> Play:
    setup = _scaled(rng, 5.0, (300, 900), onset_minutes=(10.0, 20.0))
    # The last pods of a first step are there after this.
    over = setup.onset + setup.template.load_seconds * 1.3 + 180 < setup.end
    also = OVERLOAD | (frozenset({"recovered"}) if over else frozenset())
    return Play(
        setup,
        loaded_to(setup, rng.uniform(1.3, 1.8)),
        also,
        f"pods take {setup.template.load_seconds:.0f} s to load",
    )


def autoscaler_flapping(rng: random.Random) -> Play:
    setup = _scaled(rng, 3.0, (40, 80), onset_minutes=(25.0, 40.0))
    model = asked_model(setup)

    def fault(fleet: Fleet) -> None:
        scaler = fleet.autoscaler
        assert scaler is not None
        # As many requests as instances: a fleet on its target has no room, and waits for pods at each gust.
        scaler.settings = replace(
            scaler.settings,
            target=model.instances * rng.uniform(1.05, 1.3),
            least=1,
            down_seconds=15.0,
            window_seconds=30.0,
        )

    return Play(setup, at_onset(fault), notes="a target without room, and no window for scaling down")


def pods_pending(rng: random.Random) -> Play:
    setup = _scaled(rng, 5.0, (10, 40))
    rise = loaded_to(setup, rng.uniform(1.15, 1.6))

    def fault(fleet: Fleet) -> None:
        what = "nvidia.com/gpu" if setup.template.gpus else "cpu"
        fleet.unschedulable = f"0/{setup.nodes} nodes are available: {setup.nodes} Insufficient {what}."
        rise(fleet)

    return Play(setup, fault, OVERLOAD, "no node takes the pods that the autoscaler asked for")


CAUSES = (
    rollout_or_termination,
    readiness_flip,
    autoscaler_at_max,
    autoscaler_blind,
    autoscaler_late,
    autoscaler_flapping,
    pods_pending,
)
