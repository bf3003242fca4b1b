"""The model, or a model behind it, takes longer, fails, or does not answer at all."""

import asyncio
from dataclasses import replace

from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.proofs import (
    FAILURE,
    PENDING,
    QUEUE,
    SUCCESS,
    at_least,
    at_most,
    infer_rose,
    infer_stayed,
    p99_rose,
    per_request_ms,
)
from tests.incidents.traffic import Stream
from tests.incidents.world import World

CALM = Stream(12, work_ms=50)


async def _hang(world: World, seconds: float) -> None:
    world.condition("ranker", pods=world.names()[:1], hangs=True)
    await asyncio.sleep(seconds - 1)
    world.condition("ranker", pods=world.names()[:1])


def _hung(evidence: Evidence) -> list[Check]:
    hung, well = _slowest_pod(evidence), _other_pod(evidence)
    middle = replace(evidence.incident, start=evidence.incident.start + 2, end=evidence.incident.end - 3)
    return [
        p99_rose(evidence, 5),
        at_most(
            f"requests that ended on {hung} while it hung", evidence.increase(SUCCESS, middle, of=hung), 0
        ),
        at_least(f"most that waited on {hung}", evidence.peak(PENDING, evidence.incident, of=hung), 10),
        at_least(
            f"requests that ended on {well}", evidence.increase(SUCCESS, evidence.incident, of=well), 20
        ),
    ]


def _slowest_pod(evidence: Evidence) -> str:
    """The pod on which fewest requests ended well during the incident."""
    return min(evidence.pods(), key=lambda pod: evidence.increase(SUCCESS, evidence.incident, of=pod))


def _other_pod(evidence: Evidence) -> str:
    return max(evidence.pods(), key=lambda pod: evidence.increase(SUCCESS, evidence.incident, of=pod))


HANG = RealIncident(
    id="hang",
    label="hang",
    about="On one pod every execution waits for ever for something that never comes; readiness says all is well.",
    calm=(replace(CALM, timeout_seconds=5),),
    act=_hang,
    proof=_hung,
)


async def _kill(world: World, _: float) -> None:
    await world.kill_stubs(world.names()[0])


def _dead(evidence: Evidence) -> list[Check]:
    failed = evidence.increase(FAILURE, evidence.incident, reason="BACKEND")
    errors = [answer for answer in evidence.sent(evidence.incident) if answer.status == 500]
    return [
        p99_rose(evidence, 3),
        at_least("failures of the backend, by Triton", failed, 20),
        at_least("share of the users' errors that are 500", len(errors) / max(1, _errors(evidence)), 0.9),
        at_least(
            "median of what an error took, ms", _median([1000 * each.latency_seconds for each in errors]), 500
        ),
    ]


def _errors(evidence: Evidence) -> int:
    return sum(answer.status != 200 for answer in evidence.sent(evidence.incident))


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


BACKEND_PROCESS_DEAD = RealIncident(
    id="backend-process-dead",
    label="backend_process_dead",
    about="The Python stubs of one pod are killed; each request there fails after about a second, readiness says all is well.",
    # An instance gives its dead stub up once a second: more than that and the queue hides the errors behind timeouts.
    models=(Model(instances=4),),
    calm=(replace(CALM, per_second=5),),
    act=_kill,
    proof=_dead,
)

VERSIONED = Model(parameters={"factor_v2": "4"})


async def _version_2(world: World, _: float) -> None:
    await world.load(VERSIONED, version=2)


def _slower(evidence: Evidence) -> list[Check]:
    new = evidence.increase(SUCCESS, evidence.incident, version="2")
    return [
        p99_rose(evidence, 2),
        infer_rose(evidence, 80),
        at_least("requests of version 2", new, 20),
        at_most(
            "requests of version 2 before", evidence.increase(SUCCESS, evidence.baseline, version="2"), 0
        ),
    ]


SLOWER_VERSION = RealIncident(
    id="slower-version",
    label="slower_version",
    about="Version 2 is loaded while version 1 serves, and takes four times as long.",
    models=(VERSIONED,),
    calm=(CALM,),
    act=_version_2,
    proof=_slower,
)

