"""What stands between users and servers, and what it can do to latency."""

import random
from dataclasses import replace

from tests.fleetsim.drawing import Play, asked_model, at_onset, draw_setup
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.models import Request
from tests.fleetsim.setup import Stream


def payload_or_network(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.15, 0.35))
    alone = asked_model(setup).service.mean_ms() / 1000
    speed = 10 ** rng.uniform(6.5, 8)
    large = rng.uniform(1.5, 5) * max(alone, 0.1) * speed
    share = rng.choice((0.05, 0.3, 1.0))

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            much = fleet.struck and dice.random() < share
            request.bytes = (large if much else 20_000) * dice.uniform(0.7, 1.3)

        return [Stream(setup.model, fleet.usual_rate, shape)]

    def fault(fleet: Fleet) -> None:
        for pod in fleet.pods:
            pod.front.bytes_per_second = speed

    notes = f"{share:.0%} of the requests became {large / 1e6:.1f} MB, on {speed / 1e6:.0f} MB/s"
    return Play(replace(setup, users=users), fault, notes=notes)


def gateway_fault(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.2, 0.4))
    alone = asked_model(setup).service.mean_ms() / 1000
    needed = setup.rate * (1 - setup.swing) * alone
    if rng.random() < 0.5 and needed >= 1.5:
        pool = max(1, int(needed * rng.uniform(0.8, 1.0)))

        def fault(fleet: Fleet) -> None:
            fleet.gateway.settings.pool = pool

        return Play(setup, at_onset(fault), notes=f"a pool of {pool} requests where {needed:.1f} are needed")
    own = max(alone * 1000, 100) * rng.uniform(1.0, 4)

    def slow(fleet: Fleet) -> None:
        fleet.gateway.settings.own_ms = own

    return Play(setup, at_onset(slow), notes=f"the gateway itself takes {own:.0f} ms")


def sticky_balancing(rng: random.Random) -> Play:
    setup = draw_setup(
        rng, busy=(0.4, 0.55), pods=(4, 8), batching=False, gateway={"balancing": "sticky", "tries": 1}
    )
    heavy = rng.sample(range(200), rng.randint(1, 2))
    share = rng.uniform(0.65, 0.85)

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            if fleet.struck and dice.random() < share:
                request.client = dice.choice(heavy)

        return [Stream(setup.model, fleet.usual_rate, shape)]

    return Play(
        replace(setup, users=users),
        lambda fleet: None,
        notes=f"{share:.0%} of the load comes from {len(heavy)} clients",
    )


def dns_slow(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.15, 0.35))
    share, slow = rng.uniform(0.05, 0.5), rng.uniform(400, 3000)

    def fault(fleet: Fleet) -> None:
        fleet.dns_ms = slow * 2

        def connect() -> float:
            return fleet.rng.expovariate(1 / slow) if fleet.rng.random() < share else 0.0

        fleet.gateway.connect_ms = connect

    return Play(
        setup,
        at_onset(fault),
        notes=f"{share:.0%} of the requests look the name up, {slow:.0f} ms in the mean",
    )


def network_loss(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.05, 0.12), instances=(1, 2), rate=(10, 20), pods=(3, 6), batching=False)
    loss = rng.uniform(0.1, 0.4)
    wide = rng.random() < 0.4

    def fault(fleet: Fleet) -> None:
        for node in fleet.nodes if wide else [fleet.rng.choice(fleet.nodes)]:
            node.loss, node.retransmits = loss, rng.uniform(15, 80)

    return Play(setup, at_onset(fault), notes=f"{loss:.0%} of the requests lose a segment")


CAUSES = (
    payload_or_network,
    gateway_fault,
    sticky_balancing,
    dns_slow,
    network_loss,
)
