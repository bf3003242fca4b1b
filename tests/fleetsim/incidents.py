"""Incidents with known causes: a fleet is simulated, something happens to it, and the evidence is what a triage would see."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.fleetsim import (
    causes_of_fleets,
    causes_of_hosts,
    causes_of_load,
    causes_of_mixes,
    causes_of_networks,
    causes_of_schedulers,
    no_fault,
)
from tests.fleetsim.drawing import Play
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.observe import DAY, observe
from triage.evidence import Snapshot

Cause = Callable[[random.Random], Play]


@dataclass(frozen=True)
class Incident:
    label: str
    """The category that is true."""
    snapshot: Snapshot
    onset_at: float
    """When it was done, in seconds since 1970; what is seen of it can begin later."""
    also_accepted: frozenset[str]
    """Categories that are true as well."""
    notes: str


def _named(*causes: Cause) -> dict[str, Cause]:
    return {cause.__name__: cause for cause in causes}


CAUSES: Mapping[str, Cause] = {
    **_named(
        *causes_of_load.CAUSES,
        *causes_of_schedulers.CAUSES,
        *causes_of_hosts.CAUSES,
        *causes_of_networks.CAUSES,
        *causes_of_fleets.CAUSES,
        *causes_of_mixes.CAUSES,
    ),
    **_named(*no_fault.CAUSES),
}
"""By category."""


def incident(
    cause: str,
    seed: int,
    *,
    decoy: bool = False,
    loud_neighbour: bool = False,
    past: tuple[int, ...] = (1, 7),
) -> Incident:
    """One case of a cause. `decoy`: an innocent rollout ended shortly before; `loud_neighbour`: somebody is busy on a node and
    takes nothing away; `past`: the days ago whose same hour is simulated too."""
    play = CAUSES[cause](random.Random(f"{cause} {seed}"))
    fleet = play_out(play, decoy=decoy, loud_neighbour=loud_neighbour)
    earlier = [play_out(play, ago=days * DAY) for days in past]
    return Incident(
        label=cause,
        snapshot=play.seen(observe(fleet, earlier)),
        onset_at=play.setup.onset,
        also_accepted=play.also_accepted,
        notes=play.notes,
    )


def play_out(play: Play, *, ago: float = 0.0, decoy: bool = False, loud_neighbour: bool = False) -> Fleet:
    """The fleet when its time has run out; of an earlier day it is the fleet without the fault."""
    fleet = Fleet(play.setup, ago, faulty=not ago or play.every_day)
    if fleet.faulty:
        play.fault(fleet)
    if decoy:
        _add_decoy(fleet)
    if loud_neighbour:
        _add_neighbour(fleet)
    fleet.run()
    return fleet


def _add_decoy(fleet: Fleet) -> None:
    """A rollout of pods like the old ones, that has ended when the incident begins."""
    load_seconds = min(fleet.template.load_seconds, 30 / len(fleet.pods))
    takes = load_seconds * 1.3 * len(fleet.pods) + 2 * len(fleet.pods)
    begins = fleet.onset - takes - fleet.rng.uniform(20, 540)
    changes = fleet.rng.choice(
        (("env LOG_FORMAT changed",), ("label team: a -> b",), ("image of sidecar: v1.2 -> v1.3",))
    )

    def roll() -> None:
        usual = fleet.template
        fleet.rollout(changes, replace(usual, load_seconds=load_seconds))
        fleet.template = usual

    fleet.loop.at(begins, roll)


def _add_neighbour(fleet: Fleet) -> None:
    def grow() -> None:
        node = fleet.rng.choice(fleet.nodes)
        room = node.cores * 0.9 - node.pods_cores * 1.6
        node.neighbour_cores = max(node.neighbour_cores, min(room, node.cores * fleet.rng.uniform(0.5, 0.7)))

    fleet.loop.at(fleet.onset - fleet.rng.uniform(-120, 600), grow)
