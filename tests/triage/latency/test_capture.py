"""Scrapes over a window: what comes of pages that come, come late, or never come."""

import aiohttp
import pytest

from tests.triage.latency.pages import GPU_BUSY, P99, PENDING, SUCCESS
from tests.triage.latency.peers import Peer, Reply, ask, ask_all, peer
from triage.collect import Question
from triage.evidence import Facts, Missing
from triage.latency.facts import Lifetime, Ranges, Series
from triage.probes.capture import capture_questions, check_metrics_url, metrics_url

PAGE = "GET /metrics"
INTERVAL = 0.2


def page(requests: int) -> Reply:
    text = f'nv_inference_request_success{{model="m",version="1"}} {requests}\n'
    return Reply(text.encode() + b'nv_inference_pending_request_count{model="m",version="1"} 3\n')


async def captured(triton: Peer, steps: int, **more: str | bool) -> dict[str, Facts | Missing]:
    async with aiohttp.ClientSession() as session:
        return await ask_all(questions(triton.url, session, steps, **more))


def questions(url: str, session: aiohttp.ClientSession, steps: int, **more: str | bool) -> list[Question]:
    return capture_questions(
        url,
        session,
        [SUCCESS, PENDING],
        seconds=steps * INTERVAL,
        interval=INTERVAL,
        **{"metrics": f"{url}/metrics", "pod": "web-1", **more},  # type: ignore[arg-type]
    )


def ranges(found: dict[str, Facts | Missing], id: str) -> Ranges:
    facts = found[id]
    assert isinstance(facts, Ranges)
    return facts


async def test_a_capture_is_a_lifetime_and_a_range_for_each_measure() -> None:
    async with peer({PAGE: [page(40), page(44), page(44)]}) as triton:
        found = await captured(triton, 2)
    labels = {"pod": "web-1", "model": "m", "version": "1"}
    assert list(found) == [f"lifetime:{triton.url[7:]}", "capture/success", "capture/pending"]
    assert found[f"lifetime:{triton.url[7:]}"] == Lifetime({"success": (Series(labels, (40.0,)),)})
    success = ranges(found, "capture/success")
    moved, idle = success.series[0].values
    assert (success.steps, success.step, success.smear, idle) == (2, INTERVAL, INTERVAL, 0.0)
    assert moved
    assert ranges(found, "capture/pending").series == (Series(labels, (3.0, 3.0)),)
    assert len(triton.seen) == 3
    assert {each.headers["Connection"] for each in triton.seen} == {"close"}


async def test_beside_other_servers_the_ids_and_without_a_pods_name_the_series_tell_the_address() -> None:
    async with peer({PAGE: [page(1)]}) as triton:
        found = await captured(triton, 1, pod="", several=True)
    where = triton.url.removeprefix("http://")
    assert list(found) == [f"lifetime:{where}", f"capture/success:{where}", f"capture/pending:{where}"]
    assert ranges(found, f"capture/pending:{where}").series[0].labels["pod"] == where


async def test_a_page_that_is_late_or_refused_or_torn_is_of_no_step() -> None:
    """The next one's rate is the average over the gap."""
    late = Reply(page(2).body, after_seconds=4 * INTERVAL)
    async with peer({PAGE: [page(0), late, Reply(status=503), Reply(b"nv_torn 1"), page(40)]}) as triton:
        found = await captured(triton, 4)
    (series,) = ranges(found, "capture/success").series
    assert series.values[:3] == (None, None, None)
    assert series.values[3]


