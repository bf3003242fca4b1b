"""What users, schedulers and models can do to a fleet's latency."""

import itertools
import random
from dataclasses import replace

from tests.fleetsim.drawing import Play, asked_model, at_onset, capacity, draw_setup, loaded_to, some
from tests.fleetsim.fleet import Fleet, Stream
from tests.fleetsim.models import Model, Request, Service

OVERLOAD = frozenset({"overload"})


def overload(rng: random.Random) -> Play:
    setup = draw_setup(rng, autoscaler=None)
    return Play(setup, loaded_to(setup, rng.uniform(1.1, 1.6), rng.choice((0.0, 0.0, 120.0, 300.0))))


def micro_bursts(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.2, 0.4), batching=False)
    burst = round(setup.pods * asked_model(setup).instances * rng.uniform(4, 9))

    def users(fleet: Fleet) -> list[Stream]:
        calm = lambda now: 0.0 if fleet.struck else fleet.usual_rate(now)  # noqa: E731
        rush = lambda now: fleet.usual_rate(now) / burst if fleet.struck else 0.0  # noqa: E731
        return [Stream(setup.model, calm), Stream(setup.model, rush, burst=burst)]

    return Play(replace(setup, users=users), lambda fleet: None, notes=f"bursts of {burst} at the same mean rate")


def too_few_instances(rng: random.Random) -> Play:
    few = {"gpu_share": rng.uniform(0.05, 0.2), "cpu_threads": rng.uniform(0.05, 0.2)}
    if rng.random() < 0.5:
        setup = draw_setup(rng, batching=False, gpu=True, instances=(1, 1), busy=(0.4, 0.6), service=few)
        return Play(setup, loaded_to(setup, rng.uniform(1.05, 1.3)), OVERLOAD, "more load on one instance of an idle GPU")
    setup = draw_setup(rng, batching=False, gpu=True, instances=(3, 5), busy=(0.3, 0.5), service=few)
    fewer = replace(asked_model(setup), instances=1)
    return Play(setup, at_onset(lambda fleet: fleet.reconfigure(fewer)), notes="instances were taken away")


def batch_delay(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=True, busy=(0.1, 0.3))
    alone = asked_model(setup).service.mean_ms()
    delay = max(alone * rng.uniform(1.0, 4.0), 60.0)
    waits = replace(asked_model(setup), max_queue_delay_ms=delay)
    return Play(setup, at_onset(lambda fleet: fleet.reconfigure(waits)), notes=f"max_queue_delay became {delay:.0f} ms")


def batcher_lost_wakeup(rng: random.Random) -> Play:
    policy = {"max_queue_size": 1000, "lost_wakeups": rng.uniform(0.15, 0.4)}
    setup = draw_setup(rng, batching=True, busy=(0.05, 0.12), instances=(1, 2), model=policy)
    burst = setup.pods * rng.randint(3, 5)

    def users(fleet: Fleet) -> list[Stream]:
        calm = lambda now: fleet.usual_rate(now) * (0.4 if fleet.struck else 1.0)  # noqa: E731
        rush = lambda now: 0.6 * fleet.usual_rate(now) / burst if fleet.struck else 0.0  # noqa: E731
        return [Stream(setup.model, calm), Stream(setup.model, rush, burst=burst)]

    return Play(replace(setup, users=users), lambda fleet: None, frozenset({"micro_bursts"}), "bursts meet a queue policy")


def batcher_counter_drift(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=True, busy=(0.8, 1.2), instances=(3, 5))
    model = asked_model(setup)
    delay = rng.uniform(1, 5)
    timeout = model.service.mean_ms(model.max_batch_size) * rng.uniform(2.5, 4)
    drifts = replace(model, queue_timeout_ms=timeout, max_queue_delay_ms=delay, drift=rng.uniform(0.03, 0.1))
    setup = replace(setup, template=replace(setup.template, models=(drifts,)))
    rush = round(setup.pods * model.instances * model.max_batch_size * rng.uniform(3.5, 5))

    def users(fleet: Fleet) -> list[Stream]:
        now_and_then = lambda now: 1 / 90 if fleet.struck else 0.0  # noqa: E731
        return [Stream(setup.model, fleet.usual_rate), Stream(setup.model, now_and_then, burst=rush)]

    return Play(
        replace(setup, users=users), lambda fleet: None, notes="each rush has timeouts, and some of them cost an instance"
    )


