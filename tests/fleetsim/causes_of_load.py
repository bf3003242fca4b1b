"""What users and models can do to a fleet's latency."""

import random
from dataclasses import replace

from tests.fleetsim.drawing import Play, asked_model, at_onset, draw_setup, loaded_to, some
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.models import Model, Request, Service
from tests.fleetsim.setup import Stream

OVERLOAD = frozenset({"overload"})


def overload(rng: random.Random) -> Play:
    setup = draw_setup(rng, grows=True)
    return Play(setup, loaded_to(setup, rng.uniform(1.0, 1.5), rng.choice((0.0, 0.0, 120.0, 300.0))))


def micro_bursts(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.2, 0.4), batching=False)
    burst = round(setup.pods * asked_model(setup).instances * rng.uniform(4, 9))

    def users(fleet: Fleet) -> list[Stream]:
        calm = lambda now: 0.0 if fleet.struck else fleet.usual_rate(now)  # noqa: E731
        rush = lambda now: fleet.usual_rate(now) / burst if fleet.struck else 0.0  # noqa: E731
        return [Stream(setup.model, calm), Stream(setup.model, rush, burst=burst)]

    return Play(
        replace(setup, users=users), lambda fleet: None, notes=f"bursts of {burst} at the same mean rate"
    )


def too_few_instances(rng: random.Random) -> Play:
    few = {"gpu_share": rng.uniform(0.05, 0.2), "cpu_threads": rng.uniform(0.05, 0.2)}
    if rng.random() < 0.5:
        setup = draw_setup(
            rng, batching=False, gpu=True, instances=(1, 1), busy=(0.4, 0.6), service=few, grows=True
        )
        return Play(
            setup,
            loaded_to(setup, rng.uniform(1.05, 1.3)),
            OVERLOAD,
            "more load on one instance of an idle GPU",
        )
    setup = draw_setup(rng, batching=False, gpu=True, instances=(3, 5), busy=(0.3, 0.5), service=few)
    fewer = replace(asked_model(setup), instances=1)
    return Play(setup, at_onset(lambda fleet: fleet.reconfigure(fewer)), notes="instances were taken away")


def retry_storm(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, busy=(0.5, 0.65), pods=(2, 6))
    alone = asked_model(setup).service.mean_ms() / 1000
    gateway = replace(
        setup.gateway,
        timeout_seconds=max(1.0, alone * rng.uniform(6, 10)),
        tries=rng.randint(3, 4),
        retries_timeouts=True,
    )
    lasts = rng.uniform(90, 180) + gateway.timeout_seconds * 4

    def fault(fleet: Fleet) -> None:
        def slow(factor: float) -> None:
            for pod in fleet.pods:
                pod.factor = factor

        fleet.loop.at(fleet.onset, slow, rng.uniform(3, 6))
        fleet.loop.at(fleet.onset + lasts, slow, 1.0)

    return Play(
        replace(setup, gateway=gateway), fault, notes=f"a slow spell of {lasts:.0f} s; retries kept it going"
    )


def shed_load(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, gateway={"tries": 3}, grows=True)
    short = replace(asked_model(setup), max_queue_size=rng.randint(2, 8) * asked_model(setup).instances)
    setup = replace(setup, template=replace(setup.template, models=(short,)))
    return Play(setup, loaded_to(setup, rng.uniform(1.2, 1.8)), OVERLOAD, "a bounded queue refuses the rest")


def silent_errors(rng: random.Random) -> Play:
    share = rng.uniform(0.08, 0.35)
    setup = draw_setup(rng, busy=(0.2, 0.35), gateway={"tries": 3, "retries_on": frozenset({500, 502, 503})})

    def fault(fleet: Fleet) -> None:
        for pod in fleet.pods:
            pod.server.models[setup.model].defects.error_responses = share

    return Play(
        setup,
        at_onset(fault),
        notes=f"the model answers {share:.0%} of the requests with an error of its own",
    )


def hang(rng: random.Random) -> Play:
    setup = draw_setup(rng)
    share = rng.choice((0.01, 0.5, 1.0))

    def fault(fleet: Fleet) -> None:
        for pod in some(rng, fleet, share):
            pod.server.models[setup.model].defects.hung = True

    return Play(setup, at_onset(fault), notes="executions that never end")


def backend_process_dead(rng: random.Random) -> Play:
    setup = draw_setup(
        rng, gpu=False, busy=(0.15, 0.3), gateway={"tries": 2, "retries_on": frozenset({500, 502, 503})}
    )
    share = rng.choice((0.01, 0.4))

    def fault(fleet: Fleet) -> None:
        for pod in some(rng, fleet, share):
            defects = pod.server.models[setup.model].defects
            defects.fails, defects.fails_after_ms = 1.0, 1000.0
            pod.say(
                f"python_be.cc:1939] Stub process '{setup.model}_0_0' is not healthy. "
                "It will be restarted on the next reload.", "E",
            )  # fmt: skip

    return Play(setup, at_onset(fault), notes="the process of a Python model died")


def pipeline_bottleneck(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, busy=(0.3, 0.45), instances=(1, 2), grows=True)
    last = asked_model(setup)
    light = Service(last.service.base_ms * rng.uniform(0.1, 0.3), sigma=0.1, input_ms=0.3, cpu_threads=0.5)
    parts = [
        Model("preprocess", light),
        replace(last, name="encoder"),
        Model("postprocess", replace(light, sigma=0.2)),
    ]
    rng.shuffle(parts)
    whole = Model(f"{last.name}_pipeline", light, parts=tuple(part.name for part in parts))
    setup = replace(setup, model=whole.name, template=replace(setup.template, models=(whole, *parts)))
    narrow = last.capacity() * setup.pods
    share = rng.uniform(1.05, 1.35)

    def fault(fleet: Fleet) -> None:
        most = share * narrow / fleet.usual_rate(fleet.onset)
        fleet.load_factor = lambda now: most if now >= fleet.onset else 1.0

    also = OVERLOAD | {"too_few_instances"}
    return Play(setup, fault, also, "load grew beyond what the encoder step can do; the others have room")


def kv_cache_saturated(rng: random.Random) -> Play:
    setup = draw_setup(
        rng, gpu=True, batching=False, instances=(1, 1), pods=(2, 4), rate=(1.5, 4.0), busy=(0.3, 0.5)
    )
    tokens = rng.randint(300, 800)
    per_token = rng.uniform(4, 12)
    at_once = setup.rate / setup.pods * tokens * per_token / 1000
    holds = round(at_once * tokens * rng.uniform(2.0, 3.0))
    longer = rng.uniform(1.8, 2.6)
    service = replace(asked_model(setup).service, base_ms=per_token, per_item_ms=per_token * 0.01, sigma=0.15)
    model = replace(asked_model(setup), service=service, llm_tokens=max(holds, tokens * 6), max_batch_size=0)

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            long = longer if fleet.struck else 1.0
            request.tokens = max(20, round(dice.gauss(tokens, tokens / 4) * long))

        return [Stream(setup.model, fleet.usual_rate, shape)]

    template = replace(setup.template, models=(model,))
    gateway = replace(setup.gateway, timeout_seconds=120.0, tries=1)
    return Play(replace(setup, template=template, gateway=gateway, users=users), lambda fleet: None,
                notes=f"requests became {longer:.1f} times as long; a full cache queues them")  # fmt: skip


CAUSES = (
    overload,
    micro_bursts,
    too_few_instances,
    retry_storm,
    shed_load,
    silent_errors,
    hang,
    backend_process_dead,
    pipeline_bottleneck,
    kv_cache_saturated,
)
