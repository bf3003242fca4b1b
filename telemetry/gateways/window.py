"""What gateways did for a target in a window, out of the raw samples of their series and the times at which each was scraped.

Pure. Each instance has a window of its own that ends with its newest scrape, so that how late Prometheus looks changes no rate. A
series that is born on an instance which had been scraped before counts from zero: gateways show a series from its first request
on, and PromQL's `increase` would not count it, which is the request that a fleet at zero has to wake for. One that takes over from
another at once is that one under other labels, and goes on from there. A series that is there in an instance's first scrape has a
past that nobody knows: before it, as many requests a second are assumed as after it, and no more than the counter shows. So
gateways that are all replaced at once do not look idle.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

Instance = tuple[str, ...]
"""The values of the labels that tell one gateway from another."""
Replica = tuple[str, ...]
"""The values of the labels that tell Prometheus servers apart which scrape the same."""
Scrapes = Mapping[tuple[Instance, Replica], Sequence[float]]
"""When each gateway was scraped by each Prometheus, rising, by Prometheus' clock."""
Samples = Sequence[tuple[float, float]]


class Target(NamedTuple):
    """Whose requests: a workload, and what the gateway calls it."""

    namespace: str
    workload: str
    service: str


class Standing(StrEnum):
    ANSWERED = "answered"
    SILENT = "silent"
    """It is among Prometheus' targets, and has no fresh sample."""
    DEPARTED = "departed"
    """Prometheus has dropped it."""


@dataclass(frozen=True, slots=True)
class TargetSeries:
    """One series of requests, or of a bucket where `bound` (milliseconds) is given."""

    target: Target
    instance: Instance
    replica: Replica
    samples: Samples
    """Of a counter, by Prometheus' clock, rising in time."""
    code: str = ""
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceWindow:
    """One gateway: from `begin` to `end` (scrapes, by Prometheus' clock) its counters are compared; rates are of `seconds`."""

    instance: Instance
    replica: Replica
    standing: Standing
    begin: float
    end: float
    seconds: float
    newest: float
    """Its newest scrape."""
    young: bool = False
    """It was never scraped before `begin`, which lies in the window."""
    scrapes: Sequence[float] = field(default=(), repr=False)
    """All that are known, rising."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one gateway did for a target: requests a second, and by code."""

    window: InstanceWindow
    requests: float
    """Those that are assumed before its first scrape are among them, and in no code."""
    codes: Mapping[str, float]
    unknown: float = 0.0
    """As many a second at most, of one that was scraped once only."""


@dataclass(frozen=True, slots=True)
class TargetWindow:
    """`seen`: a gateway that has not departed shows a series of the target in this window."""

    shares: Sequence[Share]
    seen: bool
    histograms: Sequence[Mapping[float, float]] = ()
    """By bound (milliseconds) how many requests a second took no more; one of all gateways that have the same bounds."""
    stranger: Instance | None = None
    """Tells of the target, and is none of the gateways: what it counted is in no share."""

    @property
    def oldest(self) -> InstanceWindow | None:
        """Of the gateways that are there, the one whose newest scrape is oldest; None where none is there."""
        there = [share.window for share in self.shares if share.window.standing is not Standing.DEPARTED]
        return min(there, key=lambda window: window.newest, default=None)

    @property
    def untold(self) -> InstanceWindow | None:
        """A gateway that was scraped once, at all or since a silence, and has no like: what it does now nobody knows."""
        return next(
            (
                share.window
                for share in self.shares
                if (share.codes and share.window.seconds <= 0) or (share.unknown and not self._typical)
            ),
            None,
        )

    @property
    def _typical(self) -> float:
        """Requests a second of a gateway that answers; 0 where none can be compared with itself."""
        known = [s.requests for s in self.shares if s.window.standing is Standing.ANSWERED and not s.unknown]
        return sum(known) / len(known) if known else 0.0

    @property
    def contributions(self) -> Sequence[float]:
        """What each share counts as, in requests a second. A gateway that is silent counts as the larger of its own last rate and
        the mean of the others: a partial outage never lowers the sum. One that was scraped once counts as that mean, or as all that
        it shows."""
        typical = self._typical
        return [
            max(share.requests, typical)
            if share.window.standing is Standing.SILENT
            else share.requests + min(share.unknown, typical)
            for share in self.shares
        ]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return sum(self.contributions)


def instance_windows(
    scrapes: Scrapes,
    kept: frozenset[Instance],
    earlier: frozenset[Instance],
    at: float,
    seconds: float,
    fresh_seconds: float,
) -> Sequence[InstanceWindow]:
    """A window of `seconds` for each gateway that was scraped lately, by one Prometheus alone where several scrape it. `kept`:
    those that are among Prometheus' targets at `at`; `earlier`: those that it scraped before all that `scrapes` tells."""
    found: dict[Instance, list[tuple[bool, float, Replica]]] = defaultdict(list)
    for (instance, replica), times in scrapes.items():
        if times:
            found[instance].append((times[0] <= times[-1] - seconds, times[-1], replica))
    windows = []
    for instance, seen in sorted(found.items()):
        _, newest, replica = max(seen)
        absent = Standing.SILENT if instance in kept else Standing.DEPARTED
        standing = Standing.ANSWERED if newest >= at - fresh_seconds else absent
        end = at if standing is Standing.DEPARTED else newest
        times = scrapes[instance, replica]
        before = [time for time in times if time <= end - seconds]
        begin, span = (before or times[:1])[-1], seconds
        young = not before and instance not in earlier
        if standing is not Standing.DEPARTED and not young:
            # One that is back after a silence is no younger than it was: its rate is of the time since then.
            span = end - begin
        windows.append(InstanceWindow(instance, replica, standing, begin, end, span, newest, young, times))
    return windows


