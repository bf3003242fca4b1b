"""A live Triton's metrics over a capture window: scrapes at even steps, as the measures that Prometheus would have given.

Metrics have a port of their own, without authentication: 8002 on the host of the HTTP port, unless the address is given."""

import asyncio
import random
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

from telemetry.exposition import MalformedExpositionError, SeriesTable, parse_exposition
from triage.collect import Found, Question
from triage.evidence import Facts, Missing, MissingReason
from triage.latency.counters import Capture, Measure, Scrape, capture_ranges, lifetime, scrape, shows
from triage.latency.facts import Ranges
from triage.probes.http_answer import address, error_of, read_answer, without_credentials
from triage.probes.triton_url import check_url
from triage.seal import Seal

METRICS_PORT = 8002
MAX_SAMPLES = 1_000_000
"""So many samples are kept of a capture: some hundred megabytes, as a thousand models show in half a minute."""
_MARGIN_SECONDS = 5.0
_WHERE = (
    "is --allow-metrics on, and is this the metrics port (--metrics-port, 8002)?"
    " else give the metrics page with --metrics URL"
)


def metrics_url(url: str) -> str:
    """The metrics page of the Triton whose HTTP port `url` is: port 8002 of the same host, without its password."""
    return str(URL.build(scheme="http", host=URL(url).host or "", port=METRICS_PORT, path="/metrics"))


def check_metrics_url(url: str) -> str:
    """The address of a metrics page as it is sent; `/metrics` is added to a bare host and port. Raises ValueError, saying what
    would be right."""
    try:
        checked = check_url(url)
    except ValueError as error:
        raise ValueError(f"{error}, and a metrics page such as http://localhost:8002/metrics") from None
    return checked if URL(checked).path.strip("/") else f"{checked}/metrics"


def capture_questions(
    url: str,
    session: aiohttp.ClientSession,
    measures: Sequence[Measure],
    *,
    seconds: float,
    interval: float = 1.0,
    subject: str = "",
    pod: str = "",
    metrics: str = "",
    model: str = "",
    several: bool = False,
) -> list[Question]:
    """What to ask the metrics of the server at `url`, which `check_url` gave: its lifetime's counters, which raise one answered
    question for each measure.

    `metrics`: the page, which `check_metrics_url` gave, where it is not on port 8002. `pod`: the name that the series bear; else
    `HOST:PORT` of `url`. `model`: kept first where there are too many. `several`: other servers are captured too, so that the ids
    name this one."""
    target = _Target(metrics or metrics_url(url), session, tuple(measures), pod or address(url), model)
    steps = _Steps(interval, max(1, round(seconds / interval)))
    where = address(url)
    suffix = f":{where}" if several else ""

    async def ask(seal: Seal) -> Found:
        captured = await target.capture(steps)
        if isinstance(captured, Missing):
            return Found(captured, [answered("capture", f"capture{suffix}", captured)])
        begun = lifetime(captured, target.measures)
        ranges = capture_ranges(captured, target.measures)
        then = [
            answered("capture", f"capture/{measure.measure}{suffix}", _told(captured, measure, each))
            for measure, each in zip(target.measures, ranges, strict=True)
        ]
        return Found(begun or Missing("no_series", "no page was kept", _WHERE), then)

    def answered(probe: str, id: str, facts: Facts | Missing) -> Question:
        async def known(seal: Seal) -> Found:
            return Found(facts)

        return question(probe, id, known)

    def question(probe: str, id: str, ask: Callable[[Seal], Awaitable[Found]]) -> Question:
        shown = without_credentials(target.url)
        return Question(
            id=id,
            probe=probe,
            source=f"metrics of Triton at {shown}",
            query=f"GET {URL(shown).path}, every {steps.interval:g} s for {steps.seconds:g} s",
            command=f"curl -s {shlex.quote(shown)}",
            ask=ask,
            subject=subject,
            on_timeout=_WHERE,
            patience=steps.seconds + steps.interval + _MARGIN_SECONDS,
        )

    return [question("lifetime", f"lifetime:{where}", ask)]


def _told(captured: Capture, measure: Measure, ranges: Ranges) -> Ranges | Missing:
    """The ranges, or why there is no series in them."""
    if ranges.series:
        return ranges
    if shows(captured, measure):
        said = f"{measure.family} was on one page alone, and a rate needs two"
        return Missing("too_few_points", said, "capture for longer, at a longer interval")
    if measure.kind == "quantile":
        remedy = "start Triton with --metrics-config summary_latencies=true"
    else:
        remedy = "some families are there only where a feature is used: models, a GPU with DCGM, the response cache"
    return Missing("no_series", f"no page had {measure.family}", remedy)


@dataclass(frozen=True, slots=True)
class _Steps:
    interval: float
    count: int

    @property
    def seconds(self) -> float:
        return self.interval * self.count


@dataclass(frozen=True, slots=True)
class _Target:
    """One Triton's metrics page."""

    url: str
    session: aiohttp.ClientSession
    measures: Sequence[Measure]
    pod: str
    model: str

    async def capture(self, steps: _Steps) -> Capture | Missing:
        """A scrape before the first step and one at the end of each; Missing when none answered."""
        loop = asyncio.get_running_loop()
        table = SeriesTable({measure.family for measure in self.measures if measure.family})
        began, began_at = loop.time(), time.time()
        scrapes: list[Scrape | None] = []
        samples = 0
        failed = Missing("timeout", "no scrape was answered before the next was due", _WHERE)
        for step in range(steps.count + 1):
            due = began + step * steps.interval
            # A gauge sampled in step with clients that come every second would always, or never, see them waiting.
            jitter = random.uniform(0.0, steps.interval / 10)  # noqa: S311 -- not a secret
            await asyncio.sleep(max(0.0, due + jitter - loop.time()))
            left = due + steps.interval - loop.time()
            page = await self._scrape(table, began_at - began, left) if left > 0 else failed
            scrapes.append(page if isinstance(page, Scrape) else None)
            if isinstance(page, Missing):
                failed = page
            elif (samples := samples + len(page.values)) > MAX_SAMPLES:
                break
        if not any(scrapes):
            return failed
        ended = len(scrapes) <= steps.count
        said = (
            f"only the first {(len(scrapes) - 1) * steps.interval:g} s: the pages are too large to keep more"
        )
        return Capture(
            self.pod, began_at, steps.interval, tuple(scrapes), self.model, (said,) if ended else ()
        )

    async def _scrape(self, table: SeriesTable, since_1970: float, seconds: float) -> Scrape | Missing:
        """The page, at a time that is `since_1970` later than the loop's. One that is not there within `seconds` is of no step."""
        answer = await read_answer(
            self.session, self.url, seconds=seconds, what="the metrics page", remedy=_WHERE
        )
        if isinstance(answer, Missing):
            return answer
        if answer.status != 200:
            reason: MissingReason = "forbidden" if answer.status in (401, 403) else "not_enabled"
            said = f"the metrics page: HTTP {answer.status} {error_of(answer.body)}".strip()
            return Missing(reason, said, _WHERE)
        try:
            samples = parse_exposition(answer.body.decode(), table)
        except (MalformedExpositionError, ValueError) as error:
            return Missing("parse_error", f"the metrics page: {error}", _WHERE)
        if b"nv_" not in answer.body:
            return Missing("no_series", "the metrics page has none of Triton's families", _WHERE)
        return scrape(answer.at + since_1970, samples)
