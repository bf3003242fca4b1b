"""Plays a scenario on real Tritons, with the program under test and a real Prometheus beside each other."""

import asyncio
import itertools
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from telemetry.target import Phase, PodKey, Targets, Workload
from telemetry.target import Target as Pod
from tests.groundtruth.generator import Request, Stream
from tests.groundtruth.nvidia import RULES, Told, ask_rule
from tests.groundtruth.observed import NAMESPACE, Observed, observing
from tests.groundtruth.records import Record
from tests.groundtruth.scenario import ALL, MODEL, Event, PodPlan, Scenario
from tests.groundtruth.served import Disturbance, read_lives
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer
from tests.prometheus.server import Target as Scraped
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import CHECKOUT, TritonServer

LEAD_SECONDS: Final = 2.5
"""A generator's process starts and waits."""
LATEST_SECONDS: Final = 0.25
"""A generator later than this did not make the load that the scenario says."""
APART: Final = 4_000_000
"""Between the first numbers of a pod's streams, of which it has two at most: INPUT is a float, exact up to 16,777,216."""
GRACE_SECONDS: Final = 1.0
"""From a pod's termination until its process is stopped: its last requests end."""
DOWN_SECONDS: Final = 5.0
"""From a crash until the process starts anew, as long as some scrapes."""


class LoadWasLate(Exception):
    """There is nothing to compare with: the load was not what the scenario says."""


@dataclass
class Run:
    """What happened, and what was said of it. `began`: the monotonic second of the scenario's second 0."""

    scenario: Scenario
    began: float
    observed: Observed
    records: Mapping[str, Record]
    told: Mapping[str, list[Told]]
    """By NVIDIA's rules, a pod a value."""

    def ready_at(self, pod: str) -> float:
        return self.began + next(plan.ready for plan in self.scenario.pods if plan.name == pod)

    def pods_at(self, at: float) -> list[str]:
        """Those that are ready and not terminating."""
        second = at - self.began
        return [
            plan.name
            for plan in self.scenario.pods
            if plan.ready <= second and (plan.leaves is None or second < plan.leaves)
        ]


@dataclass
class _Fleet:
    scenario: Scenario
    install: TritonInstall
    folder: Path
    stack: AsyncExitStack
    prometheus: PrometheusServer | None
    targets: Targets = field(default_factory=Targets)
    servers: dict[str, TritonServer] = field(default_factory=dict)
    disturbances: dict[str, Disturbance] = field(default_factory=lambda: defaultdict(Disturbance))
    scraped: dict[str, Scraped] = field(default_factory=dict)

    def server(self, plan: PodPlan) -> TritonServer:
        scenario = self.scenario
        configuration = ""
        if scenario.batching.most > 1:
            delay = round(scenario.batching.delay_seconds * 1e6)
            configuration = (
                f"max_batch_size: {scenario.batching.most}\n"
                f"dynamic_batching {{ max_queue_delay_microseconds: {delay} }}"
            )
        arguments = ["--model-control-mode=explicit", "--load-model=*"]
        if scenario.new_every > 1:
            configuration += "\nresponse_cache { enable: true }"
            caches = self.install.backends.parent / "caches"
            arguments += [f"--cache-directory={caches}", "--cache-config=local,size=4194304"]
        service_ms = plan.service_ms or scenario.service_ms
        model = Model(
            str(Path(__file__).parent / "model"),
            name=MODEL,
            versions=(plan.version,),
            instances=scenario.instances,
            parameters={"service_ms": f"{service_ms:g}", "fail_every": str(scenario.fail_every)},
            configuration=configuration,
        )
        models: list[Model | str] = [model, *(["fast"] if scenario.idle_model else [])]
        folder = self.folder / plan.name
        repository = lay_out(folder / "models", *models)
        return TritonServer(self.install, repository, folder, arguments=arguments)

    def set(self, plan: PodPlan, phase: Phase, *, ready: bool) -> None:
        """What Kubernetes says of the pod, to both."""
        server = self.servers[plan.name]
        key = PodKey(NAMESPACE, plan.name, plan.name)
        pod = Pod(
            key,
            server.metrics_url,
            server.url,
            phase,
            ready,
            born_in_sight=plan.launched is not None,
            workload=Workload("Deployment", "triton"),
        )
        rest = {name: target for name, target in self.targets.by_key.items() if name != key}
        self.targets.replace(rest if phase is Phase.TERMINATING else {**rest, key: pod})
        labels = {"pod": plan.name, "namespace": NAMESPACE}
        self.scraped[plan.name] = Scraped(f"{server.address}:{server.ports.metrics}", labels)
        if phase is Phase.TERMINATING:
            del self.scraped[plan.name]
        if self.prometheus is not None:
            self.prometheus.set_targets(list(self.scraped.values()))

    async def live(self, plan: PodPlan, began: float) -> None:
        """The pod's coming and going."""
        if plan.launched is not None:
            await _until(began + plan.launched)
            server = self.servers[plan.name] = self.server(plan)
            self.set(plan, Phase.STARTING, ready=False)
            await self.stack.enter_async_context(server)
            self.set(plan, Phase.RUNNING, ready=False)
            await _until(began + plan.ready)
            self.set(plan, Phase.RUNNING, ready=True)
        if plan.leaves is not None:
            await _until(began + plan.leaves)
            self.set(plan, Phase.TERMINATING, ready=False)
            await asyncio.sleep(GRACE_SECONDS)
            await self.servers[plan.name].stop()

    async def befall(self, event: Event, began: float) -> None:
        server, disturbance = self.servers[event.pod], self.disturbances[event.pod]
        await _until(began + event.at)
        if event.kind == "restart":
            disturbance.removals.append(time.monotonic())
            server.kill()
            await asyncio.sleep(DOWN_SECONDS)
            await server.restart()
            return
        if event.kind == "reload":
            for file in (self.folder / event.pod / "models" / MODEL).glob("*/model.py"):
                file.touch()
        else:
            disturbance.removals.append(time.monotonic())
            begun = time.monotonic()
            await server.unload(MODEL)
            disturbance.calls.append((begun, time.monotonic()))
            await asyncio.sleep(1.5)
        begun = time.monotonic()
        await server.load(MODEL)
        disturbance.calls.append((begun, time.monotonic()))


