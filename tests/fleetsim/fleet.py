"""A deployment of simulated Tritons on nodes, behind a gateway: pods come and go, revisions are rolled out, users send."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.fleetsim.autoscaling import Autoscaler
from tests.fleetsim.gateway import Gateway
from tests.fleetsim.hosts import FrontEnd, Gpu, Node, Pod
from tests.fleetsim.loop import Loop
from tests.fleetsim.models import Model, Request
from tests.fleetsim.samples import Samples
from tests.fleetsim.server import Server
from tests.fleetsim.setup import Setup, Stream, Template
from triage.cluster_views import ClusterEvent, Revision
from triage.latency.facts import RepositoryChange

SCRAPE_SECONDS = 15.0
CLOSE_SCRAPE_SECONDS = 2.0


@dataclass
class Fleet:
    setup: Setup
    ago: float = 0.0
    """Seconds by which it lives earlier: the same hour of an earlier day."""
    faulty: bool = True
    workload: str = "triton"
    namespace: str = "inference"
    pods: list[Pod] = field(default_factory=list)
    gone: list[Pod] = field(default_factory=list)
    events: list[ClusterEvent] = field(default_factory=list)
    revisions: list[Revision] = field(default_factory=list)
    repository: list[RepositoryChange] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    load_factor: Callable[[float], float] = lambda now: 1.0
    """What a fault makes of the users' rate."""
    dns_ms: float = 2.0
    unschedulable: str = ""
    """Why no node takes another pod; empty: one does."""

    def __post_init__(self) -> None:
        setup = self.setup
        self._endpoints: list[Pod] | None = None
        self.end, self.onset = setup.end - self.ago, setup.onset - self.ago
        self.begin = self.end - setup.window
        self.rng = random.Random(f"{setup.seed} {self.ago}")
        self.loop = Loop(self.begin - setup.warm_up_seconds)
        self.template = setup.template
        self.templates = {self._hash(): setup.template}
        old = self.loop.now - 86400 * self.rng.uniform(1, 20)
        self.revision = next(iter(self.templates))
        self.first_revision = self.rng.randint(1, 40)
        self.revisions.append(Revision(self.first_revision, self.revision, old))
        self.nodes = [
            Node(f"node-{chr(97 + place)}", setup.node_cores, setup.node_cores * self.rng.uniform(0.02, 0.15),
                 ready_since=old - 86400)
            for place in range(setup.nodes)
        ]  # fmt: skip
        self.gateway = Gateway(self.loop, self.rng, replace(setup.gateway), self.endpoints)
        self.samples = Samples(self)
        for _ in range(setup.pods):
            pod = self.add_pod(load_seconds=0.0)
            pod.created_at = pod.started_at = pod.ready_since = old + self.rng.uniform(20, 90)
        self.autoscaler = Autoscaler(self, setup.autoscaler) if setup.autoscaler else None
        self.wanted = setup.pods
        self.streams = (
            setup.users(self) if setup.users else [Stream(setup.model, self.usual_rate, setup.shape)]
        )

    def run(self) -> None:
        for stream in self.streams:
            self.open(stream)
        self.loop.every(SCRAPE_SECONDS, self._tick)
        self.loop.at(self.end - self.setup.capture_seconds, self._close_scrapes)
        self.loop.run(self.end)

    def usual_rate(self, now: float) -> float:
        """Requests a second of the users: a day's shape, and what a fault makes of it."""
        day = math.cos((now - self.setup.peak_at) / 86400 * 2 * math.pi)
        return self.setup.rate * (1 + self.setup.swing * day) * self.load_factor(now)

    @property
    def struck(self) -> bool:
        """The fault is there, and has begun."""
        return self.faulty and self.loop.now >= self.onset

    def endpoints(self) -> list[Pod]:
        if self._endpoints is None:
            self._endpoints = [pod for pod in self.pods if pod.ready]
        return self._endpoints

    def every_pod(self) -> list[Pod]:
        return [*self.gone, *self.pods]

    def event(self, of: str, reason: str, message: str) -> None:
        self.events.append(ClusterEvent(self.loop.now, self.loop.now, of, reason, message))

    # Users

    def open(self, stream: Stream) -> None:
        rate = stream.rate(self.loop.now)
        if rate <= 0:
            self.loop.after(1.0, self.open, stream)
            return
        gap = 1 / rate if stream.constant else self.rng.expovariate(rate)
        # A rate can change meanwhile: nobody waits long for a rate that was.
        if gap > 20:
            self.loop.after(20, self.open, stream)
            return
        self.loop.after(gap, self._arrive, stream)

    def _arrive(self, stream: Stream) -> None:
        for _ in range(stream.burst):
            self.send(self.request(stream), direct=stream.direct)
        self.open(stream)

    def request(self, stream: Stream) -> Request:
        request = Request(stream.model)
        request.caller = stream.caller
        request.client = self.rng.randrange(200)
        stream.shape(request, self.rng)
        return request

    def send(
        self, request: Request, direct: bool = False, on_end: Callable[[int], None] | None = None
    ) -> None:
        if not direct:
            self.gateway.send(request, on_end)
            return
        pods = self.endpoints()
        if pods:
            pods[self.rng.randrange(len(pods))].receive(request, self.rng.randrange(64))

    # Pods

    def add_pod(self, load_seconds: float | None = None, node: Node | None = None) -> Pod:
        template, now = self.template, self.loop.now
        load_seconds = (
            template.load_seconds * self.rng.uniform(0.8, 1.3) if load_seconds is None else load_seconds
        )
        if node is None:
            node = min(self.nodes, key=lambda one: sum(pod.node is one for pod in self.pods))
        server = Server(self.loop, self.rng)
        front = FrontEnd(self.loop, self.rng, template.http_threads, template.http_thread_ms)
        name = f"{self.workload}-{self.revision}-{_letters(self.rng, 5)}"
        gpu = Gpu(f"GPU-{_letters(self.rng, 8)}") if template.gpus else None
        pod = Pod(name, node, self.revision, now, server, front, gpu, template.cpu_limit)
        pod.memory_limit = template.memory_limit
        pod.memory_used = template.memory_limit * self.rng.uniform(0.35, 0.6)
        pod.ready_since = now
        self.pods.append(pod)
        self.loop.at(now + self.rng.uniform(0, SCRAPE_SECONDS), self._scrape, pod)
        if self.unschedulable:
            pod.unschedulable = self.unschedulable
            self.event(f"pod/{name}", "FailedScheduling", self.unschedulable)
        else:
            self._start(pod, load_seconds)
        return pod

    def _start(self, pod: Pod, load_seconds: float) -> None:
        pod.phase, pod.started_at = "Running", self.loop.now
        self.boot(pod)
        if load_seconds <= 0:
            self._become_ready(pod)
            return
        self.event(f"pod/{pod.name}", "Scheduled", f"Successfully assigned {pod.name} to {pod.node.name}")
        self.loop.after(load_seconds, self._become_ready, pod)

    def boot(self, pod: Pod) -> None:
        """Its process anew: every counter begins at zero."""
        pod.server.alive = False
        pod.server = Server(self.loop, self.rng)
        for model in self.templates[pod.revision].models:
            pod.server.load(model)
        pod.attach()
        pod.factor = self.templates[pod.revision].slowness
        pod.server.host.copying = self.templates[pod.revision].copying

    def _become_ready(self, pod: Pod) -> None:
        if pod.removed_at is None:
            self.set_ready(pod, True)

    def set_ready(self, pod: Pod, ready: bool) -> None:
        if pod.ready != ready:
            pod.ready, pod.ready_since = ready, self.loop.now
            self._endpoints = None

    def remove_pod(self, pod: Pod, drain_seconds: float = 40.0) -> None:
        """Takes it from the endpoints, and ends it when what it had is done; without a drain its connections are reset."""
        if pod.removed_at is not None or pod not in self.pods:
            return
        pod.removed_at = self.loop.now
        self.event(f"pod/{pod.name}", "Killing", "Stopping container triton")
        if drain_seconds > 0:
            self.set_ready(pod, False)
            self.loop.after(drain_seconds, self._end_pod, pod)
            return
        # It ends at once, and the gateway learns of that seconds later: what is sent meanwhile meets a closed port.
        pod.server.alive = False
        self.gateway.reset(pod)
        lag = self.loop.now + self.rng.uniform(2, 6)
        self._refuse(pod, lag)

    def _refuse(self, pod: Pod, until: float) -> None:
        self.gateway.reset(pod)
        if self.loop.now >= until:
            self.set_ready(pod, False)
            self._end_pod(pod)
        else:
            self.loop.after(0.02, self._refuse, pod, until)

    def _end_pod(self, pod: Pod) -> None:
        pod.server.alive = False
        self.gateway.reset(pod)
        if pod in self.pods:
            self.pods.remove(pod)
            self._endpoints = None
            self.gone.append(pod)

    def crash(self, pod: Pod, ended_by: str, down_seconds: float) -> None:
        """Its container ends and is started again in the same pod."""
        now = self.loop.now
        pod.server.alive = False
        self.set_ready(pod, False)
        self.gateway.reset(pod)
        pod.restarts += 1
        pod.ended_by, pod.ended_at, pod.started_at = ended_by, now, now + 2
        pod.memory_used = pod.memory_limit * 0.4
        self.event(
            f"pod/{pod.name}", "BackOff" if pod.restarts > 1 else "Unhealthy", f"container triton: {ended_by}"
        )
        self.boot(pod)
        self.loop.after(down_seconds, self._become_ready, pod)

    def rollout(self, changes: tuple[str, ...], template: Template | None = None, *, drain_seconds: float = 40.0,
                surge: bool = True) -> None:  # fmt: skip
        """A new revision, pod after pod; without surge an old one goes before the new one is ready."""
        self.template = template or self.template
        self.revision = self._hash()
        self.templates[self.revision] = self.template
        number = self.first_revision + len(self.revisions)
        self.revisions.append(Revision(number, self.revision, self.loop.now, changes=changes))
        self.event(f"deployment/{self.workload}", "ScalingReplicaSet", f"Scaled up replica set "
                   f"{self.workload}-{self.revision} to 1")  # fmt: skip
        self._replace_next([pod for pod in self.pods if pod.removed_at is None], drain_seconds, surge)

    def _replace_next(self, old: list[Pod], drain_seconds: float, surge: bool) -> None:
        if not old:
            return
        pod, *others = old
        if not surge:
            self.remove_pod(pod, drain_seconds)
        new = self.add_pod()
        self._wait_for(new, pod, others, drain_seconds, surge)

    def _wait_for(self, new: Pod, old: Pod, others: list[Pod], drain_seconds: float, surge: bool) -> None:
        if not new.ready:
            self.loop.after(1.0, self._wait_for, new, old, others, drain_seconds, surge)
            return
        self.remove_pod(old, drain_seconds)
        self._replace_next(others, drain_seconds, surge)

    def scale_to(self, wanted: int) -> None:
        self.wanted = wanted
        living = [pod for pod in self.pods if pod.removed_at is None]
        for _ in range(wanted - len(living)):
            self.add_pod()
        # Pods that never became ready go first, then the youngest.
        for pod in sorted(living, key=lambda one: (one.ready, -one.created_at))[
            : max(0, len(living) - wanted)
        ]:
            self.remove_pod(pod)

    def reconfigure(self, model: Model, what: str = "config changed") -> None:
        """Changes a model in the repository, and reloads it in place in every pod."""
        self.template = replace(
            self.template,
            models=tuple(model if one.name == model.name else one for one in self.template.models),
        )
        for revision in self.templates:
            self.templates[revision] = replace(self.templates[revision], models=self.template.models)
        now = self.loop.now
        self.repository.append(RepositoryChange(now + self.rng.uniform(1, 55), now - 5, model.name, what))
        for pod in self.pods:
            if pod.phase != "Running":
                continue
            pod.say(f"model_lifecycle.cc:472] loading: {model.name}:{model.version}")
            if pod.server.models[model.name].model.version == model.version:
                pod.server.reload(model)
            else:
                pod.server.load(model)
            pod.say(f"model_lifecycle.cc:838] successfully loaded '{model.name}'")

    # Measuring

    def _tick(self) -> None:
        self.samples.take()
        self.gateway.scrape()

    def _scrape(self, pod: Pod) -> None:
        if pod.phase == "Running" and pod in self.pods and pod.server.alive:
            pod.scrapes.append(pod.scrape(self.loop.now, self.setup.summaries, SCRAPE_SECONDS))
        if pod in self.pods:
            self.loop.after(SCRAPE_SECONDS, self._scrape, pod)

    def _close_scrapes(self) -> None:
        for pod in self.pods:
            if pod.phase == "Running" and pod.server.alive:
                seen = pod.gpu_seconds_seen
                pod.close_scrapes.append(pod.scrape(self.loop.now, self.setup.summaries, SCRAPE_SECONDS))
                pod.gpu_seconds_seen = seen
                self.samples.statistics(pod)
        self.loop.after(CLOSE_SCRAPE_SECONDS, self._close_scrapes)

    def _hash(self) -> str:
        return _letters(random.Random(f"{self.setup.seed} {len(self.revisions)}"), 9)


def _letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("bcdfghjklmnpqrstvwxz2456789", k=count))
