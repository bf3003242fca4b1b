"""Two pods in a strict Prometheus, as the source sees them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from telemetry.http_body import scrape_session
from telemetry.pod_state import PodState
from telemetry.prometheus import PrometheusAccess, PrometheusSource
from telemetry.prometheus_queries import TickReport
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_recorded_reader import settings_recordings
from telemetry.prometheus_recordings import AFTER, BEFORE, recorded_name
from telemetry.prometheus_scrape import PrometheusScraper
from telemetry.target import Phase, PodKey, Target, Targets
from tests.telemetry.prometheus_api import Evaluation, PrometheusApi, prometheus_api
from tests.telemetry.timeline import COMPUTE, FAMILIES, PENDING, SUCCESS, WINDOW, M

SETTINGS = PrometheusSettings(namespaces=("prod",))
DIGEST = settings_recordings(FAMILIES, SETTINGS).digest


def key(pod: str) -> PodKey:
    return PodKey("prod", pod, "")


@dataclass
class Fleet:
    """Pods a and b in a Prometheus that scrapes both each 15 s, and the clock of this side, which knows nothing of the other."""

    api: PrometheusApi
    targets: Targets
    source: PrometheusSource
    session: aiohttp.ClientSession
    reports: list[TickReport] = field(default_factory=list)
    now: float = 100.0
    done: int = 0

    def __post_init__(self) -> None:
        self.use(SETTINGS)

    def use(self, settings: PrometheusSettings) -> None:
        """From now on; what was read before is forgotten."""
        self.scraper = PrometheusScraper(
            self.targets,
            FAMILIES,
            [WINDOW],
            settings,
            self.source,
            self.session,
            lambda: self.now,
            self.reports.append,
        )

    def change(self, pod: str, **fields: Any) -> None:
        by_key = dict(self.targets.by_key)
        by_key[key(pod)] = replace(by_key[key(pod)], **fields)
        self.targets.replace(by_key)

    def wait(self, seconds: float = 15.0) -> None:
        self.now += seconds
        self.api.now += seconds

    def scrape(self, *pods: str, requests: int = 150, extra: dict[str, str] | None = None) -> None:
        """Prometheus scrapes these pods now; `requests` were done since."""
        self.done += requests
        for pod in pods or ("a", "b"):
            labels = {"namespace": "prod", "pod": pod, **(extra or {})}
            model = {**labels, "model": "m", "version": "1"}
            self._put(self.api.stamps, labels, self.api.now - 2.0)
            for family, value in ((SUCCESS, self.done), (COMPUTE, self.done * 1000), (PENDING, 0)):
                self._put(self.api.rows.setdefault(family, []), model, str(value))

    @staticmethod
    def _put(rows: list[Any], labels: dict[str, str], value: Any) -> None:
        rows[:] = [row for row in rows if row[0] != labels] + [(labels, value)]

    def evaluate(
        self,
        *pods: str,
        digest: str = DIGEST,
        whole: bool = True,
        before: Mapping[str, float] | None = None,
        evaluator: str = "",
    ) -> None:
        """Rules record what Prometheus has now of these pods. `before`: earlier timestamps of pods scraped while they do; without
        `whole` it is not over yet."""

        def of(rows: Sequence[tuple[dict[str, str], Any]]) -> list[tuple[dict[str, str], str]]:
            return [(labels, str(value)) for labels, value in rows if labels["pod"] in (pods or ("a", "b"))]

        earlier = [(labels, (before or {}).get(labels["pod"], stamp)) for labels, stamp in self.api.stamps]
        recorded = {recorded_name(family): of(rows) for family, rows in self.api.rows.items()}
        recorded |= {BEFORE: of(earlier), AFTER: of(self.api.stamps)} if whole else {BEFORE: of(earlier)}
        self.api.evaluations.append(Evaluation(evaluator, self.api.now, digest, recorded))

    async def recorded_round(self) -> dict[str, PodState]:
        """15 s later both pods are scraped, rules are evaluated, and a tick follows."""
        self.wait(13)
        self.scrape()
        self.evaluate()
        self.wait(2)
        return await self.tick()

    async def round(self) -> dict[str, PodState]:
        """15 s later both pods are scraped, and a tick follows."""
        self.wait()
        self.scrape()
        return await self.tick()

    async def tick(self) -> dict[str, PodState]:
        await self.scraper.tick()
        return {state.target.key.pod: state for state in self.scraper.pods("prod")}


@asynccontextmanager
async def prometheus_fleet(access: PrometheusAccess | None = None) -> AsyncIterator[Fleet]:
    """Fails the test in which anything was asked that no such client asks."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(prometheus_api())
        session = await stack.enter_async_context(scrape_session())
        targets = Targets()
        shown = [Target(key(pod), None, None, Phase.RUNNING, ready=True) for pod in ("a", "b")]
        targets.replace({target.key: target for target in shown})
        source = await stack.enter_async_context(PrometheusSource(api.url, access))
        yield Fleet(api, targets, source, session)


def success(state: PodState) -> float:
    return state.windows[WINDOW].rows[M].increase[SUCCESS]
