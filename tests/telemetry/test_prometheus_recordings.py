"""Recording rules, and what the source makes of them: the same pages, never older than they say, and the series where they fail."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from telemetry.prometheus_pages import LabelNames, PodLabels
from telemetry.prometheus_recordings import AFTER, BEFORE, Recordings, recorded_name, rule_file
from telemetry.prometheus_scrape import IN_CLUSTERS, IN_PART, NO_SAMPLE
from telemetry.window import Families
from tests.telemetry.prometheus_api import EVALUATIONS
from tests.telemetry.prometheus_fleet import DIGEST, SETTINGS, Fleet, prometheus_fleet, success
from tests.telemetry.timeline import COMPUTE, FAMILIES, SUCCESS, WINDOW, M, rate

USUAL = Recordings(FAMILIES, LabelNames(), 15.0, 15.0)
QUERIES = len(FAMILIES.names()) + 3


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with prometheus_fleet() as started:
        yield started


# --- the rules


def test_the_group_records_timestamps_then_each_family_then_timestamps_again() -> None:
    names = [rule.record for rule in USUAL.rules("", 1.0)]
    assert names == [
        BEFORE,
        *(f"namespace_pod:{family}:newest" for family in sorted(FAMILIES.names())),
        AFTER,
    ]


def test_each_rule_reads_the_one_before_so_that_no_evaluator_may_change_their_order() -> None:
    """And the last one wants each family's own word that it was evaluated this very time."""
    before, *families, after = USUAL.rules("", 1.0)
    assert "namespace_pod" not in before.expression
    for rule in families:
        assert rule.expression.endswith(f'\nor max(timestamp({BEFORE}{{digest="{USUAL.digest}"}}))')
    assert after.expression == before.expression + "".join(
        f'\nand on () (max({rule.record}{{digest="{USUAL.digest}",pod=""}}) == time())' for rule in families
    )


def test_a_rule_sees_fresh_samples_alone_and_none_that_may_still_be_on_its_way() -> None:
    rules = {rule.record: rule.expression for rule in USUAL.rules("", 1.0)}
    shown = f'{SUCCESS}{{pod!=""}} offset 1000ms'
    assert f"({shown} and (timestamp({shown}) > (time() - 32)))\n" in rules[recorded_name(SUCCESS)]
    assert f"timestamp({shown})" in rules[BEFORE]
    assert rules[BEFORE].endswith("> (time() - 32))")


def test_labels_that_matchers_name_are_kept_so_that_the_same_matchers_find_the_recordings() -> None:
    for rule in USUAL.rules('cluster="eu1", env=~"prod.*"', 1.0):
        assert 'pod!="",cluster="eu1", env=~"prod.*"' in rule.expression
        (by,) = set(re.findall(r"max by \(([^)]*)\)", rule.expression))
        assert by.startswith("namespace, pod, cluster, env")
    assert "quantile" in USUAL.rules("", 1.0)[1].expression


def test_the_digest_changes_with_what_is_recorded_and_with_nothing_else() -> None:
    others = [
        replace(USUAL, families=replace(FAMILIES, gauges=FAMILIES.gauges | {"nv_energy_consumption"})),
        replace(USUAL, families=replace(FAMILIES, quantiles=frozenset({("nv_inference_request_summary_us", "0.9")}))),
        replace(USUAL, names=LabelNames(pod="exported_pod")),
        replace(USUAL, names=LabelNames(cluster="region")),
        replace(USUAL, scrape_interval=30.0),
        replace(USUAL, interval=30.0),
    ]  # fmt: skip
    assert len({USUAL.digest, *(other.digest for other in others)}) == 1 + len(others)
    given = LabelNames("namespace", "pod")
    assert replace(USUAL, names=given).digest == USUAL.digest, "they are the usual ones"
    counters, gauges = sorted(FAMILIES.counters), sorted(FAMILIES.gauges)
    same = Families(frozenset(counters[::-1]), frozenset(gauges[::-1]), FAMILIES.quantiles)
    assert replace(USUAL, families=same).digest == USUAL.digest
    assert all(f'digest="{USUAL.digest}"' in rule.expression for rule in USUAL.rules('a="b"', 10.0)[1:])


def test_a_rule_cannot_look_for_labels_so_the_given_or_the_usual_ones_stand_in_it() -> None:
    assert USUAL.labels == PodLabels("namespace", "pod")
    given = replace(USUAL, names=LabelNames("exported_namespace", "exported_pod"))
    assert all(
        re.search(r"max by \(exported_namespace, exported_pod, cluster", rule.expression)
        for rule in given.rules("", 1.0)
    )


