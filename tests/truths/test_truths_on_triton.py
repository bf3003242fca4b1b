"""What Triton's counters cannot see, seen on a real one: each row of the README's table that is about a model."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from autoscaler.answer import Reason, Value
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonRefused, TritonServer
from tests.truths.watched import (
    CONCURRENCY,
    MEMORY,
    P99,
    PENDING,
    QUEUE,
    RATE,
    WINDOW,
    Watched,
    watched,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def under_load(
    server: TritonServer, *loads: tuple[str, int, dict[str, Any]]
) -> list["asyncio.Task[Any]"]:
    """Loads in closed loops (model, workers, how), running for longer than the window already."""
    running = [
        asyncio.create_task(
            Load(lambda: [server.url], model, **how).closed_loop(workers=workers, seconds=120)
        )
        for model, workers, how in loads
    ]
    await asyncio.sleep(WINDOW + 2.5)
    return running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy(
    triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Watched]:
    """One server with a model for each truth, all under load at once: a model's answer is its own."""
    folder = tmp_path_factory.mktemp("busy")
    repository = lay_out(folder / "repository", "decoupled", "ensemble", "hanging", "failing")
    async with (
        TritonServer(triton_install, repository, folder / "server") as server,
        watched(server) as seen,
    ):
        running = await under_load(
            server,
            ("decoupled", 8, {"value": 500.0, "api": "generate"}),
            ("ensemble", 3, {"value": 100.0}),
            ("hanging", 4, {"value": 60.0}),
            ("failing", 1, {"value": 0.0}),
        )
        yield seen
        server.release()
        for task in running:
            task.cancel()


async def test_a_decoupled_model_has_a_rate_and_no_concurrency(busy: Watched) -> None:
    """Eight requests of half a second each are in it, and its own counters tell of almost nothing."""
    assert busy.number(RATE, "model=decoupled") == pytest.approx(16, rel=0.25)
    for signal in (CONCURRENCY, PENDING, QUEUE, P99):
        refusal = busy.refusal(signal, "model=decoupled")
        assert (refusal.reason, "'decoupled'" in refusal.message) == (Reason.DECOUPLED, True)


async def test_a_total_over_a_decoupled_model_is_no_data(busy: Watched) -> None:
    """What is not seen of it would be missing from the sum."""
    assert busy.refusal(CONCURRENCY, "model in (decoupled,slow)").reason is Reason.DECOUPLED


async def test_an_ensemble_or_its_parts_are_counted_never_both(busy: Watched) -> None:
    """Three requests in the server are three, asked by the ensemble, by its parts, or by all of them."""
    for selector in ("model=ensemble", "model in (fast,slow)", "model in (ensemble,fast,slow)"):
        assert busy.number(CONCURRENCY, selector) == pytest.approx(3, rel=0.25)
    assert busy.number(RATE, "model=ensemble") == pytest.approx(10, rel=0.25)
    assert busy.number(P99, "model=ensemble") > 200


async def test_a_hung_model_is_not_idle(busy: Watched) -> None:
    """Nothing completes: those waiting still count, and every rate and mean is no data that names the model."""
    for signal in (RATE, QUEUE, P99):
        refusal = busy.refusal(signal, "model=hanging")
        assert (refusal.reason, "'hanging'" in refusal.message) == (Reason.STALLED, True)
    assert busy.number(PENDING, "model=hanging") >= 3


async def test_failed_requests_count_in_the_rate(busy: Watched) -> None:
    """They have no durations: with nothing but failures there is no mean queue time."""
    assert busy.number(RATE, "model=failing") > 10
    assert busy.refusal(QUEUE, "model=failing").reason is Reason.NO_SUCCESS


async def test_an_idle_server_is_idle_in_every_signal_but_memory(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """A server without a GPU has no GPU memory: that is no data with a remedy, not zero."""
    repository = lay_out(tmp_path / "repository", "slow")
    async with (
        TritonServer(triton_install, repository, tmp_path / "server") as server,
        watched(server) as seen,
    ):
        answers = [seen.ask(signal) for signal in (CONCURRENCY, PENDING, RATE, QUEUE, P99)]
        idle = [(answer.value, answer.idle) for answer in answers if isinstance(answer, Value)]
        assert idle == [(0, True)] * 5
        refusal = seen.refusal(MEMORY)
        assert (refusal.reason, "DCGM" in refusal.message) == (Reason.FAMILY_ABSENT, True)


async def test_a_server_that_is_not_ready_counts_while_it_answers(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """One failed load makes a whole Triton not ready, while its other model serves on. Started without summaries, it has no p99,
    and says how to have one."""
    arguments = ("--model-control-mode=explicit", "--load-model=slow")
    repository = lay_out(tmp_path / "repository", "slow", Model("fast", name="broken"))
    (repository / "broken/1/model.py").write_text("raise RuntimeError('no weights')\n")
    async with (
        TritonServer(
            triton_install, repository, tmp_path / "server", arguments=arguments, summaries=False
        ) as server,
        watched(server) as seen,
    ):
        with pytest.raises(TritonRefused):
            await server.load("broken")
        with pytest.raises(TritonRefused):
            await server.call("GET", "/v2/health/ready")
        running = await under_load(server, ("slow", 2, {"value": 50.0}))
        assert seen.number(CONCURRENCY) == pytest.approx(2, rel=0.25)
        assert "--metrics-config summary_latencies=true" in seen.refusal(P99).message
        for task in running:
            task.cancel()
