"""One set of lives as Prometheus' samples and as pages handed to histories as a scrape does, and windows compared."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from autoscaler.signal import load_signals, needed_families
from telemetry.exposition import Series, SeriesTable, parse_exposition
from telemetry.http_body import scrape_session
from telemetry.pod_state import PodState
from telemetry.prometheus_queries import TickReport
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_scrape import NO_SAMPLE, PrometheusScraper
from telemetry.rules_dir import rules_dir
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.window import PodHistory, PodWindow, RowWindow
from tests.prometheus.histories import Life, Sample, draw_life
from tests.prometheus.past import PastPrometheus

HISTORIES = 240
SLOTS = 28
EVERY = 15
"""Seconds between two scrapes of a pod."""
START = 1_790_000_000
FAMILIES = needed_families(load_signals(rules_dir() / "signals"))
DELAY = 1.0
LIVES = {f"pod-{seed}": draw_life(seed, SLOTS) for seed in range(HISTORIES)}


def phase(pod: str) -> float:
    """Each target is scraped at a moment of its own within the interval."""
    return (int(pod.removeprefix("pod-")) * 61 % 149) / 10


def scraped_at(pod: str, slot: int) -> float:
    return START + slot * EVERY + phase(pod)


def as_openmetrics(namespace_label: str = "namespace", pod_label: str = "pod") -> str:
    """All samples, with these labels for the pods."""
    families: dict[str, list[str]] = {}
    for pod, life in LIVES.items():
        for slot, page in enumerate(life.pages):
            for family, labels, value in page or ():
                told = {namespace_label: "prod", pod_label: pod, **labels}
                families.setdefault(family, []).append(
                    f"{family}{{{_labels(told)}}} {value!r} {scraped_at(pod, slot):.3f}"
                )
    blocks = [f"# TYPE {family} unknown\n" + "\n".join(lines) for family, lines in families.items()]
    return "\n".join([*blocks, "# EOF\n"]).replace(" nan ", " NaN ")


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {name: text.replace("\\", "\\\\").replace('"', '\\"') for name, text in labels.items()}
    return ",".join(f'{name}="{text}"' for name, text in escaped.items())


def _page(samples: list[Sample], table: SeriesTable) -> list[tuple[Series, float]]:
    text = "".join(f"{family}{{{_labels(labels)}}} {value!r}\n" for family, labels, value in samples)
    return parse_exposition(text, table)


@dataclass
class Scraped:
    """What a scrape at the same moments would have made of it."""

    pod: str
    life: Life
    history: PodHistory
    since: float
    """A pod that was seen before it ran has nothing from before."""
    serving_since: float
    """When it was first seen ready, which Kubernetes says to both."""
    table: SeriesTable = field(default_factory=lambda: SeriesTable(FAMILIES.names()))
    newest: int = -1
    windows: Mapping[float, PodWindow] = field(default_factory=dict)
    failure: str | None = None

    def look(self, at: float, offset: float) -> None:
        """The newest scrape by then: handed on if it is new, and missing if it got no answer."""
        slot = math.floor((at - START - phase(self.pod)) / EVERY)
        known = 0 <= slot < SLOTS and scraped_at(self.pod, slot) > self.since
        page = self.life.pages[slot] if known else None
        self.failure = NO_SAMPLE if page is None else None
        if page is not None and slot > self.newest:
            self.newest = slot
            at = scraped_at(self.pod, slot) + offset
            self.windows = self.history.add(at, _page(page, self.table), self.serving_since)


def target(pod: str, life: Life, slot: int) -> Target:
    shown = Phase.RUNNING if slot >= life.born else Phase.STARTING
    return Target(PodKey("prod", pod, ""), None, None, shown, ready=True, born_in_sight=life.born_in_sight)


@dataclass
class Same:
    """How much was compared, and what the ticks were."""

    rows: int = 0
    reports: list[TickReport] = field(default_factory=list)


async def say_the_same(
    url: str,
    settings: PrometheusSettings,
    ticks: Sequence[float],
    reads_at: Callable[[float], float],
    shows: Callable[[float], float],
) -> Same:
    """Ticks at these seconds, each followed by a comparison of every window. `reads_at`: the second for which a tick asks;
    `shows`: that by which a sample was scraped to be seen there."""
    first, step = ticks[0], settings.sample_interval
    windows = (2 * step, 120.0)
    targets, source = Targets(), PastPrometheus(url, timeout_seconds=9.0)
    offset, same = 5000.0 - first, Same()
    async with scrape_session() as session, source:
        scraper = PrometheusScraper(
            targets,
            FAMILIES,
            windows,
            settings,
            source,
            session,
            lambda: source.now + offset,
            same.reports.append,
        )
        scraped: dict[str, Scraped] = {}
        for source.now in ticks:
            slot = math.floor((source.now - START) / EVERY)
            targets.replace({(one := target(pod, life, slot)).key: one for pod, life in LIVES.items()})
            await scraper.tick()
            past = range(math.ceil(max(windows) / step) + 1, -1, -1) if source.now == first else (0,)
            looks = [shows(reads_at(source.now) - back * step) for back in past]
            for pod, life in LIVES.items():
                if pod not in scraped:
                    born = source.now + offset if life.born_in_sight else None
                    since = source.now if life.born_in_sight else -math.inf
                    history = PodHistory(FAMILIES, windows, step, born)
                    scraped[pod] = Scraped(pod, life, history, since, source.now + offset)
                for at in looks:
                    if slot >= life.born:
                        scraped[pod].look(at, offset)
            for state in scraper.pods("prod"):
                wanted = scraped[state.target.key.pod]
                if state.target.phase is Phase.RUNNING:
                    assert state.failure == wanted.failure, (wanted.pod, source.now)
                    same.rows += compare(state, wanted.windows)
    return same


def compare(state: PodState, wanted: Mapping[float, PodWindow]) -> int:
    """Rows compared."""
    assert state.windows.keys() == wanted.keys(), state.target.key
    rows = 0
    for seconds, window in wanted.items():
        seen = state.windows[seconds]
        assert abs(seen.at - window.at) < 0.002, state.target.key
        assert seen.full == window.full, state.target.key
        assert seen.rows.keys() == window.rows.keys(), state.target.key
        for key, row in window.rows.items():
            assert same(seen.rows[key], row), f"{state.target.key} {key}:\n{seen.rows[key]}\n{row}"
            rows += 1
    return rows


def same(seen: RowWindow | None, wanted: RowWindow | None) -> bool:
    if seen is None or wanted is None:
        return seen is wanted
    return (
        abs(seen.seconds - wanted.seconds) < 0.002
        and abs(seen.stalled_seconds - wanted.stalled_seconds) < 0.002
        and all(
            a.keys() == b.keys()
            and all(
                math.isclose(a[k], b[k], rel_tol=1e-9) or (math.isnan(a[k]) and math.isnan(b[k])) for k in a
            )
            for a, b in ((seen.increase, wanted.increase), (seen.mean, wanted.mean), (seen.last, wanted.last))
        )
        and same(seen.floor, wanted.floor)
    )
