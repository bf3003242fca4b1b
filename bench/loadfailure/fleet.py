"""Two fleets in a real control plane: one Deployment of many replicas, and as many pods in workloads of five in four namespaces.
What fails has the log of a real Triton's failure; a few of these logs are of 5 MB."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.control_plane import ControlPlane
from tests.loadfailures.failing_cluster import FailingCluster, State, Workload
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Seen, start
from tests.tritons.install import ensure_triton
from triage.probes.pod import MOST_PODS

REPLICAS: Final = "replicas"
"""The namespace and the name of the Deployment."""
NAMESPACES: Final = ("ads", "search", "shop", "vision")
PODS_A_WORKLOAD: Final = 5
LARGE_LOG_BYTES: Final = 5_000_000
_LARGE_LOGS: Final = 3
_HEALTHY: Final = "healthy"
_VERBOSE: Final = "initialize-raises-in-a-verbose-log"
_FAILING: Final = (
    "initialize-raises",
    "weights-are-a-pointer",
    "package-missing",
    "no-version-directory",
    "backend-not-in-the-image",
    "two-of-three-models-fail",
    "warm-up-raises",
    "initialize-raises-and-the-server-exits",
)


@dataclass(frozen=True, slots=True)
class FailingFleet:
    pods: int
    """Of each of both fleets; a multiple of ten."""

    def __str__(self) -> str:
        return f"{self.pods} pods"

    @property
    def failing_workloads(self) -> int:
        return self.pods // PODS_A_WORKLOAD // 2


@dataclass(frozen=True, slots=True)
class Cluster:
    control_plane: ControlPlane
    kubeconfig: Path
    """The administrator's."""
    failing_replicas: Sequence[tuple[str, str]]
    """Namespace and pod, as many as a report looks at."""
    failing: Sequence[tuple[str, str]]
    """Of those that fail in the second fleet."""


@asynccontextmanager
async def failing_cluster(fleet: FailingFleet) -> AsyncIterator[Cluster]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = start(
            [f for f in FAILURES if f.id in (_HEALTHY, _VERBOSE, *_FAILING)], ensure_triton(), folder
        )
        seen = {failure: await task for failure, task in tasks.items()}
        async with (
            ControlPlane(ensure_tools(), folder / "cluster") as plane,
            FailingCluster(plane) as cluster,
        ):
            for namespace in (REPLICAS, *NAMESPACES):
                await plane.create_namespace(namespace)
            made = await cluster.add(replicas(fleet, seen))
            failing = []
            for workload in workloads(fleet, seen):
                names = await cluster.add(workload)
                if workload.pods[0][0] != "ready":
                    failing += [(workload.namespace, pod) for pod in names]
            first = [(REPLICAS, pod) for pod in made[:MOST_PODS]]
            yield Cluster(plane, plane.kubeconfig, first, failing)


def replicas(fleet: FailingFleet, seen: dict[str, Seen]) -> Workload:
    """A fifth of them fails."""
    failing = fleet.pods // 5
    pods: list[tuple[State, Seen]] = [("unready", seen["initialize-raises"])] * failing
    pods += [("ready", seen[_HEALTHY])] * (fleet.pods - failing)
    return Workload(REPLICAS, REPLICAS, pods)


def workloads(fleet: FailingFleet, seen: dict[str, Seen]) -> list[Workload]:
    """Half of them fail, each in all its pods; the first ones' logs are large."""
    names = islice(cycle(_FAILING), fleet.failing_workloads)
    failing = [seen[name] for name in names]
    failing[:_LARGE_LOGS] = [large(one, seen[_VERBOSE].log) for one in failing[:_LARGE_LOGS]]
    found = []
    for number in range(2 * fleet.failing_workloads):
        one = failing[number] if number < len(failing) else seen[_HEALTHY]
        state: State = (
            "ready" if number >= len(failing) else "crash_loop" if one.failed.exit_code else "unready"
        )
        namespace = NAMESPACES[number % len(NAMESPACES)]
        found.append(Workload(namespace, f"model-{number}", [(state, one)] * PODS_A_WORKLOAD))
    return found


def large(seen: Seen, verbose: str) -> Seen:
    """With what a real server says with --log-verbose=1 before it, again and again."""
    talk = "\n".join(line for line in verbose.splitlines() if " I " in line or line.startswith("I")) + "\n"
    return replace(seen, log=talk * (LARGE_LOG_BYTES // len(talk)) + seen.log)