def test_a_file_says_interval_and_digest() -> None:
    text = rule_file(USUAL.rules("", 1.0)[:1], "abc", 2.5, indent=2)
    assert text.startswith(
        "  groups:\n    - name: triton-recordings\n      interval: 2500ms\n      rules:\n"
        f"        - record: {BEFORE}\n          labels: {{digest: 'abc'}}\n          expr: |\n            max by ("
    )


# --- what is read


async def test_whole_recordings_are_read_instead_of_the_series_and_say_the_same(fleet: Fleet) -> None:
    with capture_logs() as logs:
        for _ in range(4):
            fleet.api.asked.clear()
            states = await fleet.recorded_round()
    row = states["a"].windows[WINDOW].rows[M]
    assert (row.seconds, row.increase[SUCCESS], states["a"].windows[WINDOW].full) == (30.0, 300.0, True)
    assert states["a"].windows[WINDOW].at == fleet.now - 4.0, "the scrape's second, not the evaluation's"
    names = sorted(query.family or "" for query in fleet.api.asked)
    assert names == sorted([EVALUATIONS, BEFORE, AFTER, *map(recorded_name, FAMILIES.names())])
    assert {query.at for query in fleet.api.asked} == {None, fleet.api.now - 2.0}
    assert all('namespace=~"prod"' in query.matchers for query in fleet.api.asked)
    assert (fleet.reports[-1].recordings, fleet.reports[-1].queries) == ("read", QUERIES)
    (said,) = [log for log in logs if log["event"] == "prometheus_reads"]
    assert (said["reads"], said["digest"]) == ("recordings", DIGEST)


async def test_after_a_start_the_past_is_read_from_recordings_too(fleet: Fleet) -> None:
    for _ in range(5):
        fleet.wait(13)
        fleet.scrape()
        fleet.evaluate()
        fleet.wait(2)
    states = await fleet.tick()
    assert (states["a"].windows[WINDOW].full, success(states["a"])) == (True, 300.0)
    assert {query.family for query in fleet.api.asked}.isdisjoint({None, *FAMILIES.names()})


async def test_recordings_that_stop_are_left_at_the_first_tick_that_misses_one(fleet: Fleet) -> None:
    """And are read again once they come again. No pod looks idle in between."""
    await fleet.recorded_round()
    await fleet.recorded_round()
    states = await fleet.round()
    assert (fleet.reports[-1].recordings, success(states["a"])) == ("read", 150.0), (
        "the next is due in a moment"
    )
    with capture_logs() as logs:
        for _ in range(2):
            states = await fleet.round()
            assert fleet.reports[-1].recordings == "overdue"
            assert 9 <= rate(states["a"].windows[WINDOW].rows[M]) <= 12, "ten a second"
        states = await fleet.recorded_round()
    assert fleet.reports[-1].recordings == "read"
    assert 9 <= rate(states["a"].windows[WINDOW].rows[M]) <= 12
    said = [log["recordings"] for log in logs if log["event"] == "prometheus_reads"]
    assert said == ["they are not evaluated any more, or too slowly", "read"], "once a change"


async def test_where_recordings_alone_are_they_are_enough_until_they_stop_and_then_pods_are_missing(
    fleet: Fleet,
) -> None:
    for _ in range(3):
        fleet.wait(13)
        fleet.scrape()
        fleet.evaluate()
        fleet.api.stamps, fleet.api.rows = [], {}
        fleet.wait(2)
        states = await fleet.tick()
    assert (states["a"].failure, success(states["a"])) == (None, 300.0)
    for said in (None, NO_SAMPLE, NO_SAMPLE):
        fleet.wait()
        states = await fleet.tick()
        assert (states["a"].failure, success(states["a"])) == (said, 300.0), "missing, and not idle"
    assert (fleet.reports[-1].recordings, fleet.reports[-1].outcome) == ("overdue", "no_samples")


async def test_an_evaluation_that_is_not_whole_is_not_read(fleet: Fleet) -> None:
    """It goes on at this moment, or a rule of it failed: the one before is read, and is as old as it says."""
    await fleet.recorded_round()
    states = await fleet.recorded_round()
    fleet.wait(13)
    fleet.scrape()
    fleet.evaluate(whole=False)
    fleet.wait(2)
    assert (await fleet.tick())["a"].windows is states["a"].windows
    fleet.wait(13)
    fleet.scrape()
    fleet.evaluate(whole=False)
    fleet.wait(2)
    states = await fleet.tick()
    assert (fleet.reports[-1].recordings, success(states["a"])) == ("overdue", 300.0), (
        "a rule fails each time"
    )


