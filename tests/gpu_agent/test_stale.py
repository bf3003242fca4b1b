"""What the agent serves when no new look comes. Time is given, not waited for."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from telemetry.gpu_agent import agent as module
from telemetry.gpu_agent.agent import Agent, Settings
from telemetry.gpu_agent.devices import Gpu
from telemetry.gpu_agent.problems import Problem
from telemetry.gpu_agent.snapshot import Snapshot

SETTINGS = Settings(node="node-a", address="127.0.0.1", port=8080, interval=5.0, pod_resources=None)


class Looks:
    """A sampler whose second look never ends."""

    def __init__(self) -> None:
        self._answers: Iterator[Snapshot] = iter(
            [Snapshot(gpus=[Gpu(0, "GPU-0", sm_clock_hertz=1e9)], problems=[Problem("nvml_error", "0")])]
        )

    async def look(self, before: Snapshot) -> Snapshot:
        for answer in self._answers:
            return answer
        raise Hung


class Hung(Exception):
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


async def _looked_once(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Agent:
    async def no_wait(seconds: float) -> None:
        assert seconds == 5.0

    sampler: Any = Looks()
    agent = Agent(SETTINGS, sampler)
    monkeypatch.setattr(asyncio, "sleep", no_wait)
    with pytest.raises(Hung):
        await agent.keep_looking()
    return agent


def _names(agent: Agent) -> set[str]:
    return {sample.name for family in agent.collect() for sample in family.samples}


@pytest.mark.parametrize(("seconds", "served"), [(0.0, True), (15.0, True), (15.1, False), (3600.0, False)])
async def test_a_snapshot_older_than_three_intervals_serves_no_device(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, served: bool
) -> None:
    """Its age and what was wrong stay to be seen."""
    agent = await _looked_once(clock, monkeypatch)
    clock.now += seconds
    own = {
        "triton_gpu_agent_snapshots_total",
        "triton_gpu_agent_snapshot_age_seconds",
        "triton_gpu_agent_problem",
    }
    devices = {"triton_gpu_sm_clock_hertz", "triton_gpu_xid_watched"}
    assert _names(agent) == (own | devices if served else own)
    assert [condition.ok for condition in agent.ready() if condition.name == "snapshot"] == [served]


@pytest.mark.parametrize(("seconds", "alive"), [(0.0, True), (34.0, True), (36.0, False)])
async def test_it_lives_as_long_as_looks_begin(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, alive: bool
) -> None:
    agent = await _looked_once(clock, monkeypatch)
    clock.now += seconds
    assert agent.live()[0].ok is alive


def test_before_the_first_look_there_is_no_age_and_no_readiness(clock: Clock) -> None:
    sampler: Any = Looks()
    agent = Agent(SETTINGS, sampler)
    assert _names(agent) == {"triton_gpu_agent_snapshots_total"}
    assert not all(condition.ok for condition in agent.ready())
    assert all(condition.ok for condition in agent.live())
