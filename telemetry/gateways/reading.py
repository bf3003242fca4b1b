"""What one tick told of the gateways, as what answers are made of. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from telemetry.gateways.window import (
    Instance,
    Scrapes,
    Standing,
    Target,
    TargetSeries,
    TargetWindow,
    covered,
    instance_windows,
    target_windows,
)


@dataclass(frozen=True, slots=True)
class Told:
    """The answers to one tick's queries, all at second `at` of Prometheus' clock; `ahead`: what our monotonic clock shows more."""

    at: float
    ahead: float
    scrapes: Scrapes
    twice: frozenset[Instance]
    """Names that stand for two gateways, or for one that two Prometheus servers scrape which no label tells apart."""
    kept: frozenset[Instance]
    """Those that are among Prometheus' targets, whether it can scrape them or not."""
    earlier: frozenset[Instance]
    """Those that it scraped before all that `scrapes` tells."""
    series: Sequence[TargetSeries]
    active: Sequence[tuple[Target, float]]
    """Requests that wait for an answer now, of each gateway that tells."""
    listed: frozenset[tuple[Target, Instance]]
    """Which gateway shows now that it knows which target, before there is a request."""
    lost: Sequence[tuple[Target, Instance]]
    """Who told of a target, is among Prometheus' targets, and has no scrape in `scrapes`."""


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """What was read in one tick. Times of scrapes are Prometheus'; `ahead`: what our monotonic clock shows more."""

    ahead: float
    covered: Mapping[float, bool]
    """By window, in seconds: whether it was seen from its beginning."""
    windows: Mapping[float, Mapping[Target, TargetWindow]]
    listed: frozenset[Target]
    """Targets that a gateway which answers lists now."""
    active: Mapping[Target, float]
    """Requests that wait for an answer now at all gateways, where they tell."""
    without_buckets: frozenset[Target] = field(default_factory=frozenset)
    lost: Mapping[Target, Instance] = field(default_factory=dict)
    """A gateway that told of the target, is kept as a target, and has no sample in what was read."""
    twice: Mapping[Target, Instance] = field(default_factory=dict)
    """A name that tells of the target, and counts its requests more than once."""
    unkept: bool = False
    """Gateways answer, and Prometheus shows of none that it is a target: none would be silent, only gone."""


def make_reading(
    told: Told, targets: Sequence[Target], windows: Collection[float], fresh_seconds: float
) -> GatewayReading:
    """For windows of these seconds; a gateway is there if it was scraped within `fresh_seconds`."""
    instances = {
        seconds: instance_windows(told.scrapes, told.kept, told.earlier, told.at, seconds, fresh_seconds)
        for seconds in windows
    }
    there = {instance for instance, _ in told.scrapes} | {one.instance for one in told.series}
    answering = {
        window.instance
        for found in instances.values()
        for window in found
        if window.standing is Standing.ANSWERED
    }
    active: dict[Target, float] = {}
    for target, number in told.active:
        active[target] = active.get(target, 0.0) + number
    with_buckets = {one.target for one in told.series if one.bound is not None}
    return GatewayReading(
        ahead=told.ahead,
        covered={seconds: covered(told.scrapes, told.at, seconds) for seconds in windows},
        windows={
            seconds: target_windows(found, told.series, targets) for seconds, found in instances.items()
        },
        listed=frozenset(target for target, instance in told.listed if instance in answering),
        active=active,
        without_buckets=frozenset(targets) - with_buckets,
        lost={target: instance for target, instance in told.lost if instance not in there},
        twice={one.target: one.instance for one in told.series if one.instance in told.twice},
        unkept=bool(answering) and not told.kept,
    )
