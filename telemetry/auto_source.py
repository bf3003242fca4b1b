"""Both sources at once: each pod scraped, and read from Prometheus, and the two compared.

Where the pod answers, its own pages count, as the newer ones; where it does not, those that Prometheus has of it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

import structlog

from telemetry.cross_check import CrossCheck, Samples, add_up
from telemetry.pod_state import PodState
from telemetry.prometheus_scrape import PrometheusScraper
from telemetry.scrape import Scraper
from telemetry.target import Phase, PodKey, Targets
from telemetry.two_sources import PROMETHEUS, SCRAPE, Ages, Compared, choose_pods
from telemetry.window import Families

LOOK_SECONDS: Final = 5.0
CHOSEN_SECONDS: Final = 0.25

log = structlog.get_logger(__name__)


class CrossChecks:
    """Of each pod of `targets` what a comparison of both sources found. `scraped` and `told` are handed every page."""

    def __init__(self, targets: Targets, families: Families) -> None:
        self._targets = targets
        self._counters = families.counters
        self._checks: dict[PodKey, CrossCheck] = {}
        self._said: frozenset[PodKey] = frozenset()

    def scraped(self, key: PodKey, at: float, page: Samples) -> None:
        self._checks.setdefault(key, CrossCheck()).scraped(at, add_up(page, self._counters))

    def told(self, key: PodKey, at: float, page: Samples) -> None:
        self._checks.setdefault(key, CrossCheck()).told(at, add_up(page, self._counters))

    def found(self) -> Mapping[PodKey, Compared]:
        return {key: Compared(check.difference, check.contradicted) for key, check in self._checks.items()}

    def tidy(self) -> None:
        """Forgets pods that are gone, and says of which pods the two began or ceased to tell different things."""
        current = self._targets.by_key
        self._checks = {key: check for key, check in self._checks.items() if key in current}
        apart = frozenset(key for key, check in self._checks.items() if check.contradicted)
        if apart != self._said:
            named = sorted(key.pod for key in apart)
            log.warning("sources_contradict", pods=named[:10], more=max(0, len(named) - 10))
        self._said = apart


@dataclass(frozen=True, slots=True)
class Overview:
    """Of the running pods, how many are read from which source, and how far the two are apart."""

    read_from: Mapping[str, int]
    """By source; of the others no sample stands."""
    compared: int
    contradicted: int
    difference: float | None
    """The largest of all pods, 0 to 1; None where none was compared."""


class AutoSource:
    """`scraper` and `prometheus` hand their pages to `checks`; `ages` are theirs. `clock` is monotonic."""

    reads_past = True

    def __init__(
        self,
        scraper: Scraper,
        prometheus: PrometheusScraper,
        checks: CrossChecks,
        ages: Ages,
        targets: Targets,
        clock: Callable[[], float],
    ) -> None:
        self._scraper = scraper
        self._prometheus = prometheus
        self._checks = checks
        self._ages = ages
        self._targets = targets
        self._clock = clock
        self._chosen: dict[str, tuple[float, Sequence[PodState]]] = {}

    @property
    def interval(self) -> float:
        """Seconds between two rounds of the slower one."""
        return max(self._scraper.interval, self._prometheus.interval)

    @property
    def alone(self) -> Mapping[str, Callable[[str], Iterable[PodState]]]:
        """Each source's own view of a namespace."""
        return {SCRAPE: self._scraper.pods, PROMETHEUS: self._prometheus.pods}

    @property
    def last_round_at(self) -> float | None:
        """Of the one that is further behind."""
        rounds = (self._scraper.last_round_at, self._prometheus.last_round_at)
        return None if None in rounds else min(at for at in rounds if at is not None)

    def pods(self, namespace: str) -> Iterable[PodState]:
        """As they were chosen at most `CHOSEN_SECONDS` ago: choosing takes longer than answering."""
        now = self._clock()
        at, pods = self._chosen.get(namespace, (-inf, ()))
        if now - at > CHOSEN_SECONDS:
            scraped, told = self._scraper.pods(namespace), self._prometheus.pods(namespace)
            pods = list(choose_pods(scraped, told, self._checks.found(), self._ages, now))
            self._chosen[namespace] = now, pods
            if not pods:  # whoever asks chooses the name
                del self._chosen[namespace]
        return pods

    def overview(self) -> Overview:
        """All pods that run, at this moment."""
        running = {key for key, target in self._targets.by_key.items() if target.phase is Phase.RUNNING}
        states = [state for namespace in {key.namespace for key in running} for state in self.pods(namespace)]
        answered = [s for s in states if s.target.key in running and s.windows and s.failure is None]
        found = [check for key, check in self._checks.found().items() if key in running]
        differences = [one.difference for one in found if one.difference is not None]
        return Overview(
            {name: sum(state.source == name for state in answered) for name in (SCRAPE, PROMETHEUS)},
            len(differences),
            sum(one.contradicted for one in found),
            max(differences, default=None),
        )

    async def run(self) -> None:
        """Both until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._scraper.run())
            group.create_task(self._prometheus.run())
            group.create_task(self._tidy())

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._checks.tidy()
