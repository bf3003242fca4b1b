"""What a capture tells of a real Triton, against what the load itself sent."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest
import pytest_asyncio

from tests.triage.latency.pages import FAILURE, P99, PENDING, QUEUE_TIME, SUCCESS, Row
from tests.triage.latency.peers import ask_all
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.repository import lay_out
from tests.tritons.server import TritonServer
from triage.evidence import Facts, Missing
from triage.latency.facts import Lifetime, ModelSettings, ModelStatistics, Ranges, Statistics
from triage.probes.capture import capture_questions
from triage.probes.settings import with_settings
from triage.probes.statistics import statistics_question
from triage.probes.triton_url import triton_questions

pytestmark = pytest.mark.asyncio(loop_scope="session")

INTERVAL = 0.5
INFERENCES = Row("inferences", "nv_inference_count")
INFER_TIME = Row("infer_time", "nv_inference_compute_infer_duration_us", scale=0.001)
MEASURES = (SUCCESS, FAILURE, INFERENCES, QUEUE_TIME, INFER_TIME, PENDING, P99)
Found = dict[str, Facts | Missing]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def triton(
    triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TritonServer]:
    folder = tmp_path_factory.mktemp("captured")
    repository = lay_out(folder / "models", "batching", "slow", "failing")
    async with TritonServer(triton_install, repository, folder) as server:
        yield server


async def captured(triton: TritonServer, seconds: float) -> Found:
    """All that a capture brings, by id without the address."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        questions = capture_questions(
            triton.url,
            session,
            MEASURES,
            seconds=seconds,
            interval=INTERVAL,
            pod="web-1",
            metrics=triton.metrics_url,
        )
        statistics = statistics_question(triton.url, session, seconds=seconds)
        scraped = group.create_task(ask_all(questions))
        counted = group.create_task(ask_all([statistics]))
    return {id.partition(":")[0]: facts for id, facts in (scraped.result() | counted.result()).items()}


def counted(found: Found, measure: str, model: str, **labels: str) -> float:
    """The measure's increase over the capture, in its unit times seconds: each rate times the steps that it covers."""
    total, steps = 0.0, 0
    for value in values(found, measure, model, **labels):
        steps += 1
        if value is not None:
            total, steps = total + value * steps * INTERVAL, 0
    return total


def values(found: Found, measure: str, model: str, **labels: str) -> Sequence[float | None]:
    ranges = found[f"capture/{measure}"]
    assert isinstance(ranges, Ranges), ranges
    wanted = {"pod": "web-1", "model": model, "version": "1", **labels}
    (series,) = [each for each in ranges.series if each.labels == wanted]
    return series.values


def statistics(found: Found, model: str) -> tuple[ModelStatistics, ModelStatistics]:
    """Before and during."""
    told = found["statistics"]
    assert isinstance(told, Statistics), told
    before, during = ([each for each in part if each.model == model] for part in (told.before, told.during))
    return before[0], during[0]


async def test_a_capture_counts_what_was_sent(triton: TritonServer) -> None:
    """Within a tenth: a scrape is up to a tenth of its interval off its step, and over several steps that averages out. Requests of
    before the capture are the lifetime's."""
    for _ in range(7):
        await triton.infer("slow", 1)
    async with asyncio.TaskGroup() as group:
        capture = group.create_task(captured(triton, 4.0))
        await asyncio.sleep(0.5)
        batching = Load(lambda: [triton.url], "batching", 20.0)
        group.create_task(batching.closed_loop(workers=4, seconds=2.2))
        group.create_task(Load(lambda: [triton.url], "slow", 20.0).open_loop(per_second=20, seconds=2))
        group.create_task(Load(lambda: [triton.url], "failing").open_loop(per_second=10, seconds=2))
    found = capture.result()

    assert counted(found, "success", "slow") == pytest.approx(40, rel=0.1)
    assert counted(found, "success", "batching") == pytest.approx(len(batching.sent), rel=0.1)
    assert counted(found, "failure", "failing", reason="BACKEND") == pytest.approx(20, rel=0.1)
    assert counted(found, "infer_time", "slow") / counted(found, "success", "slow") == pytest.approx(
        23, abs=4
    )
    assert values(found, "success", "slow")[-1] == 0.0
    assert (values(found, "request_p99", "slow")[-1] or 0) >= 20

    lifetime = found["lifetime"]
    assert isinstance(lifetime, Lifetime)
    (slow,) = [each for each in lifetime.totals["success"] if each.labels["model"] == "slow"]
    assert slow.values == (7.0,)

    before, during = statistics(found, "batching")
    assert (before.inferences, during.inferences) == (0, len(batching.sent))
    executed = Counter(each.requests for each in triton.executions() if each.model == "batching")
    assert {batch.size: batch.executions for batch in during.batches} == executed
    largest = during.batches[-1]
    assert largest.size > 1
    assert largest.infer_ms / largest.executions >= 20
    _, failed = statistics(found, "failing")
    assert failed.failures == 20
    assert failed.failure_ms > 0


async def test_the_settings_are_those_of_the_models_configurations(triton: TritonServer) -> None:
    async with aiohttp.ClientSession() as session:
        questions = with_settings(triton_questions(triton.url, session), triton.url, session, model="slow")
        found = await ask_all(questions)
    ids = [id for id in found if id.startswith("settings:")]
    assert ids == ["settings:slow", "settings:batching", "settings:failing"]
    batching = found["settings:batching"]
    assert isinstance(batching, ModelSettings)
    assert (batching.max_batch_size, batching.dynamic_batching, batching.max_queue_delay_ms) == (8, True, 5.0)
    assert (batching.instances, batching.instance_kinds) == (1, ("KIND_CPU",))


async def test_a_restart_within_a_capture_is_a_gap_and_neither_negative_nor_counted_twice(
    triton: TritonServer,
) -> None:
    found = None
    for seconds in (6.0, 20.0, 60.0):  # on a busy machine a restart may outlast a short capture
        if found := await restarted_while_captured(triton, seconds):
            break
    assert found
    slow = values(found, "success", "slow")
    assert (slow[0], None in slow) == (0.0, True)
    # A rate is over the time that really lay between two pages, which a busy machine stretches; twice would be 12, and more.
    assert 4 < counted(found, "success", "slow") < 9
    before, during = statistics(found, "slow")
    assert before.inferences > 6
    assert during.inferences == 6


async def restarted_while_captured(triton: TritonServer, seconds: float) -> Found | None:
    """What a capture tells over a restart and six requests after it; None when it ended before they did."""
    for _ in range(7):
        await triton.infer("slow", 1)
    async with asyncio.TaskGroup() as group:
        capture = group.create_task(captured(triton, seconds))
        ends_at = asyncio.get_running_loop().time() + seconds - 2 * INTERVAL
        await asyncio.sleep(0.7)
        await triton.restart()
        await Load(lambda: [triton.url], "slow").open_loop(per_second=10, seconds=0.6)
        in_time = asyncio.get_running_loop().time() < ends_at
    return capture.result() if in_time else None
