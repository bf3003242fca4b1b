"""The autoscaler does not bring what the load needs: it may not, it cannot see, it is late, it swings, or no node takes pods."""

import asyncio
import itertools
from dataclasses import replace

from tests.incidents.autoscaler import Autoscaler, Autoscaling
from tests.incidents.evidence import Check, Evidence
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import at_least, at_most, infer_stayed, p99_rose, queue_rose
from tests.incidents.traffic import Stream
from tests.incidents.world import World

SERVED = Model(instances=1)
CALM = Stream(12, work_ms=100, timeout_seconds=30)
"""Two pods can answer 20 a second."""
BUSY = replace(CALM, per_second=32)
TOTAL = Autoscaler(most=5, average="2")


def _autoscaling(world: World) -> Autoscaling:
    assert world.autoscaling is not None
    return world.autoscaling


async def _note_conditions(world: World, seconds: float) -> None:
    """Once the HPA has seen the load."""
    await asyncio.sleep(seconds - 5)
    world.note(f"conditions: {await _autoscaling(world).conditions()}")


def _noted(evidence: Evidence, words: str) -> int:
    return sum(words in note.text for note in evidence.notes)


def _wanted(evidence: Evidence) -> list[int]:
    """Replicas, each time that they changed during the incident."""
    says = "wanted replicas: "
    during = [note for note in evidence.notes if note.at >= evidence.onset and note.text.startswith(says)]
    return [int(note.text.removeprefix(says)) for note in during]


def _limited(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 4),
        queue_rose(evidence, 200),
        infer_stayed(evidence, 15),
        at_least("HPAs that say TooManyReplicas", _noted(evidence, "True TooManyReplicas"), 1),
        at_most("pods", len(evidence.pods()), 2),
    ]


AUTOSCALER_AT_MAX = RealIncident(
    id="autoscaler-at-max",
    label="autoscaler_at_max",
    about="More requests come than two pods can answer, and the HPA may have no more than two.",
    models=(SERVED,),
    calm=(CALM,),
    during=(BUSY,),
    act=_note_conditions,
    autoscaler=replace(TOTAL, most=2),
    proof=_limited,
)


async def _blind(world: World, seconds: float) -> None:
    await _autoscaling(world).blind()
    await _note_conditions(world, seconds)


def _blinded(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 4),
        queue_rose(evidence, 200),
        infer_stayed(evidence, 15),
        at_least(
            "HPAs that say FailedGetExternalMetric", _noted(evidence, "False FailedGetExternalMetric"), 1
        ),
        at_most("pods", len(evidence.pods()), 2),
    ]


AUTOSCALER_BLIND = RealIncident(
    id="autoscaler-blind",
    label="autoscaler_blind",
    about="What serves the HPA's metric dies; the HPA holds two pods while more requests come than these can answer.",
    models=(SERVED,),
    calm=(CALM,),
    during=(BUSY,),
    act=_blind,
    autoscaler=TOTAL,
    proof=_blinded,
)

START_SECONDS = 20.0


async def _slow_starts(world: World, seconds: float) -> None:
    slow = replace(SERVED, parameters={"initialize_sleep_s": str(START_SECONDS)})
    _autoscaling(world).plan = Pod("node-c", models=(slow,))
    await _note_conditions(world, seconds)


def _came_late(evidence: Evidence) -> list[Check]:
    wanted = _wanted(evidence)
    asked = next(
        (n.at - evidence.onset for n in evidence.notes if n.at > evidence.onset and "wanted" in n.text), 0.0
    )
    served = [
        answer.done for answer in evidence.sent(evidence.incident) if answer.pod not in _first_pods(evidence)
    ]
    return [
        p99_rose(evidence, 4),
        queue_rose(evidence, 200),
        infer_stayed(evidence, 15),
        at_least("replicas that the HPA wants", max(wanted, default=0), 4),
        at_most("seconds until it asked for them", asked, 20),
        at_least(
            "seconds until a new pod answered",
            min(served, default=evidence.onset) - evidence.onset,
            START_SECONDS,
        ),
    ]


def _first_pods(evidence: Evidence) -> set[str]:
    return {answer.pod for answer in evidence.sent(evidence.baseline)} | {""}


AUTOSCALER_LATE = RealIncident(
    id="autoscaler-late",
    label="autoscaler_late",
    about="More requests come; the HPA asks for pods at once, which take more than 20 s to start.",
    models=(SERVED,),
    calm=(CALM,),
    during=(BUSY,),
    act=_slow_starts,
    autoscaler=TOTAL,
    proof=_came_late,
)

NERVOUS = Autoscaler(most=6, least=1, signal="triton_queue_duration_ms", value="60", down_seconds=0)
"""A mean is flat until pods are full and vertical then; with no patience it makes the HPA swing."""


async def _swings(world: World, seconds: float) -> None:
    await _autoscaling(world).set(NERVOUS)
    await _note_conditions(world, seconds)


def _swung(evidence: Evidence) -> list[Check]:
    wanted = _wanted(evidence)
    turns = [b - a for a, b in itertools.pairwise(wanted)]
    return [
        p99_rose(evidence, 4),
        queue_rose(evidence, 100),
        at_least("times that the wanted replicas fell", sum(turn < 0 for turn in turns), 2),
        at_least("times that they rose", sum(turn > 0 for turn in turns), 2),
    ]


AUTOSCALER_FLAPPING = RealIncident(
    id="autoscaler-flapping",
    label="autoscaler_flapping",
    about="The HPA is set to a mean queue time without a stabilization window, and swings between one pod and many.",
    models=(SERVED,),
    calm=(CALM,),
    act=_swings,
    autoscaler=TOTAL,
    lasts=180.0,
    proof=_swung,
)


async def _no_nodes(world: World, seconds: float) -> None:
    _autoscaling(world).plan = None
    await _note_conditions(world, seconds)


def _waited(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 4),
        queue_rose(evidence, 200),
        infer_stayed(evidence, 15),
        at_least("pods that no node took", _noted(evidence, "no node for"), 2),
        at_most("pods that ran", len(evidence.pods()), 2),
    ]


PODS_PENDING = RealIncident(
    id="pods-pending",
    label="pods_pending",
    about="More requests come, the HPA asks for pods, and no node has room for them.",
    models=(SERVED,),
    calm=(CALM,),
    during=(BUSY,),
    act=_no_nodes,
    autoscaler=TOTAL,
    proof=_waited,
)

AUTOSCALED = (AUTOSCALER_AT_MAX, AUTOSCALER_BLIND, AUTOSCALER_LATE, AUTOSCALER_FLAPPING, PODS_PENDING)
