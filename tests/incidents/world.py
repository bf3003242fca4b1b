"""Everything that runs in one incident: pods, their servers and control groups, the gateway before them; and what is done to it."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.incidents.cgroup import ControlGroup, control_groups_permitted
from tests.incidents.client import now
from tests.incidents.gateway import Gateway
from tests.incidents.models import Model, add_version, lay_out, write_configuration
from tests.local_process import LocalProcess
from tests.tritons.executions import Execution
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonServer

REVISION = "web-5d4f8c7b9"
LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes pods' names of
EXPLICIT = ("--model-control-mode=explicit", "--load-model=*")
POLLING = ("--model-control-mode=poll", "--repository-poll-secs=1")
ARGUMENTS = (
    # A load call holds its thread's connections: with so many threads hardly a user's is among them.
    "--http-thread-count=32",
)
HOG = "while True: pass"


@dataclass(frozen=True)
class Pod:
    """One pod as an incident wants it."""

    node: str = "node-a"
    core: int | None = None
    """The one processor that it may run on; None: any."""
    environment: Mapping[str, str] = field(default_factory=dict)
    models: tuple[Model, ...] = ()
    """Instead of the incident's."""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """What the harness did, and when in seconds since 1970. The truth, which no triage gets to see."""

    at: float
    text: str


class PodServer(TritonServer):
    """A server as its pod's container."""

    stop_seconds = 3.0
    name: str
    plan: Pod
    group: ControlGroup | None
    repository: Path
    started_at: float
    process: LocalProcess

    async def launch(self) -> LocalProcess:
        self.started_at = now()
        self.process = await super().launch()
        return self.process


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
    ) -> None:
        self.folder, self.models = folder, {model.name: model for model in models}
        self.gateway = Gateway()
        self.pods: dict[str, PodServer] = {}
        self.ended: list[PodServer] = []
        self.notes: list[Note] = []
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
        name = f"{REVISION}-{''.join(self._names.choices(LETTERS, k=5))}"
        folder = self.folder / "pods" / name
        models = plan.models or tuple(self.models.values())
        group = ControlGroup(name) if control_groups_permitted() else None
        caches = self._install.backends.parent / "caches"
        server = PodServer(
            self._install,
            lay_out(folder / "models", models),
            folder,
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
        self.pods[name] = await self._opened_server(server)
        self.gateway.add(name, server.url, connections=self._connections)
        return name

    async def stop_pod(self, name: str) -> None:
        """Takes it out of the gateway, then ends it."""
        server = self.pods.pop(name)
        await self.gateway.remove(name)
        await self._end(server)

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
        stubs = [pid for pid in _children(self.pods[pod].process.pid) if "python_b" in _command(pid)]
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
        for name, server in self.pods.items():
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
        pids = [self.pods[pod].process.pid]
        pids += _children(pids[0])
        return sum(_resident_bytes(pid) for pid in pids)

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


def _joins(group: ControlGroup | None, core: int | None) -> Any:
    join = group.joiner() if group else None

    def prepare() -> None:
        if join is not None:
            join()
        if core is not None:
            os.sched_setaffinity(0, {core})

    return prepare


def _children(parent: int) -> list[int]:
    """All processes below it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = int(file.parent.name), file.read_text().rsplit(")", 1)[1].split()
            if int(rest[1]) == parent:
                found += [pid, *_children(pid)]
    return found


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "comm").read_text()
    except OSError:
        return ""


def _resident_bytes(pid: int) -> int:
    try:
        return int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
