"""Models are loaded, or pods are started, while others serve."""

import asyncio
import json
from dataclasses import replace

from tests.incidents.cluster import Template
from tests.incidents.evidence import Check, Evidence
from tests.incidents.incident import SUMMARY_SECONDS, RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import (
    SUCCESS,
    at_least,
    at_most,
    infer_rose,
    infer_stayed,
    new_pods_first,
    p99_rose,
    queue_rose,
    triton_stayed,
)
from tests.incidents.traffic import Stream
from tests.incidents.world import POLLING, World

LOAD_SECONDS = 3.5
NEWCOMER = Model("newcomer", instances=1)


async def _loads_in_place(world: World, seconds: float) -> None:
    """A change of the configuration each time: Triton loads nothing that did not change."""
    for number in range(1 + int(seconds // (2 * LOAD_SECONDS))):
        parameters = {"initialize_sleep_s": str(LOAD_SECONDS), "number": str(number)}
        await world.load(replace(NEWCOMER, parameters=parameters))
        await asyncio.sleep(LOAD_SECONDS / 2)


def _blocked(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 8),
        triton_stayed(evidence, 15),
        at_least(
            "longest wait of a user, ms",
            1000 * max(a.latency_seconds for a in evidence.sent(evidence.incident)),
            3000,
        ),
        at_most("users' p50, ms", evidence.latency_ms(evidence.incident, 0.5), 500),
    ]


LOAD_BLOCKS_HTTP = RealIncident(
    id="load-blocks-http",
    label="load_blocks_http",
    about="A model that takes seconds to load is loaded over HTTP again and again; kept connections of its thread stand still.",
    models=(Model(instances=4), NEWCOMER),
    calm=(Stream(16, work_ms=40),),
    act=_loads_in_place,
    arguments=("--http-thread-count=2",),
    proof=_blocked,
)

BURNING = Model(instances=1, parameters={"burns": "yes"})


async def _burning_loads(world: World, seconds: float) -> None:
    for number in range(1 + int(seconds // 4)):
        model = Model("newcomer", instances=3, parameters={"initialize_burn_s": "0.8", "number": str(number)})
        world.write(model)
        await asyncio.sleep(4)


def _contended(evidence: Evidence) -> list[Check]:
    logs = [log.read_text() for log in evidence.folder.glob("pods/*/tritonserver.log")]
    loads = sum(log.count("successfully loaded 'newcomer'") for log in logs) - len(logs)
    return [p99_rose(evidence, 2), infer_rose(evidence, 8), at_least("loads after the first", loads, 2)]


MODEL_LOAD_CONTENTION = RealIncident(
    id="model-load-contention",
    label="model_load_contention",
    about="A model whose load needs the processor is loaded again and again beside one that serves on the same core.",
    models=(BURNING, Model("newcomer", instances=3)),
    pods=(Pod("node-a", core=0),),
    calm=(Stream(6, work_ms=20),),
    act=_burning_loads,
    control=POLLING,  # a load call would hold connections too, which is another incident
    proof=_contended,
)

SLOW_START = Model("archive", instances=1, parameters={"initialize_sleep_s": "8"})


async def _new_models(world: World, seconds: float) -> None:
    pod = world.names()[0]
    for number in range(1 + int(seconds // 9)):
        await world.load(replace(SLOW_START, name=f"archive-{number}"), pods=[pod], version=1)


def _flipped(evidence: Evidence) -> list[Check]:
    counts = [
        evidence.increase(SUCCESS, evidence.incident, of=pod, model="ranker") for pod in evidence.pods()
    ]
    calm = [evidence.increase(SUCCESS, evidence.baseline, of=pod, model="ranker") for pod in evidence.pods()]
    return [
        p99_rose(evidence, 4),
        queue_rose(evidence, 50, model="ranker"),
        infer_stayed(evidence, 15, model="ranker"),
        at_most("requests of the one pod for each of the other, before", max(calm) / max(1, min(calm)), 1.2),
        at_least("and during", max(counts) / max(1, min(counts)), 2),
    ]


READINESS_FLIP = RealIncident(
    id="readiness-flip",
    label="readiness_flip",
    about="Loading new models makes a whole pod not ready, though it serves; the other pod gets everything.",
    models=(Model(instances=2),),
    calm=(Stream(26, work_ms=100, timeout_seconds=30),),
    act=_new_models,
    proof=_flipped,
)

LAZY = Model(instances=2, parameters={"lazy_ms": "4000"})
NEW_PODS = 4
APART_SECONDS = 6.0


async def _new_pods(world: World, _: float) -> None:
    for _ in range(NEW_PODS):
        world.note(f"started {await world.start_pod(Pod('node-c'))}")
        await asyncio.sleep(APART_SECONDS)


def _cold_start(evidence: Evidence) -> list[Check]:
    born = [
        each
        for each in evidence.executed(evidence.incident)
        if (each.ended_ns or 0) - each.started_ns > 3.5e9
    ]
    slow = [answer for answer in evidence.sent(evidence.incident) if answer.latency_seconds > 1]
    return [
        p99_rose(evidence, 3),
        at_least("first executions of more than 3.5 s", len(born), NEW_PODS),
        at_most("pods that had slow requests", len({answer.pod for answer in slow}), NEW_PODS),
    ]


COLD_START = RealIncident(
    id="cold-start",
    label="cold_start",
    about="New pods are ready before their model is warm: the first request of each instance takes 4 s.",
    models=(LAZY,),
    calm=(Stream(16, work_ms=40),),
    act=_new_pods,
    felt=new_pods_first,
    settles=SUMMARY_SECONDS,
    lasts=45.0,
    proof=_cold_start,
)


async def _replace(world: World, _: float) -> None:
    await world.replace(world.names()[0], Pod("node-bad", environment={"SLOW_FACTOR": "4"}))


def _bad_node(evidence: Evidence) -> list[Check]:
    pods = {answer.pod for answer in evidence.sent(evidence.baseline)}
    new = sorted({answer.pod for answer in evidence.sent(evidence.incident)} - pods - {""})
    on_new = evidence.latency_ms(evidence.incident, 0.5, pod=new[0]) if new else 0.0
    old = max(evidence.latency_ms(evidence.incident, 0.5, pod=pod) for pod in pods)
    return [
        p99_rose(evidence, 2),
        at_least("median on the new pod for that of the others", on_new / old, 2),
        at_most("errors", evidence.error_share(evidence.incident), 0.02),
    ]


BAD_NODE = RealIncident(
    id="bad-node",
    label="bad_node",
    about="A pod is replaced by one on a node where everything takes four times as long; its siblings are well.",
    models=(Model(instances=4),),
    calm=(Stream(16, work_ms=40),),
    act=_replace,
    felt=new_pods_first,
    proof=_bad_node,
)


async def _leak(world: World, _: float) -> None:
    world.condition("ranker", leaks=True)
    while True:
        for name in world.names():
            if world.memory_bytes(name) > LIMIT_BYTES:
                await world.end_over_limit(name)
        await asyncio.sleep(0.5)


LIMIT_BYTES = 600_000_000


def _leaked(evidence: Evidence) -> list[Check]:
    kills = sum("over its limit" in note.text for note in evidence.notes)
    calm, peak = (
        max(_resident(evidence, pod, phase.start, phase.end) for pod in evidence.pods())
        for phase in (evidence.baseline, evidence.incident)
    )
    return [
        p99_rose(evidence, 2),
        at_least("restarts", kills, 1),
        at_least("most memory of a pod beyond the calm, MiB", (peak - calm) / (1 << 20), 200),
    ]


def _resident(evidence: Evidence, pod: str, start: float, end: float) -> float:
    lines = map(json.loads, (evidence.folder / "platform" / f"{pod}.jsonl").read_text().splitlines())
    return max((line["resident_bytes"] for line in lines if start <= line["at"] < end), default=0)


MEMORY_LEAK = RealIncident(
    id="memory-leak",
    label="memory_leak",
    about="Each request leaves memory behind and makes the next one slower, until the pod is killed and starts again.",
    models=(Model(instances=1, parameters={"leak_mib": "5"}),),
    calm=(Stream(12, work_ms=30, timeout_seconds=5),),
    act=_leak,
    template=Template(memory_bytes=LIMIT_BYTES),
    proof=_leaked,
)

LOADS = (
    LOAD_BLOCKS_HTTP,
    MODEL_LOAD_CONTENTION,
    READINESS_FLIP,
    COLD_START,
    BAD_NODE,
    MEMORY_LEAK,
)