def mixed_request_sizes(rng: random.Random) -> Play:
    share, weight = rng.uniform(0.02, 0.06), rng.uniform(6, 14)
    setup = draw_setup(rng, batching=True, busy=(0.2, 0.4))

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            heavy = fleet.struck and dice.random() < share
            request.weight = weight if heavy else 1.0
            request.bytes = 2000.0 * request.weight

        return [Stream(setup.model, fleet.usual_rate, shape)]

    return Play(replace(setup, users=users), lambda fleet: None, notes=f"{share:.0%} of the requests weigh {weight:.0f}")


def priority_starvation(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, busy=(0.4, 0.55), model={"priority_levels": 2})
    share = rng.uniform(0.98, 1.12)

    def users(fleet: Fleet) -> list[Stream]:
        def of(priority: int) -> Stream:
            def shape(request: Request, dice: random.Random) -> None:
                request.priority = priority

            def rate(now: float) -> float:
                usual = fleet.usual_rate(now) / 2
                more = capacity(setup) * share - fleet.usual_rate(now)
                return usual + (more if priority == 1 and fleet.struck else 0.0)

            return Stream(setup.model, rate, shape)

        return [of(1), of(2)]

    return Play(replace(setup, users=users), lambda fleet: None, OVERLOAD, "the first class alone grew")


def sequence_slots(rng: random.Random) -> Play:
    length, pause = rng.randint(6, 12), rng.uniform(0.5, 2.0)
    idle = rng.uniform(120, 600)
    setup = draw_setup(
        rng, batching=False, instances=(4, 8), busy=(0.15, 0.3), gateway={"balancing": "sticky", "tries": 1}
    )
    model = asked_model(setup)
    at_once = setup.rate / length * (length * (pause + model.service.mean_ms() / 1000)) / setup.pods
    slots = round(at_once * rng.uniform(2.5, 4)) + 4
    slotted = replace(model, sequence_slots=slots, sequence_idle_seconds=idle)
    setup = replace(setup, template=replace(setup.template, models=(slotted,)))
    # Enough are left open that the slots are gone within minutes, whatever the idle timeout.
    leaves = min(0.9, 1.5 * slots * setup.pods / (setup.rate / length) / idle)
    numbers = itertools.count(1)

    def users(fleet: Fleet) -> list[Stream]:
        def step(sequence: int, number: int, last: int) -> None:
            request = Request(setup.model)
            request.client = request.sequence = sequence
            request.ends = number == length
            if number < last:
                fleet.send(request, on_end=lambda status: fleet.loop.after(pause, step, sequence, number + 1, last))
            else:
                fleet.send(request)

        def begin() -> None:
            broken = fleet.struck and fleet.rng.random() < leaves
            step(next(numbers), 1, length - 1 if broken else length)
            fleet.loop.after(fleet.rng.expovariate(fleet.usual_rate(fleet.loop.now) / length), begin)

        fleet.loop.after(0.1, begin)
        return []

    return Play(
        replace(setup, users=users),
        lambda fleet: None,
        notes=f"{leaves:.0%} of the clients leave without the end of their sequence",
    )


def cache_cold(rng: random.Random) -> Play:
    popular, hit = rng.randint(20, 80), rng.uniform(0.8, 0.995)
    setup = draw_setup(rng, batching=False, busy=(0.6, 0.85), model={"cache_entries": 5000})

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            unique = fleet.struck or dice.random() > hit
            request.key = dice.randrange(1000, 2**40) if unique else dice.randrange(popular)

        return [Stream(setup.model, fleet.usual_rate, shape)]

    return Play(replace(setup, users=users), lambda fleet: None, notes="every request became unique")


def new_shape(rng: random.Random) -> Play:
    share = rng.uniform(0.01, 0.03)
    model = {"max_batch_size": 64, "shapes": (1, 2, 4), "build_seconds": rng.uniform(2, 12)}
    setup = draw_setup(rng, batching=False, busy=(0.15, 0.35), model=model)
    model_now = asked_model(setup)
    slope = replace(model_now.service, per_item_ms=model_now.service.base_ms * 0.02)
    setup = replace(setup, template=replace(setup.template, models=(replace(model_now, service=slope),)))

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            new = fleet.struck and dice.random() < share
            request.items = dice.randrange(5, 64) if new else dice.choice((1, 1, 1, 2, 4))

        return [Stream(setup.model, fleet.usual_rate, shape)]

    return Play(replace(setup, users=users), lambda fleet: None, notes="batch sizes that nobody sent before")


