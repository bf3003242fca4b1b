"""A thousand pods of the simulator are what they are taken for: pages of a Triton, and one truth behind them."""

import time
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from autoscaler.signal import load_signals, needed_families
from telemetry.http_body import PlainPages, scrape_session
from telemetry.rules_dir import rules_dir
from telemetry.scrape import Scraper, ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.window import FAILURE, PENDING, SUCCESS
from tests.manypods.page import Models, gpu_uuid
from tests.manypods.server import ManyPods, serving


def test_a_page_shows_what_the_pod_did_and_what_waits_in_it() -> None:
    models = Models("chat-3", 7)
    page = models.page(pod=12, age=1000.0).decode()
    totals: dict[tuple[str, str], float] = defaultdict(float)
    uuids = set()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            uuids |= {sample.labels["gpu_uuid"]} if "gpu_uuid" in sample.labels else set()
            totals[sample.name.removesuffix("_total"), sample.labels.get("model", "")] += sample.value
    assert uuids == {gpu_uuid(12).decode()}
    for number, name in enumerate(models.names):
        requests = models.requests(number, 12, 1000.0)
        assert totals[SUCCESS, name] == requests
        assert totals["nv_inference_request_duration_us", name] == 14_000 * requests
        assert totals[PENDING, name] == models.pending(number, 12, 1000.0)
        assert totals[FAILURE, name] == 0


def test_counters_never_fall_and_grow_at_the_rate_that_is_told() -> None:
    models = Models("chat-0", 20)
    for number in range(20):
        done = [models.requests(number, 7, age / 2) for age in range(20_000)]
        assert done == sorted(done)
        assert abs(done[-1] - models.rate(number, 7) * 10_000) <= 0.01 * done[-1] + 1


async def test_a_thousand_pods_answer_one_round_of_scrapes_each_with_its_own_numbers() -> None:
    async with serving(ManyPods(1000, 2)) as fleet, scrape_session() as session:
        pods = {PodKey("n", pod.name, ""): pod for pod in fleet}
        targets = Targets()
        targets.replace(
            {
                key: Target(key, f"{fleet.url(pod)}/metrics", fleet.url(pod), Phase.RUNNING, ready=True)
                for key, pod in pods.items()
            }
        )
        families = needed_families(load_signals(rules_dir() / "signals"))
        settings = ScrapeSettings(60.0, 30.0)
        scraper = Scraper(targets, families, [30.0], settings, PlainPages(session), time.monotonic)
        for _ in range(2):
            await scraper.scrape_all()
            ended = time.monotonic()
        states = list(scraper.pods("n"))
    assert len(states) == 1000
    for state in states:
        pod = pods[state.target.key]
        assert (state.failure, set(state.models)) == (None, set(pod.models.names))
        window = state.windows[30.0]
        for number, name in enumerate(pod.models.names):
            row = next(row for key, row in window.rows.items() if key.model == name)
            before = window.at - row.seconds - fleet.began
            most = pod.models.requests(number, pod.number, ended - fleet.began)
            assert 0 <= row.increase[SUCCESS] <= most - pod.models.requests(number, pod.number, before)
