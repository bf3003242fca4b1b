"""Everything that runs in one incident: pods, their servers and control groups, the gateway before them; and what is done to it."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from tests.incidents.cgroup import ControlGroup, control_groups_permitted
from tests.incidents.client import now
from tests.incidents.cluster import Cluster, Template
from tests.incidents.gateway import Gateway
from tests.incidents.models import Model, add_version, lay_out, write_configuration
from tests.incidents.pod_server import End, Pod, PodServer, children, command, resident_bytes
from tests.local_process import LocalProcess
from tests.tritons.executions import Execution
from tests.tritons.install import TritonInstall

if TYPE_CHECKING:
    from tests.incidents.autoscaler import Autoscaling

REVISION = "web-5d4f8c7b9"
LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes pods' names of
EXPLICIT = ("--model-control-mode=explicit", "--load-model=*")
POLLING = ("--model-control-mode=poll", "--repository-poll-secs=1")
ARGUMENTS = (
    # A load call holds its thread's connections: with so many threads hardly a user's is among them.
    "--http-thread-count=32",
)
ENDPOINT_SECONDS = 2.0
"""Between the end of a pod and the moment from which gateways know of it."""
HOG = "while True: pass"


@dataclass(frozen=True)
class Note:
    """What the harness did, and when in seconds since 1970. The truth, which no triage gets to see."""

    at: float
    text: str


class World:
    """An async context manager: pods ready behind the gateway inside."""

    def __init__(
        self,
        install: TritonInstall,
        folder: Path,
        *,
        models: tuple[Model, ...],
        pods: tuple[Pod, ...],
        arguments: tuple[str, ...] = (),
        connections: int = 0,
        control: tuple[str, ...] = EXPLICIT,
        cluster: Cluster | None = None,
    ) -> None:
        """With a `cluster` the pods are its pods."""
        self.folder, self.models = folder, {model.name: model for model in models}
        self.gateway = Gateway()
        self.pods: dict[str, PodServer] = {}
        self.starting: dict[str, PodServer] = {}
        self.ended: list[PodServer] = []
        self.notes: list[Note] = []
        self.cluster = cluster
        self.autoscaling: Autoscaling | None = None
        self._install, self._first, self._arguments, self._connections = install, pods, arguments, connections
        self._names = random.Random(folder.name)
        self._control = control
        self._conditions: dict[str, dict[str, dict[str, Any]]] = {}
        self._hogs: list[LocalProcess] = []

    async def __aenter__(self) -> Self:
        self._opened = contextlib.AsyncExitStack()
        try:
            await self._opened.enter_async_context(self.gateway)
            self._opened.push_async_callback(self._stop_everything)
            if self.cluster is not None:
                following = asyncio.create_task(self.cluster.follow(self))
                self._opened.push_async_callback(cancelled, following)
            await asyncio.gather(*(self.start_pod(pod) for pod in self._first))
        except BaseException:
            await self._opened.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    def note(self, text: str) -> None:
        self.notes.append(Note(now(), text))

    def names(self) -> list[str]:
        """The pods that run, in the gateway's order."""
        return sorted(self.pods)

    async def start_pod(self, plan: Pod) -> str:
        """Its name, once its server is ready and gets requests."""
        name = await self._name(plan)
        await self.start_placed(name, plan)
        return name

    async def start_placed(self, name: str, plan: Pod) -> None:
        """The same of a pod that has a name and a node."""
        folder = self.folder / "pods" / name
        models = plan.models or tuple(self.models.values())
        group = ControlGroup(name) if control_groups_permitted() else None
        caches = self._install.backends.parent / "caches"
        server = PodServer(
            self._install,
            lay_out(folder / "models", models),
            folder,
            address=self.cluster.addresses[name] if self.cluster is not None else "127.0.0.1",
            arguments=(
                *self._control,
                *ARGUMENTS,
                f"--cache-directory={caches}",
                *self._arguments,
                *plan.arguments,
            ),
            environment=plan.environment,
            limit=_joins(group, plan.core),
        )
        server.name, server.plan, server.group, server.repository = name, plan, group, folder / "models"
        self.starting[name] = server
        try:
            self.pods[name] = await self._opened_server(server)
        finally:
            del self.starting[name]
        self.gateway.add(name, server.url, connections=self._connections)

    async def stop_pod(self, name: str) -> None:
        """Takes it out of the gateway, then ends it."""
        server = self.pods.pop(name)
        await self.gateway.remove(name)
        await self._end(server)
        if self.cluster is not None:
            await self.cluster.released(name)

    async def replace(self, old: str, plan: Pod) -> str:
        """Deletes a pod, which goes on until the one that is made in its place is ready; the new one's name."""
        if self.cluster is not None:
            await self.cluster.delete(old)
        new = await self.start_pod(plan)
        self.note(f"started {new}")
        await self.stop_pod(old)
        self.note(f"stopped {old}")
        return new

    async def roll_out(self, template: Template, plan: Pod, *, grace: bool = True) -> None:
        """Replaces the pods one by one, each once its successor is ready. Without grace an old one is killed while the
        gateway still sends to it."""
        old = self.names()
        if self.cluster is not None:
            await self.cluster.roll_out(template)
            self.note("changed the pods' template")
        ended: set[str] = set()
        for name in old:
            self.note(f"started {await self.start_pod(plan)}")
            going = await self.cluster.next_ending(ended) if self.cluster is not None else name
            ended.add(going)
            if not grace:
                self.gateway.upstreams[going].stale_until = time.monotonic() + ENDPOINT_SECONDS
                self.pods[going].kill()
                self.note(f"killed {going}")
                await asyncio.sleep(ENDPOINT_SECONDS)
            await self.stop_pod(going)
            self.note(f"stopped {going}")

    async def end_over_limit(self, name: str) -> None:
        """Ends the server as the kernel ends what is over its memory limit, and starts it again as a kubelet does."""
        server = self.pods[name]
        self.note(f"{name} is over its limit and is killed, as the kernel would")
        self.gateway.upstreams[name].ready = False
        server.kill()
        server.last_end = End(server.started_at, now(), 137, "OOMKilled")
        await server.restart()

    def condition(self, model: str, *, pods: list[str] | None = None, **condition: Any) -> None:
        """What `served/model.py` finds at its next request; without words, all is well again."""
        for name in pods or self.names():
            of_pod = self._conditions.setdefault(name, {})
            of_pod[model] = condition
            file = self.pods[name].ground_truth / "conditions.json"
            file.with_suffix(".new").write_text(json.dumps(of_pod))
            file.with_suffix(".new").rename(file)
        self.note(f"condition of {model}: {condition}")

    async def load(self, model: Model, *, pods: list[str] | None = None, version: int | None = None) -> None:
        """Writes it into the repositories and has it loaded, in place where it is loaded already."""
        for name in pods or self.names():
            server = self.pods[name]
            write_configuration(server.repository, model)
            if version is not None:
                add_version(server.repository, model, version)
            self.note(f"loads {model.name} in {name}")
            await server.load(model.name)
            self.note(f"loaded {model.name} in {name}")

    def write(self, model: Model) -> None:
        """Writes its configuration into the repositories, which a polling server finds by itself."""
        for server in self.pods.values():
            write_configuration(server.repository, model)
        self.note(f"wrote the configuration of {model.name}")

    async def kill_stubs(self, pod: str) -> int:
        """Ends the Python stubs of one pod as a crash would; how many they were."""
        stubs = [pid for pid in children(self.pods[pod].process.pid) if "python_b" in command(pid)]
        for pid in stubs:
            os.kill(pid, signal.SIGKILL)
        self.note(f"killed {len(stubs)} stubs of {pod}")
        return len(stubs)

    async def start_hogs(self, count: int, core: int) -> None:
        """Other programs that want a processor for themselves, until `end_hogs`."""
        for number in range(count):
            log = self.folder / "hogs.log"
            command = [sys.executable, "-c", HOG]
            self._hogs.append(
                await LocalProcess.start(f"hog {number}", command, log=log, limit=_joins(None, core))
            )
        self.note(f"started {count} programs on core {core}")

    async def end_hogs(self) -> None:
        while self._hogs:
            await self._hogs.pop().stop(seconds=1)

    async def statistics(self) -> dict[str, Any]:
        """Of the statistics API, by pod; None of a pod that does not answer."""
        found = {}
        for name, server in list(self.pods.items()):
            try:
                found[name] = await server.call("GET", "/v2/models/stats", seconds=3.0)
            except (aiohttp.ClientError, TimeoutError, OSError):
                found[name] = None
        return found

    def executions(self) -> list[Execution]:
        """What the models of every pod really did."""
        return [each for server in [*self.pods.values(), *self.ended] for each in server.executions()]

    def resident_bytes(self, pod: str) -> int:
        """Memory of the server and its stubs, what they share counted for each."""
        pid = self.pods[pod].process.pid
        return sum(resident_bytes(each) for each in (pid, *children(pid)))

    def memory_bytes(self, pod: str) -> int:
        """What the kernel counts against a limit, where it counts."""
        group = self.pods[pod].group
        return group.usage().memory_bytes if group else self.resident_bytes(pod)

    async def _name(self, plan: Pod) -> str:
        if self.cluster is not None:
            return await self.cluster.place(plan.node)
        return f"{REVISION}-{''.join(self._names.choices(LETTERS, k=5))}"

    async def _opened_server(self, server: PodServer) -> PodServer:
        await server.__aenter__()
        return server

    async def _stop_everything(self) -> None:
        await self.end_hogs()
        for name in self.names():
            await self.stop_pod(name)

    async def _end(self, server: PodServer) -> None:
        self.ended.append(server)
        await server.__aexit__(None, None, None)
        if server.group is not None:
            await server.group.remove()


async def cancelled(task: asyncio.Task[None]) -> None:
    """Raises what had ended it before."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _joins(group: ControlGroup | None, core: int | None) -> Any:
    join = group.joiner() if group else None

    def prepare() -> None:
        if join is not None:
            join()
        if core is not None:
            os.sched_setaffinity(0, {core})

    return prepare