def preserve_ordering(rng: random.Random) -> Play:
    share, weight = rng.uniform(0.02, 0.04), rng.uniform(10, 20)
    setup = draw_setup(rng, batching=True, busy=(0.15, 0.3), instances=(3, 5), pods=(2, 4))

    def shape(request: Request, dice: random.Random) -> None:
        request.weight = weight if dice.random() < share else 1.0

    ordered = replace(asked_model(setup), preserve_ordering=True)
    return Play(
        replace(setup, shape=shape), at_onset(lambda fleet: fleet.reconfigure(ordered)), notes="ordering was asked for"
    )


def retry_storm(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, busy=(0.5, 0.65), pods=(2, 6))
    alone = asked_model(setup).service.mean_ms() / 1000
    gateway = replace(
        setup.gateway, timeout_seconds=max(1.0, alone * rng.uniform(6, 10)), tries=rng.randint(3, 4), retries_timeouts=True
    )
    lasts = rng.uniform(90, 180) + gateway.timeout_seconds * 4

    def fault(fleet: Fleet) -> None:
        def slow(factor: float) -> None:
            for pod in fleet.pods:
                pod.factor = factor

        fleet.loop.at(fleet.onset, slow, rng.uniform(3, 6))
        fleet.loop.at(fleet.onset + lasts, slow, 1.0)

    return Play(replace(setup, gateway=gateway), fault, notes=f"a slow spell of {lasts:.0f} s; retries kept it going")


def shed_load(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, gateway={"tries": 3})
    short = replace(asked_model(setup), max_queue_size=rng.randint(2, 8) * asked_model(setup).instances)
    setup = replace(setup, template=replace(setup.template, models=(short,)))
    return Play(setup, loaded_to(setup, rng.uniform(1.2, 1.8)), OVERLOAD, "a bounded queue refuses the rest")


def silent_errors(rng: random.Random) -> Play:
    share = rng.uniform(0.08, 0.35)
    setup = draw_setup(rng, busy=(0.2, 0.35), gateway={"tries": 3, "retries_on": frozenset({500, 502, 503})})

    def fault(fleet: Fleet) -> None:
        for pod in fleet.pods:
            pod.server.models[setup.model].defects.error_responses = share

    return Play(setup, at_onset(fault), notes=f"the model answers {share:.0%} of the requests with an error of its own")


def hang(rng: random.Random) -> Play:
    setup = draw_setup(rng)
    share = rng.choice((0.01, 0.5, 1.0))

    def fault(fleet: Fleet) -> None:
        for pod in some(rng, fleet, share):
            pod.server.models[setup.model].defects.hung = True

    return Play(setup, at_onset(fault), notes="executions that never end")


def backend_process_dead(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=False, busy=(0.15, 0.3), gateway={"tries": 2, "retries_on": frozenset({500, 502, 503})})
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
    setup = draw_setup(rng, batching=False, busy=(0.3, 0.45), instances=(1, 2))
    last = asked_model(setup)
    light = Service(last.service.base_ms * rng.uniform(0.1, 0.3), sigma=0.1, input_ms=0.3, cpu_threads=0.5)
    parts = [Model("preprocess", light), replace(last, name="encoder"), Model("postprocess", replace(light, sigma=0.2))]
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
    setup = draw_setup(rng, gpu=True, batching=False, instances=(1, 1), pods=(2, 4), rate=(1.5, 4.0), busy=(0.3, 0.5))
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
    batch_delay,
    batcher_lost_wakeup,
    batcher_counter_drift,
    mixed_request_sizes,
    priority_starvation,
    sequence_slots,
    cache_cold,
    new_shape,
    preserve_ordering,
    retry_storm,
    shed_load,
    silent_errors,
    hang,
    backend_process_dead,
    pipeline_bottleneck,
    kv_cache_saturated,
)
