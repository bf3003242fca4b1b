"""What batchers, queues, sequences and caches can do to a fleet's latency."""

import itertools
import random
from dataclasses import replace

from tests.fleetsim.drawing import Play, asked_model, at_onset, capacity, draw_setup
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.models import Request
from tests.fleetsim.setup import Stream

OVERLOAD = frozenset({"overload"})


def batch_delay(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=True, busy=(0.1, 0.3))
    alone = asked_model(setup).service.mean_ms()
    delay = max(alone * rng.uniform(1.0, 4.0), 60.0)
    waits = replace(asked_model(setup), max_queue_delay_ms=delay)
    return Play(
        setup,
        at_onset(lambda fleet: fleet.reconfigure(waits)),
        notes=f"max_queue_delay became {delay:.0f} ms",
    )


def batcher_lost_wakeup(rng: random.Random) -> Play:
    policy = {"max_queue_size": 1000, "lost_wakeups": rng.uniform(0.15, 0.4)}
    setup = draw_setup(rng, batching=True, busy=(0.05, 0.12), instances=(1, 2), model=policy)
    burst = setup.pods * rng.randint(3, 5)

    def users(fleet: Fleet) -> list[Stream]:
        calm = lambda now: fleet.usual_rate(now) * (0.4 if fleet.struck else 1.0)  # noqa: E731
        rush = lambda now: 0.6 * fleet.usual_rate(now) / burst if fleet.struck else 0.0  # noqa: E731
        return [Stream(setup.model, calm), Stream(setup.model, rush, burst=burst)]

    return Play(
        replace(setup, users=users),
        lambda fleet: None,
        frozenset({"micro_bursts"}),
        "bursts meet a queue policy",
    )


def batcher_counter_drift(rng: random.Random) -> Play:
    setup = draw_setup(
        rng,
        batching=True,
        instances=(3, 5),
        pods=(2, 3),
        rate=(12, 20),
        model={"max_batch_size": 4},
        swing=0.1,
    )
    model = asked_model(setup)
    # So busy that it needs more than the one instance that is left in the end.
    slower = rng.uniform(0.4, 0.55) * capacity(setup) / setup.rate
    service = replace(
        model.service,
        base_ms=model.service.base_ms * slower,
        per_item_ms=model.service.per_item_ms * slower,
    )
    drifts = replace(
        model,
        service=service,
        queue_timeout_ms=service.mean_ms(model.max_batch_size) * rng.uniform(2.5, 4),
        max_queue_delay_ms=rng.uniform(1, 5),
        drift=rng.uniform(0.03, 0.1),
    )
    setup = replace(setup, template=replace(setup.template, models=(drifts,)))
    rush = round(setup.pods * model.instances * model.max_batch_size * rng.uniform(5, 7))

    def users(fleet: Fleet) -> list[Stream]:
        now_and_then = lambda now: 1 / 90 if fleet.struck else 0.0  # noqa: E731
        return [Stream(setup.model, fleet.usual_rate), Stream(setup.model, now_and_then, burst=rush)]

    return Play(
        replace(setup, users=users),
        lambda fleet: None,
        notes="each rush has timeouts, and some of them cost an instance",
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

    return Play(
        replace(setup, users=users),
        lambda fleet: None,
        notes=f"{share:.0%} of the requests weigh {weight:.0f}",
    )


def priority_starvation(rng: random.Random) -> Play:
    setup = draw_setup(rng, batching=False, busy=(0.4, 0.55), model={"priority_levels": 2}, grows=True)
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
                fleet.send(
                    request, on_end=lambda status: fleet.loop.after(pause, step, sequence, number + 1, last)
                )
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
    popular, hit = rng.randint(20, 80), rng.uniform(0.9, 0.998)
    setup = draw_setup(rng, batching=False, busy=(0.85, 0.97), model={"cache_entries": 5000}, swing=0.05)

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
    share, weight = rng.uniform(0.002, 0.006), rng.uniform(15, 30)
    setup = draw_setup(rng, batching=True, busy=(0.15, 0.3), instances=(3, 5), pods=(2, 4))

    def shape(request: Request, dice: random.Random) -> None:
        request.weight = weight if dice.random() < share else 1.0

    ordered = replace(asked_model(setup), preserve_ordering=True)
    return Play(
        replace(setup, shape=shape),
        at_onset(lambda fleet: fleet.reconfigure(ordered)),
        notes="ordering was asked for",
    )


CAUSES = (
    batch_delay,
    batcher_lost_wakeup,
    batcher_counter_drift,
    mixed_request_sizes,
    priority_starvation,
    sequence_slots,
    cache_cold,
    new_shape,
    preserve_ordering,
)
