"""What Triton's counters cannot see, seen on a real one: each row of the README's table that is about a model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

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


@asynccontextmanager
async def triton(
    install: TritonInstall,
    folder: Path,
    *models: Model | str,
    arguments: tuple[str, ...] = (),
    summaries: bool = True,
) -> AsyncIterator[tuple[TritonServer, Watched]]:
    repository = lay_out(folder / "repository", *models)
    async with (
        TritonServer(
            install, repository, folder / "server", arguments=arguments, summaries=summaries
        ) as server,
        watched(server) as seen,
    ):
        yield server, seen


async def under_load(server: TritonServer, model: str, workers: int, **how: object) -> "asyncio.Task[object]":
    """Load in a closed loop, running for longer than the window already."""
    load = Load(lambda: [server.url], model, **how)  # type: ignore[arg-type]
    running = asyncio.create_task(load.closed_loop(workers=workers, seconds=60))
    await asyncio.sleep(WINDOW + 2.5)
    return running


async def test_an_idle_server_is_idle_in_every_signal_but_memory(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """A server without a GPU has no GPU memory: that is no data with a remedy, not zero."""
    async with triton(triton_install, tmp_path, "slow") as (_, seen):
        answers = [seen.ask(signal) for signal in (CONCURRENCY, PENDING, RATE, QUEUE, P99)]
        assert [(answer.value, answer.idle) for answer in answers if isinstance(answer, Value)] == [
            (0, True)
        ] * 5
        refusal = seen.refusal(MEMORY)
        assert refusal.reason is Reason.FAMILY_ABSENT
        assert "DCGM" in refusal.message


async def test_a_decoupled_model_has_a_rate_and_no_concurrency(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """Eight requests of half a second each are in it, and its own counters tell of almost nothing."""
    async with triton(triton_install, tmp_path, "decoupled") as (server, seen):
        running = await under_load(server, "decoupled", 8, value=500.0, api="generate")
        assert seen.number(RATE) == pytest.approx(16, rel=0.25)
        for signal in (CONCURRENCY, PENDING, QUEUE, P99):
            refusal = seen.refusal(signal)
            assert (refusal.reason, "'decoupled'" in refusal.message) == (Reason.DECOUPLED, True)
        running.cancel()


async def test_an_ensemble_or_its_parts_are_counted_never_both(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """Three requests in the server are three, whether asked by ensemble or over all models."""
    async with triton(triton_install, tmp_path, "ensemble") as (server, seen):
        running = await under_load(server, "ensemble", 3, value=100.0)
        assert seen.number(CONCURRENCY) == pytest.approx(3, rel=0.25)
        assert seen.number(CONCURRENCY, "model=ensemble") == pytest.approx(3, rel=0.25)
        assert seen.number(RATE, "model=ensemble") == pytest.approx(10, rel=0.25)
        assert seen.number(P99, "model=ensemble") > 200
        running.cancel()


async def test_a_hung_model_is_not_idle(triton_install: TritonInstall, tmp_path: Path) -> None:
    """Nothing completes: those waiting still count, and every rate and mean is no data that names the model."""
    async with triton(triton_install, tmp_path, Model("hanging"), "fast") as (server, seen):
        running = await under_load(server, "hanging", 4, value=60.0)
        assert seen.refusal(RATE, "model=hanging").reason is Reason.STALLED
        assert "'hanging'" in seen.refusal(QUEUE).message
        assert seen.refusal(P99).reason is Reason.STALLED
        assert seen.number(PENDING) >= 3
        server.release()
        running.cancel()


async def test_a_server_that_is_not_ready_counts_while_it_answers(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """One failed load makes a whole Triton not ready, while its other model serves on."""
    arguments = ("--model-control-mode=explicit", "--load-model=slow")
    async with triton(triton_install, tmp_path, "slow", arguments=arguments) as (server, seen):
        with pytest.raises(TritonRefused):
            await server.load("no-such-model")
        running = await under_load(server, "slow", 2, value=50.0)
        assert seen.number(CONCURRENCY) == pytest.approx(2, rel=0.25)
        running.cancel()


async def test_failed_requests_count_in_the_rate(triton_install: TritonInstall, tmp_path: Path) -> None:
    """They have no durations: with nothing but failures there is no mean queue time."""
    async with triton(triton_install, tmp_path, "failing") as (server, seen):
        running = await under_load(server, "failing", 1, value=0.0)
        assert seen.number(RATE) > 10
        assert seen.refusal(QUEUE).reason is Reason.NO_SUCCESS
        running.cancel()


async def test_without_summaries_p99_says_how_to_have_them(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with triton(triton_install, tmp_path, "fast", summaries=False) as (
        server,
        seen,
    ):
        running = await under_load(server, "fast", 1)
        assert "--metrics-config summary_latencies=true" in seen.refusal(P99).message
        assert seen.number(RATE) > 10
        running.cancel()
