"""The Prometheus source against a strict server that fails in every way: what cannot be seen is missing, and never less work."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from telemetry.circuit import Circuit
from telemetry.prometheus import MAX_ANSWER_BYTES, PrometheusAccess, PrometheusSource
from telemetry.prometheus_queries import AT_ONCE
from telemetry.prometheus_scrape import IN_CLUSTERS, IN_PART, NO_SAMPLE, NOT_ASKED, PrometheusScraper
from telemetry.target import Phase, PodKey, Target, Targets
from tests.telemetry.prometheus_api import EVALUATIONS, Reply
from tests.telemetry.prometheus_fleet import SETTINGS, Fleet, prometheus_fleet, success
from tests.telemetry.timeline import COMPUTE, FAMILIES, PENDING, SUCCESS, WINDOW, M

QUERIES = len(FAMILIES.names()) + 3


@pytest.fixture
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    async with prometheus_fleet(getattr(request, "param", None)) as started:
        yield started


async def test_a_tick_asks_for_each_family_once_whatever_the_number_of_pods(fleet: Fleet) -> None:
    assert {state.failure for state in fleet.scraper.pods("prod")} == {NOT_ASKED}
    await fleet.round()
    filling = len(fleet.api.asked) - QUERIES
    assert filling == 3 * (QUERIES - 2), "what the window held before"
    await fleet.round()
    asked = fleet.api.asked[-QUERIES:]
    assert sorted(query.family or "" for query in asked) == ["", "", EVALUATIONS, *sorted(FAMILIES.names())]
    assert {query.at for query in asked} == {None, fleet.api.now - SETTINGS.delay}
    assert all('namespace=~"prod"' in query.matchers for query in asked)
    assert (fleet.reports[-1].outcome, fleet.reports[-1].queries) == ("ok", QUERIES)
    assert fleet.reports[-1].size_bytes > 1000


async def test_ages_are_told_by_prometheus_clock_alone(fleet: Fleet) -> None:
    """Its clock and ours are decades apart here; what counts is that the sample was two seconds old."""
    states = await fleet.round()
    assert states["a"].windows[WINDOW].at == fleet.now - 2.0
    fleet.api.now += 600  # it is set right by ten minutes
    states = await fleet.round()
    assert states["a"].windows[WINDOW].at == fleet.now - 2.0


async def test_windows_are_what_scrapes_of_the_same_pages_would_give(fleet: Fleet) -> None:
    for _ in range(4):
        states = await fleet.round()
    row = states["a"].windows[WINDOW].rows[M]
    assert (row.seconds, row.increase[SUCCESS], row.mean[PENDING]) == (30.0, 300.0, 0.0)
    assert (states["a"].windows[WINDOW].full, states["a"].failure) == (True, None)


async def test_what_was_seen_before_is_not_taken_twice(fleet: Fleet) -> None:
    await fleet.round()
    before = (await fleet.round())["a"].windows
    fleet.wait(5)
    assert (await fleet.tick())["a"].windows is before


async def test_a_pod_scraped_during_a_tick_waits_for_the_next(fleet: Fleet) -> None:
    """Some families of it are of the one scrape and some of the other: after a restart that would be a fall and a leap at once."""
    before = (await fleet.round())["a"].windows
    fleet.wait()
    fleet.scrape()
    fleet.api.before_closing = lambda: fleet._put(
        fleet.api.stamps, {"namespace": "prod", "pod": "a"}, fleet.api.now - 1.5
    )
    states = await fleet.tick()
    assert (states["a"].windows is before, states["a"].failure) == (True, None)
    assert fleet.scraper._wait(0.9) < SETTINGS.interval, "in step with its scrapes it would never be seen"
    assert success(states["b"]) == 150.0
    fleet.api.before_closing = lambda: None
    assert success((await fleet.round())["a"]) == 300.0
    assert fleet.scraper._wait(0.9) == SETTINGS.interval


async def _hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.Response()


async def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(MAX_ANSWER_BYTES // 2**20 + 2):
        await response.write(b" " * 2**20)
    return response


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(50):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


def says(body: str, status: int = 200, **headers: str) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, headers=headers)

    return reply


ERROR = '{"status":"error","errorType":"execution","error":"query processing would load too many samples"}'
MATRIX = '{"status":"success","data":{"resultType":"matrix","result":[]}}'
SHORT = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"val'


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (_hang, "timed out"),
        (_drip, "timed out"),
        (_reset, "connection refused or unreachable"),
        (says("", 500), "it refuses the query"),
        (says("upstream", 503), "connection refused or unreachable"),
        (says(ERROR, 422), "it refuses the query"),
        (says("who are you?", 401), "these credentials may not read it"),
        (says("", 302, location="https://login.example/"), "it refuses the query"),
        (says("<html>welcome</html>"), "the answer is not in Prometheus' format"),
        (says(""), "the answer is not in Prometheus' format"),
        (says(MATRIX), "the answer is not in Prometheus' format"),
        (says(SHORT), "the answer is not in Prometheus' format"),
        (_endless, "it refuses the query"),
    ],
)
@pytest.mark.parametrize("family", [None, COMPUTE])
async def test_a_prometheus_that_fails_in_any_way_makes_every_pod_missing_and_none_idle(
    fleet: Fleet, reply: Reply, said: str, family: str | None
) -> None:
    """All of it, or one family of it: nothing of such a tick is taken, and it says the same each time."""
    if said == "timed out":
        fleet.use(replace(SETTINGS, timeout=1.5))
    before = await fleet.round()
    if family is None:
        fleet.api.reply = reply
    else:
        fleet.api.replies[family] = reply
    states = [await fleet.round() for _ in range(2)]
    for state in (state for known in states for state in known.values()):
        assert state.failure == f"Prometheus does not answer: {said}"
        assert state.windows == before[state.target.key.pod].windows
    assert {report.outcome for report in fleet.reports[1:]}.isdisjoint({"ok", "partial"})
    assert fleet.scraper._circuit.failures == 2
    fleet.api.reply = None
    fleet.api.replies.clear()
    after = await fleet.round()
    assert (after["a"].failure, success(after["a"]), fleet.scraper._circuit.failures) == (None, 450.0, 0)


async def test_a_prometheus_that_nobody_listens_for_is_unreachable(fleet: Fleet) -> None:
    await fleet.round()
    fleet.scraper._queries._source = PrometheusSource("http://127.0.0.1:9")
    assert (await fleet.round())[
        "a"
    ].failure == "Prometheus does not answer: connection refused or unreachable"


async def test_while_it_fails_one_query_a_tick_is_sent(fleet: Fleet) -> None:
    fleet.api.reply = says("", 500)
    await fleet.round()
    assert len(fleet.api.asked) == 1


async def test_a_prometheus_that_stays_away_is_asked_less_and_less_often(fleet: Fleet) -> None:
    """Ten ticks a second: twenty in these two seconds, without a circuit that opens after the third."""
    fleet.scraper._circuit = Circuit(0.1)
    fleet.scraper._clock = asyncio.get_running_loop().time
    fleet.api.reply = says("", 500)
    running = asyncio.create_task(fleet.scraper.run())
    await asyncio.sleep(2)
    running.cancel()
    assert 4 <= len(fleet.api.asked) <= 13


async def test_never_more_than_four_queries_at_once(fleet: Fleet) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return await says('{"status":"success","data":{"resultType":"vector","result":[]}}')(request)

    fleet.api.replies = dict.fromkeys(FAMILIES.names(), slow)
    await fleet.round()
    assert fleet.api.most_at_once == AT_ONCE


@pytest.mark.parametrize("stamps", [[], [({"namespace": "other", "pod": "z"}, 1.0)]])
async def test_a_prometheus_without_samples_of_known_pods_makes_them_missing(
    fleet: Fleet, stamps: list[tuple[dict[str, str], float]]
) -> None:
    before = await fleet.round()
    fleet.api.stamps = stamps
    fleet.api.rows = {}
    fleet.wait()
    for _ in range(2):
        states = await fleet.tick()
        assert [state.failure for state in states.values()] == [NO_SAMPLE] * 2
        assert states["a"].windows == before["a"].windows
    assert fleet.reports[-1].outcome == "no_samples"
    assert fleet.scraper._circuit.failures == 0, "it does answer"


async def test_a_pod_whose_scrape_failed_is_missing_beside_one_that_is_not(fleet: Fleet) -> None:
    await fleet.round()
    fleet.api.stamps = [
        row for row in fleet.api.stamps if row[0]["pod"] != "a"
    ]  # as after a staleness marker
    fleet.wait()
    fleet.scrape("b")
    states = await fleet.tick()
    assert {pod: state.failure for pod, state in states.items()} == {"a": NO_SAMPLE, "b": None}


async def test_a_page_with_no_row_for_a_pod_that_was_scraped_is_an_empty_page(fleet: Fleet) -> None:
    """No model is loaded: the pod answers, and serves nothing."""
    fleet.wait()
    fleet.api.stamps = [({"namespace": "prod", "pod": pod}, fleet.api.now - 2) for pod in "ab"]
    state = (await fleet.tick())["a"]
    assert (state.failure, state.windows[WINDOW].rows) == (None, {})


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1"])
async def test_a_counter_that_is_no_count_spoils_its_pods_page(fleet: Fleet, value: str) -> None:
    await fleet.round()
    fleet.wait()
    fleet.scrape()
    fleet._put(
        fleet.api.rows[SUCCESS], {"namespace": "prod", "pod": "a", "model": "m", "version": "1"}, value
    )
    states = [await fleet.tick() for _ in range(2)]
    assert {known["a"].failure for known in states} == {"shows a counter that is NaN, infinite or negative"}
    assert states[-1]["b"].failure is None
    assert (await fleet.round())["a"].failure is None


@pytest.mark.parametrize("value", ["NaN", "-1"])
async def test_a_gauge_that_is_no_number_is_missing_not_zero(fleet: Fleet, value: str) -> None:
    fleet.wait()
    fleet.scrape()
    fleet.api.rows[PENDING] = [(labels, value) for labels, _ in fleet.api.rows[PENDING]]
    assert PENDING not in (await fleet.tick())["a"].windows[WINDOW].rows[M].mean


WARNED = (
    {"warnings": ["no store matched"]},
    {"warnings": ["no store matched"], "warned": COMPUTE},
    {"more": {"isPartial": True}},
)


@pytest.mark.parametrize("told", WARNED)
async def test_in_a_partial_answer_a_pod_counts_while_all_its_rows_are_there(
    fleet: Fleet, told: dict[str, Any]
) -> None:
    await fleet.round()
    for name, value in told.items():
        setattr(fleet.api, name, value)
    fleet.wait()
    fleet.scrape()
    fleet.api.rows[COMPUTE] = [row for row in fleet.api.rows[COMPUTE] if row[0]["pod"] != "a"]
    states = await fleet.tick()
    assert {pod: state.failure for pod, state in states.items()} == {"a": IN_PART, "b": None}
    assert (success(states["a"]), success(states["b"])) == (0.0, 150.0)
    assert fleet.reports[-1].outcome == "partial"


async def test_a_pod_that_was_never_seen_whole_does_not_count_in_part(fleet: Fleet) -> None:
    fleet.api.warnings = ["no store matched"]
    states = await fleet.round()
    assert {state.failure for state in states.values()} == {IN_PART}
    assert not states["a"].windows


async def test_pods_of_one_name_in_two_clusters_are_refused_not_added(fleet: Fleet) -> None:
    fleet.scrape("a", extra={"cluster": "eu1"})
    fleet.scrape("a", extra={"cluster": "eu2"})
    fleet.scrape("b")
    fleet.api.now += 2
    states = await fleet.tick()
    assert {pod: state.failure for pod, state in states.items()} == {"a": IN_CLUSTERS, "b": None}
    assert not states["a"].windows


async def test_labels_that_moved_are_found_and_followed(fleet: Fleet) -> None:
    """A scrape configuration that changes under a running daemon costs a tick."""
    await fleet.round()
    fleet.wait()
    exported = {"exported_namespace": "prod", "exported_pod": "a", "namespace": "m", "pod": "collector"}
    fleet.api.stamps = [(exported, fleet.api.now - 2)]
    fleet.api.rows = {SUCCESS: [({**exported, "model": "m", "version": "1"}, "200")]}
    assert (await fleet.tick())["a"].failure == NO_SAMPLE
    assert (await fleet.tick())["a"].failure is None
    assert 'exported_namespace=~"prod"' in fleet.api.asked[-1].matchers


async def test_a_new_container_has_nothing_of_the_old_ones_samples(fleet: Fleet) -> None:
    await fleet.round()
    fleet.change("a", phase=Phase.STOPPED)
    fleet.wait(1)
    await fleet.tick()
    fleet.change("a", phase=Phase.RUNNING)
    fleet.wait(1)
    await fleet.tick()
    running, stopped = [state for state in fleet.scraper.pods("prod") if state.target.key.pod == "a"]
    assert (running.failure, running.windows) == (NO_SAMPLE, {})
    assert (stopped.target.phase, bool(stopped.windows)) == (Phase.STOPPED, True)
    fleet.wait()
    fleet.done = 0
    fleet.scrape(requests=7)
    await fleet.tick()
    running = next(state for state in fleet.scraper.pods("prod") if state.target.key.pod == "a")
    assert success(running) == 7.0, "its counters began at zero in our sight"


async def test_a_pod_made_anew_under_its_old_name_has_nothing_of_the_old_ones_samples(fleet: Fleet) -> None:
    """A StatefulSet's pod: Prometheus knows it by name only."""
    await fleet.round()
    anew = Target(PodKey("prod", "a", "uid-2"), None, None, Phase.RUNNING, ready=True)
    fleet.targets.replace({anew.key: anew})
    fleet.wait(1)
    await fleet.tick()
    (state,) = [state for state in fleet.scraper.pods("prod") if state.target.key.uid == "uid-2"]
    assert (state.failure, state.windows) == (NO_SAMPLE, {})


