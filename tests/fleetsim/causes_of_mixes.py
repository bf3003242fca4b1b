"""What a change in who is asked, or in how much a request holds, can do to a fleet's latency."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.fleetsim.drawing import Play, asked_model, draw_setup
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.models import Model, Request, Service
from tests.fleetsim.setup import Setup, Stream

CAPTION_BYTES = 600.0


def model_mix(rng: random.Random) -> Play:
    """Both models share the pods' cores, or their GPU, and the other one's users send all that it can do."""
    on_gpu = rng.random() < 0.5
    setup = draw_setup(rng, gpu=on_gpu, batching=False, busy=(0.2, 0.35), instances=(1, 2), pods=(2, 6))
    crowd, share = rng.uniform(1.6, 2.2), rng.uniform(0.85, 1.1)
    setup, other = with_another_model(setup, rng, crowd)

    def slow(fleet: Fleet) -> None:
        for pod in fleet.pods:  # kernels of both take turns
            pod.factor = crowd

    def fault(fleet: Fleet) -> None:
        if on_gpu:
            fleet.loop.at(fleet.onset, slow, fleet)

    users = users_of_both(setup, other, rng.uniform(0.08, 0.15), share)
    notes = f"{other.name} is asked for {share:.0%} of what it can do; both run {crowd:.1f} times slower"
    return Play(replace(setup, users=users), fault, notes=notes)


def with_another_model(setup: Setup, rng: random.Random, crowd: float) -> tuple[Setup, Model]:
    """Another model beside it. Where both run on cores, with all instances at work they want `crowd` times those that there are."""
    mine = asked_model(setup)
    other = Model(
        name="captioner",
        service=Service(
            mine.service.base_ms * rng.uniform(0.5, 2),
            sigma=0.15,
            cpu_threads=mine.service.cpu_threads * rng.uniform(0.8, 1.5),
            gpu_share=0.8,
        ),
        instances=mine.instances * 2,
    )
    template = replace(setup.template, models=(mine, other))
    setup = replace(setup, template=template, autoscaler=None, nodes=setup.pods)
    if not template.gpus:
        wanted = sum(model.instances * model.service.cpu_threads for model in (mine, other))
        setup = replace(setup, node_cores=wanted / crowd)
    return setup, other


def users_of_both(setup: Setup, other: Model, before: float, share: float) -> Callable[[Fleet], list[Stream]]:
    """`before` and `share`: of what the other model can do, until the onset and from then on."""

    def users(fleet: Fleet) -> list[Stream]:
        most = other.capacity() * setup.pods
        rate = lambda now: most * (share if fleet.struck else before)  # noqa: E731
        return [Stream(setup.model, fleet.usual_rate), Stream(other.name, rate, shape=_caption)]

    return users


def _caption(request: Request, rng: random.Random) -> None:
    request.bytes = CAPTION_BYTES


def larger_requests(rng: random.Random) -> Play:
    batching = rng.random() < 0.5
    setup = draw_setup(rng, batching=batching, busy=(0.08, 0.16), instances=(1, 3), pods=(2, 6))
    mine = asked_model(setup)
    alone = mine.service.base_ms + mine.service.per_item_ms
    items = rng.randint(3, 8)
    service = replace(mine.service, base_ms=alone * 0.3, per_item_ms=alone * 0.7)
    # Most of the time goes by inferences, so that more of them take as much longer.
    model = replace(mine, service=service, max_batch_size=16)
    setup = replace(setup, template=replace(setup.template, models=(model,)), autoscaler=None)

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            request.items = max(1, round(dice.gauss(items, 1))) if fleet.struck else 1
            request.bytes = 4000.0 * request.items

        return [Stream(setup.model, fleet.usual_rate, shape)]

    notes = f"each request has about {items} inferences instead of one"
    return Play(replace(setup, users=users), lambda fleet: None, notes=notes)


CAUSES = (model_mix, larger_requests)
