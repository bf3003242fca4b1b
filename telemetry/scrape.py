"""The scrape loop: every target's page once an interval, each with a deadline of its own, so that a bad target costs only itself.

It makes `PodState`s; nothing here decides what a silence means.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

import aiohttp
import structlog

from telemetry.exposition import MalformedExpositionError, Series, SeriesTable, parse_in_blocks
from telemetry.model_config import ModelFacts, parse_model_config
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.window import SUCCESS, Families, PodHistory, PodWindow

_MAX_PAGE_BYTES: Final = 8 * 2**20
_MAX_CONFIG_BYTES: Final = 4 * 2**20
_MAX_CONFIGS_A_SCRAPE: Final = 64
_AT_ONCE: Final = 100
_MUTE_AT_ONCE: Final = 2000
"""Targets that timed out last time wait beside the others: a hundred at once, two seconds each, would stretch every round."""
_TIMED_OUT: Final = "timed out"
_AS_IS: Final = {"Accept-Encoding": "identity"}  # a body cut short must show as such

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ScrapeSettings:
    """Seconds: `interval` between scrapes of a target, `timeout` for one of them (less than the interval)."""

    interval: float = 5.0
    timeout: float = 2.0


@dataclass(slots=True)
class _Scraped:
    """What the loop keeps of one target between scrapes."""

    target: Target
    known_since: float
    table: SeriesTable
    history: PodHistory
    windows: Mapping[float, PodWindow] = field(default_factory=dict)
    failure: str | None = "not scraped yet"
    models: dict[str, ModelFacts] = field(default_factory=dict)
    config_failures: int = 0
    configs_due: float = 0.0

    def state(self, target: Target) -> PodState:
        return PodState(target, self.known_since, self.windows, self.failure, self.models)


class Scraper:
    """Scrapes `targets` until cancelled; `pods()` is what is known now.

    `families` and `windows` (seconds) are what the signals need; `clock` is monotonic.
    """

    def __init__(
        self,
        targets: Targets,
        families: Families,
        windows: Collection[float],
        settings: ScrapeSettings,
        session: aiohttp.ClientSession,
        clock: Callable[[], float],
        on_scrape: Callable[[Target, str | None, float], None] = lambda target, failure, seconds: None,
    ) -> None:
        self._targets = targets
        self._families = families
        self._windows = tuple(windows)
        self._settings = settings
        self._session = session
        self._clock = clock
        self._on_scrape = on_scrape
        self._scraped: dict[PodKey, _Scraped] = {}
        self._departed: list[PodState] = []
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._mute_limit = asyncio.Semaphore(_MUTE_AT_ONCE)
        self._reading = asyncio.Lock()
        self.last_round_at: float | None = None
        """Monotonic second at which a whole round ended: the loop's heartbeat."""

    def pods(self, namespace: str) -> Iterable[PodState]:
        """The namespace's pods as they stand, those just discovered without windows, those just gone as terminating."""
        current = self._targets.by_key
        for key, target in current.items():
            if key.namespace == namespace:
                scraped = self._scraped.get(key)
                if scraped is None:
                    yield PodState(target, self._clock(), failure="not scraped yet")
                else:
                    yield scraped.state(target)
        for key, scraped in self._scraped.items():
            if key.namespace == namespace and key not in current:
                yield scraped.state(replace(scraped.target, phase=Phase.TERMINATING))
        yield from (state for state in self._departed if state.target.key.namespace == namespace)

    async def run(self) -> None:
        """Rounds at a steady pace, each up to a tenth of the interval late: a gauge sampled in step with clients that come every
        second would always, or never, see them waiting. A round that overruns is followed at once by the next."""
        due = self._clock()
        latest = min(self._settings.interval / 10, self._settings.timeout / 2)
        while True:
            await self.scrape_all()
            due = max(due + self._settings.interval, self._clock())
            await asyncio.sleep(due - self._clock() + random.uniform(0.0, latest))  # noqa: S311 -- not a secret

    async def scrape_all(self) -> None:
        """One round over all current targets."""
        current = self._targets.by_key
        self._keep_departed(current)
        async with asyncio.TaskGroup() as group:
            for target in current.values():
                scraped = self._keep(target)
                if target.phase is Phase.RUNNING and target.metrics_url is not None:
                    group.create_task(self._scrape(target, target.metrics_url, scraped))
        self.last_round_at = self._clock()

    def _keep_departed(self, current: Mapping[PodKey, Target]) -> None:
        """Sets aside what pods did that are gone or whose container stopped, for as long as it lies in a window."""
        recent = self._clock() - max(self._windows)
        self._departed = [s for s in self._departed if any(w.at > recent for w in s.windows.values())]
        for key, scraped in list(self._scraped.items()):
            target = current.get(key)
            if target is None:
                self._departed.append(scraped.state(replace(scraped.target, phase=Phase.TERMINATING)))
                del self._scraped[key]
            elif target.phase is Phase.STOPPED:
                # Nothing of that container is in flight, and the next one's counters begin at zero in our sight.
                self._departed.append(scraped.state(target))
                self._scraped[key] = self._new(target, born_in_sight=True)

    def _keep(self, target: Target) -> _Scraped:
        scraped = self._scraped.get(target.key)
        if scraped is None:
            scraped = self._scraped[target.key] = self._new(target, born_in_sight=target.born_in_sight)
        scraped.target = target
        if not scraped.windows and not target.ready:
            scraped.known_since = self._clock()
        return scraped

    def _new(self, target: Target, *, born_in_sight: bool) -> _Scraped:
        now = self._clock()
        history = PodHistory(
            self._families, self._windows, self._settings.interval, now if born_in_sight else None
        )
        return _Scraped(target, now, SeriesTable(self._families.names()), history)

    async def _scrape(self, target: Target, url: str, scraped: _Scraped) -> None:
        async with self._mute_limit if scraped.failure == _TIMED_OUT else self._limit:
            at = self._clock()
            failure: str | None = None
            detail: str | None = None
            try:
                async with asyncio.timeout(self._settings.timeout):
                    page = await self._read(url, _MAX_PAGE_BYTES)
                windows = await self._read_page(at, page, scraped)
                await self._read_new_configs(target, scraped, windows)
                scraped.windows = windows
            except (
                TimeoutError,
                aiohttp.ClientError,
                OSError,
                ValueError,
                MalformedExpositionError,
            ) as error:
                failure, detail = _say(error), str(error)[:200] or None
            if failure != scraped.failure:
                log.info(
                    "scrape_changed",
                    pod=target.key.pod,
                    namespace=target.key.namespace,
                    failure=failure,
                    detail=detail,
                )
            scraped.failure = failure
            self._on_scrape(target, failure, self._clock() - at)

    async def _read_page(self, at: float, page: bytes, scraped: _Scraped) -> Mapping[float, PodWindow]:
        """One page after the other, and each in turns with everything else: a hundred pods that show as much as they may must
        not hold up an answer."""
        async with self._reading:
            samples: list[tuple[Series, float]] = []
            for _ in parse_in_blocks(page.decode(), scraped.table, samples):
                await asyncio.sleep(0)
            return scraped.history.add(at, samples)

    async def _read_new_configs(
        self, target: Target, scraped: _Scraped, windows: Mapping[float, PodWindow]
    ) -> None:
        """Reads the configuration of models that are shown and not known yet; one that cannot be read stays unknown and is
        tried again, more and more rarely."""
        served = {
            key.model
            for window in windows.values()
            for key, row in window.rows.items()
            if key.model and SUCCESS in row.increase
        }
        for model in scraped.models.keys() - served:
            del scraped.models[model]
        missing = sorted(served - scraped.models.keys())[:_MAX_CONFIGS_A_SCRAPE]
        if not missing or target.http_url is None or self._clock() < scraped.configs_due:
            return
        failures: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._settings.timeout):
                for model in missing:
                    url = f"{target.http_url}/v2/models/{quote(model, safe='')}/config"
                    try:
                        scraped.models[model] = parse_model_config(await self._read(url, _MAX_CONFIG_BYTES))
                    except (aiohttp.ClientError, OSError, ValueError) as error:
                        failures[model[:100]] = _say(error)
        except TimeoutError as error:
            failures[missing[-1][:100]] = _say(error)
        scraped.config_failures = scraped.config_failures + 1 if failures else 0
        if failures:
            wait = self._settings.interval * 2 ** min(scraped.config_failures, 4)
            scraped.configs_due = self._clock() + wait
            log.warning("model_config_unreadable", pod=target.key.pod, url=target.http_url, failures=failures)

    async def _read(self, url: str, most: int) -> bytes:
        """The body. Raises ClientError for a status other than 200, ValueError for more than `most` bytes."""
        async with self._session.get(url, allow_redirects=False, headers=_AS_IS) as response:
            if response.status != 200:
                raise _StatusError(f"answers HTTP {response.status}")
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > most:
                    raise ValueError(f"sends more than {most} bytes")
                chunks.append(chunk)
            return b"".join(chunks)


def scrape_session() -> aiohttp.ClientSession:
    """A session for scrapes: as many connections as there are targets, and nothing that comes compressed is unpacked, since
    nothing compressed was asked for: a page of a megabyte could unfold to a gigabyte."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)


class _StatusError(aiohttp.ClientError):
    pass


def _say(error: BaseException) -> str:
    """The failure in words without numbers that move, so that they are the same at every scrape."""
    match error:
        case TimeoutError():
            return _TIMED_OUT
        case MalformedExpositionError():
            return "sends a page that is not in the Prometheus text format"
        case UnicodeDecodeError():
            return "sends a page that is not UTF-8 text"
        case _StatusError() | ValueError():
            return str(error)[:120]
        case aiohttp.ClientConnectorError():
            return "connection refused or unreachable"
        case _:
            return "connection broke"