async def test_a_pod_scraped_during_an_evaluation_waits_for_the_next_but_not_for_two(fleet: Fleet) -> None:
    """Scrapes and evaluations are in step: in the third, too, it would be of two scrapes."""
    before = (await fleet.recorded_round())["a"].windows
    for waits in (True, True, False):
        fleet.wait(13)
        fleet.scrape()
        fleet.evaluate(before={"a": fleet.api.now - 17.0})
        fleet.wait(2)
        states = await fleet.tick()
        assert (states["a"].windows is before, states["a"].failure) == (waits, None)
    assert (success(states["a"]), fleet.reports[-1].recordings) == (450.0, "incomplete")
    assert success(states["b"]) == 300.0


async def test_recordings_that_lack_a_pod_which_the_series_show_are_left(fleet: Fleet) -> None:
    """A pod that neither shows is missing in both; one that was scraped after the evaluation is not lacking."""
    await fleet.recorded_round()
    fleet.wait(13)
    fleet.scrape()
    fleet.evaluate("a")
    fleet.wait(2)
    states = await fleet.tick()
    assert fleet.reports[-1].recordings == "incomplete"
    assert [state.failure for state in states.values()] == [None, None]
    fleet.api.stamps = [row for row in fleet.api.stamps if row[0]["pod"] != "b"]
    fleet.wait(13)
    fleet.scrape("a")
    fleet.evaluate()
    fleet.wait(2)
    states = await fleet.tick()
    assert (fleet.reports[-1].recordings, states["b"].failure) == ("read", NO_SAMPLE)
    fleet.wait(13)
    fleet.scrape("a")
    fleet.evaluate()
    fleet.wait(2)
    fleet.scrape("b")
    states = await fleet.tick()
    assert (fleet.reports[-1].recordings, states["b"].failure) == ("read", NO_SAMPLE)


@pytest.mark.parametrize(
    ("digest", "state", "said"), [("another", "other_digest", "recording-rules"), (None, "none", "none")]
)
async def test_recordings_of_other_rules_are_not_read(
    fleet: Fleet, digest: str | None, state: str, said: str
) -> None:
    fleet.wait(13)
    fleet.scrape()
    if digest:
        fleet.evaluate(digest=digest)
    fleet.wait(2)
    with capture_logs() as logs:
        states = await fleet.tick()
    assert (fleet.reports[-1].recordings, states["a"].failure) == (state, None)
    (log,) = [log for log in logs if log["event"] == "prometheus_reads"]
    assert (log["reads"], said in log["recordings"]) == ("series", True)


async def test_of_several_evaluators_the_slowest_decides_until_it_is_overdue(fleet: Fleet) -> None:
    """By then what each recorded is whole; one that died is not waited for, and its pods are seen in the series."""
    for ahead, state in ((5.0, "read"), (20.0, "incomplete")):
        fleet.wait(20 - ahead)
        if state == "read":
            fleet.scrape()
            fleet.evaluate("b", evaluator="1")
            slowest = fleet.api.now
        fleet.wait(ahead)
        fleet.scrape()
        fleet.evaluate("a", evaluator="0")
        fleet.wait(2)
        fleet.api.asked.clear()
        states = await fleet.tick()
        assert (fleet.reports[-1].recordings, states["b"].failure) == (state, None)
        read = [query.at for query in fleet.api.asked if query.family == AFTER]
        assert read[-1:] == ([slowest] if state == "read" else [])


async def test_in_a_partial_answer_of_recordings_a_pod_counts_while_all_its_rows_are_there(
    fleet: Fleet,
) -> None:
    await fleet.recorded_round()
    fleet.wait(13)
    fleet.scrape()
    fleet.evaluate()
    recorded = fleet.api.evaluations[-1].recorded
    recorded[recorded_name(COMPUTE)] = [
        row for row in recorded[recorded_name(COMPUTE)] if row[0]["pod"] != "a"
    ]
    fleet.api.warnings = ["no store matched"]
    fleet.wait(2)
    states = await fleet.tick()
    assert {pod: state.failure for pod, state in states.items()} == {"a": IN_PART, "b": None}
    assert fleet.reports[-1].outcome == "partial"


async def test_recordings_of_pods_of_one_name_in_two_clusters_are_refused(fleet: Fleet) -> None:
    fleet.scrape("a", extra={"cluster": "eu1"})
    fleet.scrape("a", extra={"cluster": "eu2"})
    fleet.scrape("b")
    fleet.evaluate()
    fleet.wait(2)
    states = await fleet.tick()
    assert {pod: state.failure for pod, state in states.items()} == {"a": IN_CLUSTERS, "b": None}
    assert fleet.reports[-1].recordings == "read"


async def test_recordings_are_not_asked_for_where_their_samples_would_be_too_old(fleet: Fleet) -> None:
    fleet.use(replace(SETTINGS, recordings=False))
    await fleet.recorded_round()
    assert fleet.reports[-1].recordings == "too_old"
    assert {query.family for query in fleet.api.asked} == {None, *FAMILIES.names()}
