"""Cases in which nothing is broken, and those whose evidence does not tell what is."""

import random
from collections.abc import Callable
from dataclasses import replace

from tests.fleetsim import causes_of_hosts, causes_of_load, causes_of_networks
from tests.fleetsim.drawing import Play, capacity, draw_setup, loaded_to
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.observe import without
from tests.fleetsim.setup import Stream

OVERLOAD = frozenset({"overload"})


def load_test(rng: random.Random) -> Play:
    setup = draw_setup(rng, grows=True)
    direct = rng.random() < 0.6
    lasts = rng.uniform(9, 30) * 60
    more = capacity(setup) * rng.uniform(1.02, 1.25) - setup.rate

    def users(fleet: Fleet) -> list[Stream]:
        def rate(now: float) -> float:
            return more if fleet.struck and now < fleet.onset + lasts else 0.0

        return [
            Stream(setup.model, fleet.usual_rate),
            Stream(setup.model, rate, direct=direct, constant=True),
        ]

    also = OVERLOAD | ({"recovered"} if setup.onset + lasts < setup.end - 300 else frozenset())
    return Play(replace(setup, users=users), lambda fleet: None, also,
                f"{more:.0f} requests/s at even distances, {'past' if direct else 'through'} the gateway")  # fmt: skip


def recovered(rng: random.Random) -> Play:
    setup = draw_setup(rng, onset_minutes=(28.0, 40.0), busy=(0.2, 0.4), grows=True)
    lasts = rng.uniform(240, 480)
    if rng.random() < 0.5:
        share = rng.uniform(1.1, 1.25)
        more = share * capacity(setup)

        def spell(fleet: Fleet) -> None:
            usual = more / fleet.usual_rate(fleet.onset)
            fleet.load_factor = lambda now: usual if 0 <= now - fleet.onset < lasts else 1.0

        return Play(setup, spell, notes=f"too much load for {lasts:.0f} s")
    factor = rng.uniform(2.0, 3.0)

    def slow(fleet: Fleet) -> None:
        def to(value: float) -> None:
            for pod in fleet.pods:
                pod.factor = value

        fleet.loop.at(fleet.onset, to, factor)
        fleet.loop.at(fleet.onset + lasts, to, 1.0)

    return Play(setup, slow, notes=f"{factor:.1f} times slower for {lasts:.0f} s")


def bad_alert_rule(rng: random.Random) -> Play:
    return Play(draw_setup(rng), lambda fleet: None, notes="nothing moved")


def usual_for_this_hour(rng: random.Random) -> Play:
    setup = draw_setup(rng, grows=True)
    return Play(setup, loaded_to(setup, rng.uniform(0.95, 1.1)), notes="the same load at the same hour of each day",
                every_day=True)  # fmt: skip


UNTOLD: tuple[tuple[Callable[[random.Random], Play], tuple[str, ...]], ...] = (
    # Nothing in Triton moves, and nobody saw what its clients saw.
    (causes_of_networks.gateway_fault, ("gateway",)),
    (causes_of_networks.dns_slow, ("gateway", "platform")),
    # The model takes longer: for which of many reasons, only the platform knows.
    (causes_of_hosts.gpu_clocks, ("platform", "kubernetes", "repository")),
    (causes_of_hosts.storage_slow, ("platform", "kubernetes", "repository")),
    # Nobody measured anything.
    (causes_of_load.overload, ("prometheus", "live")),
)


def cannot_tell(rng: random.Random) -> Play:
    cause, sources = rng.choice(UNTOLD)
    play = cause(rng)
    return replace(
        play,
        also_accepted=frozenset(),
        notes=f"{cause.__name__} without {', '.join(sources)}: {play.notes}",
        seen=lambda snapshot: without(snapshot, *sources),
    )


CAUSES = (
    load_test,
    recovered,
    bad_alert_rule,
    usual_for_this_hour,
    cannot_tell,
)