async def test_where_no_pod_runs_nothing_is_asked(fleet: Fleet) -> None:
    for pod in "ab":
        fleet.change(pod, phase=Phase.STARTING)
    await fleet.round()
    assert (fleet.api.asked, fleet.reports) == ([], [])
    assert fleet.scraper.last_round_at == fleet.now


@pytest.mark.parametrize("fleet", [PrometheusAccess(Path("/nowhere/token"))], indirect=True)
async def test_a_token_that_cannot_be_read_is_told(fleet: Fleet) -> None:
    assert (await fleet.round())[
        "a"
    ].failure == "Prometheus does not answer: these credentials may not read it"
    assert fleet.api.asked == []


@pytest.mark.parametrize("fleet", [PrometheusAccess(headers={"X-Scope-OrgID": "eu|us"})], indirect=True)
async def test_headers_and_matchers_go_with_every_query(fleet: Fleet) -> None:
    fleet.use(replace(SETTINGS, matchers='cluster="eu1"'))
    await fleet.round()
    assert {query.headers["X-Scope-OrgID"] for query in fleet.api.asked} == {"eu|us"}
    assert all('cluster="eu1"' in query.matchers for query in fleet.api.asked)


def test_a_window_of_one_sample_is_refused() -> None:
    """It would end where it begins: no work at all, and so idle."""
    with pytest.raises(ValueError, match="holds no two samples"):
        PrometheusScraper(
            Targets(),
            FAMILIES,
            [29.0],
            SETTINGS,
            PrometheusSource("http://x"),
            None,  # type: ignore[arg-type]
            lambda: 0.0,
        )