STEPS = (Model("tokenize", instances=2), Model("embed", instances=1), Model("rank", instances=2))
ENSEMBLE = Model("ranker", steps=("tokenize", "embed", "rank"))
PIPELINE = Stream(8, work_ms=28)


async def _slow_embed(world: World, _: float) -> None:
    world.condition("embed", factor=10)


def _bottleneck(evidence: Evidence) -> list[Check]:
    queue = per_request_ms(evidence, QUEUE, evidence.incident, model="embed")
    return [
        p99_rose(evidence, 3),
        at_least("time in embed's queue per request, ms", queue, 150),
        infer_rose(evidence, 100, model="embed"),
        infer_stayed(evidence, 15, model="rank"),
        at_most(
            "time in the pipeline's own queue, ms",
            per_request_ms(evidence, QUEUE, evidence.incident, model="ranker"),
            50,
        ),
    ]


PIPELINE_BOTTLENECK = RealIncident(
    id="pipeline-bottleneck",
    label="pipeline_bottleneck",
    about="One step of an ensemble gets slower than requests come; the ensemble's own queue time stays 0.",
    models=(*STEPS, ENSEMBLE),
    calm=(PIPELINE,),
    act=_slow_embed,
    proof=_bottleneck,
)
PIPELINE_BOTTLENECK_BLS = RealIncident(
    id="pipeline-bottleneck-bls",
    label="pipeline_bottleneck",
    about="A step that a model calls from its own code gets slower; its time is the caller's compute time.",
    models=(*STEPS, Model("ranker", instances=6, parameters={"calls": "tokenize,embed,rank"})),
    calm=(replace(PIPELINE, work_ms=20, per_second=8),),
    act=_slow_embed,
    proof=_bottleneck,
)

CACHED = Model(instances=2, settings={"response_cache": {"enable": True}})


def _cold(evidence: Evidence) -> list[Check]:
    hits, misses = "nv_cache_num_hits_per_model", "nv_cache_num_misses_per_model"

    def share(phase: Phase) -> float:
        hit, missed = (evidence.increase(family, phase) for family in (hits, misses))
        return hit / max(1.0, hit + missed)

    return [
        p99_rose(evidence, 1.5),
        at_least("users' p50, ms", evidence.latency_ms(evidence.incident, 0.5), 50),
        at_least("hits before, share", share(evidence.baseline), 0.8),
        at_most("hits, share", share(evidence.incident), 0.1),
    ]


CACHE_COLD = RealIncident(
    id="cache-cold",
    label="cache_cold",
    about="Callers send keys that the response cache never saw: what was answered at once now runs each time.",
    models=(CACHED,),
    calm=(Stream(30, work_ms=80, keys=5),),
    during=(Stream(30, work_ms=80),),
    arguments=("--cache-config=local,size=16777216",),
    proof=_cold,
)


async def _errors_in_answers(world: World, _: float) -> None:
    world.condition("ranker", error_every=4)


def _silent(evidence: Evidence) -> list[Check]:
    refused = evidence.increase("traefik_service_requests_total", evidence.incident, of="gateway", code="500")
    return [
        p99_rose(evidence, 2),
        at_least("answers 500 at the gateway", refused, 20),
        at_most("failures that Triton counted", evidence.increase(FAILURE, evidence.incident), 0),
        infer_stayed(evidence, 10),
    ]


SILENT_ERRORS = RealIncident(
    id="silent-errors",
    label="silent_errors",
    about="The model answers a quarter of its requests with an error, which Triton counts as success; clients try again.",
    calm=(replace(CALM, retries=2, retry_after_seconds=0.25),),
    act=_errors_in_answers,
    proof=_silent,
)

MODELS_SLOW = (
    HANG,
    BACKEND_PROCESS_DEAD,
    SLOWER_VERSION,
    PIPELINE_BOTTLENECK,
    PIPELINE_BOTTLENECK_BLS,
    CACHE_COLD,
    SILENT_ERRORS,
)