async def play(
    scenario: Scenario, install: TritonInstall, folder: Path, prometheus: PrometheusTools | None = None
) -> Run:
    """The scenario from beginning to end; NVIDIA's rules are asked where there is a Prometheus. Raises
    LoadWasLate."""
    questions = [(signal, selector) for selector in scenario.selectors for signal in scenario.signals]
    questions += [(rule.ours, ALL) for rule in RULES] if prometheus is not None else []
    first = [plan for plan in scenario.pods if plan.launched is None]
    async with AsyncExitStack() as stack:
        server = None
        if prometheus is not None:
            server = PrometheusServer(
                prometheus, folder / "prometheus", scrape_interval=f"{scenario.interval:g}s"
            )
            await stack.enter_async_context(server)
        fleet = _Fleet(scenario, install, folder, stack, server)
        for plan in first:
            fleet.servers[plan.name] = fleet.server(plan)
            await stack.enter_async_context(fleet.servers[plan.name])
            fleet.set(plan, Phase.RUNNING, ready=True)
        if server is not None:
            await server.until_scraped(2)
        async with observing(
            fleet.targets,
            questions,
            window=scenario.window,
            interval=scenario.interval,
            every=0.7 * scenario.interval,
        ) as observed:
            began = time.monotonic() + LEAD_SECONDS
            async with asyncio.TaskGroup() as group:
                for plan in scenario.pods:
                    group.create_task(fleet.live(plan, began))
                for event in scenario.events:
                    group.create_task(fleet.befall(event, began))
                asked = {plan.name: group.create_task(_load(fleet, plan, began)) for plan in scenario.pods}
        told = {}
        if server is not None:
            told = {rule.name: await ask_rule(server, rule, observed) for rule in RULES}
    records = {
        plan.name: Record(
            asked[plan.name].result(),
            told_apart(read_lives(fleet.servers[plan.name].ground_truth / "requests"), scenario.new_every),
            observed.scrapes[plan.name],
            fleet.disturbances[plan.name],
            scenario.instances,
            scenario.batching,
            new_every=scenario.new_every,
        )
        for plan in scenario.pods
    }
    late = max(record.lateness() for record in records.values())
    if late > LATEST_SECONDS:
        raise LoadWasLate(f"{scenario.name}: the load generator was {late:.3f} s late: not this load")
    return Run(scenario, began, observed, records, told)


async def _load(fleet: _Fleet, plan: PodPlan, began: float) -> list[Request]:
    """All of a pod's requests."""
    streams: list[list[Request]] = await asyncio.gather(
        *(_generate(fleet, plan, number, began) for number in range(len(plan.flows)))
    )
    return [request for stream in streams for request in stream]


async def _generate(fleet: _Fleet, plan: PodPlan, number: int, began: float) -> list[Request]:
    flow = plan.flows[number]
    if plan.launched is not None:  # its address is not known before
        await _until(began + plan.launched + 0.5)
    stream = Stream(
        fleet.servers[plan.name].url,
        MODEL,
        flow.per_second,
        flow.seconds,
        seed=sum(map(ord, plan.name)) + 100 * number,
        at=began + flow.start,
        first=number * APART,
        new_every=fleet.scenario.new_every,
        batched=fleet.scenario.batching.most > 1,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.groundtruth.generator",
        json.dumps(asdict(stream)),
        cwd=CHECKOUT,
        stdout=PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, "the load generator failed: see its message above"
    return [Request(**json.loads(line)) for line in output.splitlines()]


def told_apart(
    lives: Sequence[Sequence[tuple[int, float, float]]], new_every: int
) -> Sequence[Sequence[tuple[int, float, float]]]:
    """Executions by the number of their request. Of the requests that ask the same, the first were executed: all that came before
    the first answer was there."""
    alike = (number for number in itertools.count() if number == 0 or number % new_every)
    numbers: dict[tuple[int, float], int] = {}
    for value, started, _ in sorted((line for life in lives for line in life), key=lambda line: line[1]):
        numbers[value, started] = next(alike) if new_every > 1 and value == 0 else value
    return [[(numbers[value, started], started, ended) for value, started, ended in life] for life in lives]


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