def covered(scrapes: Scrapes, at: float, seconds: float) -> bool:
    """Whether some gateway, be it gone by now, was scraped at the beginning of the window: else nobody saw what happened then."""
    return any(times and times[0] <= at - seconds for times in scrapes.values())


def increase(samples: Samples, begin: float, end: float) -> float:
    """By how much a counter rose from `begin` to `end`, scrapes of its instance; not there at `begin`, it began at zero."""
    before = [value for time, value in samples if time <= begin]
    inside = [value for time, value in samples if begin < time <= end]
    last = before[-1] if before else 0.0
    total = 0.0
    for value in inside:
        total += value - last if value >= last else value
        last = value
    return total


def target_windows(
    windows: Sequence[InstanceWindow],
    series: Iterable[TargetSeries],
    targets: Iterable[Target],
) -> Mapping[Target, TargetWindow]:
    """Each target's window, with the gateways that answer, and others that told of it. Series of instances without a window, and
    what another Prometheus tells of one, are left out."""
    of_instance = {window.instance: window for window in windows}
    strangers: dict[Target, Instance] = {}
    counted = {(window.instance, window.replica): window for window in windows}
    codes: dict[tuple[Target, Instance], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    buckets: dict[tuple[Target, Instance], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    first: dict[tuple[Target, Instance], float] = defaultdict(float)
    seen: set[Target] = set()
    alike: dict[tuple[Target, Instance, str, float | None], list[Samples]] = defaultdict(list)
    for one in series:
        if one.instance not in of_instance:
            strangers[one.target] = min(one.instance, strangers.get(one.target, one.instance))
        window = counted.get((one.instance, one.replica))
        if window is None or not one.samples:
            continue
        if one.bound is None and window.standing is not Standing.DEPARTED and _shown(one.samples, window):
            seen.add(one.target)
        alike[one.target, one.instance, one.code, one.bound].append(one.samples)
        if one.bound is None:
            first[one.target, one.instance] += _at(one.samples, window.begin)
    for (target, instance, code, bound), counters in alike.items():
        window = of_instance[instance]
        rate = _increase_of_all(counters, window) / (window.seconds or 1.0)
        if bound is None:
            codes[target, instance][code] = rate
        else:
            buckets[target, instance][bound] = rate
    # One for all targets: in a mesh each of thousands of proxies answers, and tells of a few.
    nothing = {window.instance: Share(window, 0.0, {}) for window in windows}

    def shares(target: Target) -> Iterable[Share]:
        for window in windows:
            key = target, window.instance
            if key in codes:
                yield _share(window, codes[key], first[key])
            elif window.standing is Standing.ANSWERED:
                yield nothing[window.instance]

    def histograms(target: Target) -> Iterable[Mapping[float, float]]:
        return _pooled(buckets[key] for window in windows if (key := (target, window.instance)) in buckets)

    return {
        target: TargetWindow(
            list(shares(target)), target in seen, list(histograms(target)), strangers.get(target)
        )
        for target in targets
    }


def _increase_of_all(counters: Sequence[Samples], window: InstanceWindow) -> float:
    """Of one gateway's counters of one meaning. Some that end with one scrape while others begin with the next, no lower in sum,
    are the same ones: Prometheus was told to label its target otherwise, or writes `le` in another way, and from zero on they
    would count all that the gateway ever did."""
    begin, end = window.begin, window.end
    total = sum(increase(samples, begin, end) for samples in counters)
    for birth in {samples[0][0] for samples in counters if begin < samples[0][0] <= end}:
        before = bisect_left(window.scrapes, birth) - 1
        ended = sum(s[-1][1] for s in counters if before >= 0 and s[-1][0] == window.scrapes[before])
        born = sum(samples[0][1] for samples in counters if samples[0][0] == birth)
        total -= ended if born >= ended else 0.0
    return total


def _pooled(histograms: Iterable[Mapping[float, float]]) -> Iterable[Mapping[float, float]]:
    found: dict[frozenset[float], dict[float, float]] = {}
    for one in histograms:
        sums = found.setdefault(frozenset(one), dict.fromkeys(one, 0.0))
        for bound, count in one.items():
            sums[bound] += count
    return found.values()


def _share(window: InstanceWindow, codes: Mapping[str, float], first: float) -> Share:
    """`first`: what a gateway's counters showed in its first scrape."""
    since, compared = sum(codes.values()), window.end - window.begin
    assumed = unknown = 0.0
    if window.young and window.standing is not Standing.DEPARTED:
        most = first / window.seconds
        if compared > 0:
            assumed = min(most, since * (window.seconds - compared) / compared)
        else:
            unknown = most
    return Share(window, since + assumed, dict(codes), unknown)


def _at(samples: Samples, second: float) -> float:
    """The counter by then; not there yet, it was zero."""
    return next((value for time, value in reversed(samples) if time <= second), 0.0)


def _shown(samples: Samples, window: InstanceWindow) -> bool:
    return any(window.begin <= time <= window.end for time, _ in samples)