async def test_a_measure_without_a_series_says_what_it_would_need() -> None:
    """A family that is not there, and a counter that was seen once: neither is a zero."""
    async with peer({PAGE: [Reply(status=503), page(1)]}) as triton, aiohttp.ClientSession() as session:
        measures = [SUCCESS, PENDING, P99, GPU_BUSY]
        asked = capture_questions(
            triton.url, session, measures, seconds=0.2, interval=0.2, metrics=f"{triton.url}/metrics"
        )
        found = await ask_all(asked)
    reasons = {id: facts.reason for id, facts in found.items() if isinstance(facts, Missing)}
    assert reasons == {
        "capture/success": "too_few_points",
        "capture/request_p99": "no_series",
        "capture/gpu_busy": "no_series",
    }
    assert "summary_latencies=true" in str(found["capture/request_p99"])


async def test_a_capture_of_pages_too_large_to_keep_ends_early_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("triage.probes.capture.MAX_SAMPLES", 5)
    async with peer({PAGE: [page(1)]}) as triton:
        found = await captured(triton, 10)
    pending = ranges(found, "capture/pending")
    assert (pending.steps, len(triton.seen)) == (2, 3)
    assert pending.warnings == ("only the first 0.4 s: the pages are too large to keep more",)


UNAVAILABLE = "is --allow-metrics on, and is this the metrics port (--metrics-port, 8002)?"


@pytest.mark.parametrize(
    ("reply", "reason", "said"),
    [
        (Reply(b"no", 404), "not_enabled", "HTTP 404 no"),
        (Reply(b'{"error": "restricted"}', 403), "forbidden", "HTTP 403 restricted"),
        (Reply(b"<html>\n"), "parse_error", "line 1"),
        (Reply(b""), "parse_error", "not a metrics page"),
        (Reply(b"\xff\n"), "parse_error", "utf-8"),
        (Reply(b"go_goroutines 4\n"), "no_series", "none of Triton's families"),
        (Reply(b"nv_x 1\n", after_seconds=1), "timeout", "no answer within"),
    ],
)
async def test_where_no_page_came_at_all_it_says_why_and_what_to_try(
    reply: Reply, reason: str, said: str
) -> None:
    async with peer({PAGE: [reply]}) as triton:
        found = await captured(triton, 1)
    assert list(found) == [f"lifetime:{triton.url[7:]}", "capture"]
    for missing in found.values():
        assert isinstance(missing, Missing)
        assert (missing.reason, said in missing.detail) == (reason, True), missing
        assert missing.remedy.startswith(UNAVAILABLE)


async def test_nobody_at_the_address_is_unreachable_and_the_password_is_not_told() -> None:
    async with aiohttp.ClientSession() as session:
        (question,) = questions("http://me:s3cret@127.0.0.1:1", session, 1)
        missing = (await ask(question)).facts
    assert isinstance(missing, Missing)
    assert missing.reason == "unreachable"
    assert "s3cret" not in f"{missing} {question}"


async def test_a_capture_has_the_patience_to_reach_its_end() -> None:
    async with aiohttp.ClientSession() as session:
        (question,) = capture_questions("http://h:8000", session, [], seconds=30, interval=1)
    assert (question.probe, question.source, question.query, question.command) == (
        "lifetime",
        "metrics of Triton at http://h:8002/metrics",
        "GET /metrics, every 1 s for 30 s",
        "curl -s http://h:8002/metrics",
    )
    assert (question.patience or 0) > 31


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("http://localhost:8000", "http://localhost:8002/metrics"),
        ("https://me:s3cret@triton.example:443/prefix", "http://triton.example:8002/metrics"),
        ("http://[::1]:8000", "http://[::1]:8002/metrics"),
    ],
)
def test_the_metrics_page_is_at_port_8002_of_the_same_host_without_its_password(url: str, page: str) -> None:
    assert metrics_url(url) == page


def test_a_given_metrics_page_is_taken_as_it_is_and_a_bare_port_has_its_path_added() -> None:
    assert check_metrics_url("http://h:9002") == "http://h:9002/metrics"
    assert check_metrics_url("http://h:9002/triton/metrics/") == "http://h:9002/triton/metrics"
    with pytest.raises(ValueError, match=r"http://localhost:8002/metrics"):
        check_metrics_url("h:9002")
