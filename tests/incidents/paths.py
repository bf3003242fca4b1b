"""Triton is well, or one of its pods is: the way to it is not."""

from tests.incidents.cluster import IMAGE, Template
from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import (
    SUCCESS,
    at_least,
    infer_stayed,
    new_pods_first,
    p99_rose,
    queue_rose,
    triton_stayed,
)
from tests.incidents.traffic import Stream
from tests.incidents.world import World


async def _stick(world: World, _: float) -> None:
    world.gateway.faults.sticky = True
    world.note("the gateway sends everything to the first pod")


def _stuck(evidence: Evidence) -> list[Check]:
    counts = [evidence.increase(SUCCESS, evidence.incident, of=pod) for pod in evidence.pods()]
    return [
        p99_rose(evidence, 3),
        queue_rose(evidence, 50),
        infer_stayed(evidence, 15),
        at_least("requests of the one pod for each of the other", max(counts) / max(1, min(counts)), 5),
    ]


STICKY_BALANCING = RealIncident(
    id="sticky-balancing",
    label="sticky_balancing",
    about="All requests go to one of two pods, as over one long connection; the other idles.",
    calm=(Stream(22, work_ms=90, timeout_seconds=30),),
    act=_stick,
    proof=_stuck,
)


async def _slow_gateway(world: World, _: float) -> None:
    world.gateway.faults.at_once = 2
    world.note("the gateway passes on two requests at a time")


def _slow_way(evidence: Evidence) -> list[Check]:
    waiting = evidence.peak("gateway_waiting", evidence.incident, of="gateway")
    return [
        p99_rose(evidence, 3),
        triton_stayed(evidence, 10),
        at_least("most that waited in the gateway", waiting, 5),
    ]


GATEWAY_FAULT = RealIncident(
    id="gateway-fault",
    label="gateway_fault",
    about="The gateway's pool shrinks to two connections: requests wait there, and Triton is idle and fast.",
    models=(Model(instances=8),),
    calm=(Stream(18, work_ms=100),),
    act=_slow_gateway,
    proof=_slow_way,
)


async def _slow_links(world: World, _: float) -> None:
    for upstream in world.gateway.upstreams.values():
        upstream.rate_bytes = 200_000
    world.note("the links carry 200 kB/s for each request")


def _payload(evidence: Evidence) -> list[Check]:
    sent = [
        evidence.increase("traefik_service_requests_bytes_total", phase, of="gateway")
        for phase in _phases(evidence)
    ]
    requests = [len(evidence.sent(phase)) for phase in _phases(evidence)]
    return [
        p99_rose(evidence, 3),
        triton_stayed(evidence, 30),
        at_least(
            "bytes of a request for those of one before", sent[1] / requests[1] / (sent[0] / requests[0]), 20
        ),
    ]


def _phases(evidence: Evidence) -> tuple[Phase, Phase]:
    return evidence.baseline, evidence.incident


PAYLOAD = RealIncident(
    id="payload",
    label="payload_or_network",
    about="Some requests are now 200 kB of JSON on a link of 200 kB/s; Triton sees them only once they are there.",
    models=(Model(instances=4),),
    calm=(Stream(12, work_ms=40),),
    during=(Stream(9, work_ms=40), Stream(3, work_ms=40, numbers=40000, kind="large")),
    act=_slow_links,
    proof=_payload,
)


def _skewed(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 3),
        triton_stayed(evidence, 20),
        at_least("p99 of the small requests, times", _ratio(evidence, kind="user"), 2),
    ]


def _ratio(evidence: Evidence, **wanted: object) -> float:
    before, during = (
        evidence.latency_ms(phase, 0.99, **wanted) for phase in (evidence.baseline, evidence.incident)
    )
    return during / before


async def _one_connection(world: World, _: float) -> None:
    for name in world.names():
        await world.gateway.remove(name)
        world.gateway.add(name, world.pods[name].url, connections=1)
    world.note("one connection to each server")


HTTP_CONNECTION_SKEW = RealIncident(
    id="http-connection-skew",
    label="http_connection_skew",
    about="One kept connection to each server carries everything, one request after the other; the instances idle.",
    models=(Model(instances=8),),
    calm=(Stream(18, work_ms=95),),
    act=_one_connection,
    proof=_skewed,
)


TRACED = (
    "--trace-config=level=TIMESTAMPS",
    "--trace-config=level=TENSORS",
    "--trace-config=rate=1",
    "--trace-config=triton,file=/tmp/trace.json",
    "--trace-config=triton,log-frequency=20",
)


async def _trace(world: World, _: float) -> None:
    files = world.folder / "traces"
    files.mkdir()
    really = tuple(argument.replace("/tmp", str(files)) for argument in TRACED)
    await world.roll_out(Template(arguments=TRACED), Pod("node-a", arguments=really))


def _observed(evidence: Evidence) -> list[Check]:
    settled = Phase(evidence.incident.start + 25, evidence.incident.end)
    before, during = (evidence.latency_ms(phase, 0.5) for phase in (evidence.baseline, settled))
    traced = sum(file.stat().st_size for file in evidence.folder.glob("traces/*"))
    return [
        at_least(f"the users' p50 went from {before:.0f} to {during:.0f} ms: times", during / before, 1.2),
        infer_stayed(evidence, 10),
        at_least("bytes of traces for each request", traced / len(evidence.sent(settled)), 100_000),
    ]


OBSERVER_EFFECT = RealIncident(
    id="observer-effect",
    label="observer_effect",
    about="A rollout has every tensor of every request written to a trace: Triton does it before it computes, in its queue's time.",
    models=(Model(instances=4),),
    calm=(Stream(4, work_ms=20, numbers=100_000),),
    act=_trace,
    felt=new_pods_first,
    proof=_observed,
)


async def _rollout(world: World, _: float) -> None:
    await world.roll_out(Template(image=f"{IMAGE}-py3", steady_seconds=6), Pod("node-c"), grace=False)


def _rolled(evidence: Evidence) -> list[Check]:
    pods = {answer.pod for answer in evidence.sent(evidence.baseline)} - {""}
    new = {answer.pod for answer in evidence.sent(evidence.incident)} - pods - {""}
    refused = evidence.increase("traefik_service_requests_total", evidence.incident, of="gateway", code="502")
    return [
        p99_rose(evidence, 2),
        at_least("new pods", len(new), len(pods)),
        at_least("answers 502 at the gateway", refused, 8),
    ]


def _first_kill(evidence: Evidence) -> float:
    return next(note.at for note in evidence.notes if note.text.startswith("killed "))


ROLLOUT = RealIncident(
    id="rollout",
    label="rollout_or_termination",
    about="Pods are replaced one by one without grace: requests that they hold, or still get, are reset and sent again.",
    models=(Model(instances=4),),
    pods=(Pod("node-a"), Pod("node-a"), Pod("node-b"), Pod("node-b")),
    calm=(Stream(40, work_ms=40, retries=3, retry_after_seconds=0.5),),
    act=_rollout,
    felt=_first_kill,
    lasts=45.0,
    proof=_rolled,
)

PATHS = (
    STICKY_BALANCING,
    GATEWAY_FAULT,
    PAYLOAD,
    HTTP_CONNECTION_SKEW,
    OBSERVER_EFFECT,
    ROLLOUT,
)
