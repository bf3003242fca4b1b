"""What a pod, its node and its measures show beside a failure: facts that decide nothing, and that a person would look up next.

Each is an answer like those of `answers`: yes with the fact, no where there is none, unknown where its source is gone."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from triage.answers import Answer, View
from triage.case import index_rows
from triage.case_gpus import gpu_ranges, gpus_of
from triage.cluster_views import Nodes
from triage.evidence import (
    ContainerUse,
    ContainerView,
    Evidence,
    GpuHolders,
    GpuMemory,
    GpuUse,
    LogExcerpt,
    PodUse,
    PodView,
    RepositoryIndex,
)
from triage.gpu_errors import problems_of, xids_seen
from triage.gpu_load import who_held
from triage.gpus import holder_name, is_ours
from triage.pod_roles import triton_containers
from triage.tree import Test, TestKind
from triage.wording import names, short
from triage.xids import told_xid

_Kind = TypeVar("_Kind")

WAITS_BELOW, COMPUTES_FROM = 0.05, 0.7
"""Cores. One thread that computes without rest takes one. A Triton whose load waits takes less than a thousandth: measured over
15 s each, with its children, on a Python model that sleeps, on a warm-up without an answer and on a missing model.py."""
_SHM = "/dev/shm"  # noqa: S108 -- a name in the pod's specification
_SHARED_MEMORY = re.compile(r"shared memory|/dev/shm|\bshm\b|[Bb]us error|SIGBUS")
_MOST_GPUS = 4
_ABOUT_GPU = re.compile(r"gpu|cuda|nvidia|nvml|\bdevice\b", re.I)


def _said_beside(test: Test, view: View) -> Answer:
    root = view.root
    for claim in view.case.beside:
        if claim is not root and (root is None or claim.category == root.category):
            said = f'container {claim.by}, which did not fail of it, said "{short(claim.line.strip(), 200)}"'
            return Answer("yes", said, (claim.evidence,))
    return _nothing(view, test, "no container beside Triton said anything of the kind")


def _shared_memory(test: Test, view: View) -> Answer:
    if not _line_has(view, _SHARED_MEMORY):
        return Answer("no", "the telling line is not about shared memory")
    pod, where = _pod(view)
    if pod is None:
        return _nothing(view, test, "the pod is not known")
    for container in triton_containers(pod):
        mount = next((m for m in container.mounts if m.path.rstrip("/") == _SHM), None)
        volume = next((v for v in pod.volumes if mount and v.name == mount.volume), None)
        if volume is None:
            said = f"no volume is mounted at {_SHM} in container {container.name}, so the container runtime's 64 MiB hold"
            return Answer("yes", said, where)
        most = f" of at most {volume.limit}" if volume.limit else ""
        kind = "memory" if volume.of == "Memory" else volume.kind
        return Answer("yes", f"{_SHM} of container {container.name} is a {kind} volume{most}", where)
    return Answer("no", "the pod has no Triton")


def _probe_time(test: Test, view: View) -> Answer:
    """How long the kubelet waits for a container that does not answer, against how long it has run or ran."""
    if _is_explained(view):
        return Answer("no", "the telling line is not about a probe")
    pod, where = _pod(view)
    if pod is None:
        return _nothing(view, test, "the pod is not known")
    for container in triton_containers(pod):
        probes = {probe.kind: probe for probe in container.probes}
        probe = probes.get("startup") or probes.get("liveness")
        if probe is None:
            continue
        ran, word = _run(pod, container, view)
        allowed = f"{probe.initial_delay} s + {probe.failures} x {probe.period} s"
        said = (
            f"the {probe.kind} probe of container {container.name} ({probe.asks})"
            f" gives up {probe.patience} s after the start ({allowed})"
        )
        return Answer("yes", f"{said}; {word} {spell(ran)}" if ran is not None else said, where)
    return Answer("no", "Triton has neither a startup nor a liveness probe", where)


def _run(pod: PodView, container: ContainerView, view: View) -> tuple[float | None, str]:
    """Seconds of the present run while it has not come up, else of the one that ended."""
    if container.began_at and not container.ready and not container.last_ended_at:
        return _between(container.began_at, _now(view)), "it has run for"
    return _between(container.last_began_at, container.last_ended_at), "the run that ended lasted"


def _gpus_asked(test: Test, view: View) -> Answer:
    if not _line_has(view, _ABOUT_GPU):
        return Answer("no", "the telling line is not about a GPU")
    pod, where = _pod(view)
    if pod is None:
        return _nothing(view, test, "the pod is not known")
    tritons = triton_containers(pod)
    asked = [(name, amount) for c in tritons for name, amount in {**c.requests, **c.limits}.items()]
    if any(name.startswith("nvidia.com/") and amount != "0" for name, amount in asked):
        return Answer("no", "the pod's limits name a GPU", where)
    said = (
        f"the limits of container {names([c.name for c in tritons])} name no GPU (nvidia.com/gpu), so the device plugin"
        " gives it none; only a resource claim or the container runtime could"
    )
    return Answer("yes", said, where)


def _memory_limit(test: Test, view: View) -> Answer:
    pod, where = _pod(view)
    if pod is None:
        return _nothing(view, test, "the pod is not known")
    for container in pod.containers:
        if container.ended_by != "OOMKilled":
            continue
        limit = container.limits.get("memory")
        if limit:
            return Answer("yes", f"the memory limit of container {container.name} is {limit}", where)
        said = f"container {container.name} has no memory limit, so the node itself ran out of memory"
        return Answer("yes", said, where)
    return Answer("no", "no container was killed for memory", where)


def _quiet(test: Test, view: View) -> Answer:
    """Since when it runs, when it last said something, and whether its port is open: the facts of a hang that no line shows."""
    if _is_explained(view):
        return Answer("no", "the telling line says what it waits for")
    pod, where = _pod(view)
    if pod is None:
        return _nothing(view, test, "the pod is not known")
    now = _now(view)
    for container in triton_containers(pod):
        ran = _between(container.began_at, now)
        if container.state != "running" or ran is None:
            continue
        restarts = f"after {container.restarts} restarts" if container.restarts else "without a restart"
        told = [f"container {container.name} has run for {spell(ran)} {restarts}"]
        more = [part for part in (_last_line(view, container, now), _port(view)) if part]
        told += [said for said, _ in more]
        return Answer("yes", "; ".join(told), (*where, *(id for _, id in more)))
    return Answer("no", "no container of Triton runs", where)


def _last_line(view: View, container: ContainerView, now: str) -> tuple[str, str] | None:
    for evidence in view.case.of_probe("log"):
        if not evidence.id.endswith(f"/{container.name}"):
            continue
        if evidence.missing is not None and evidence.missing.reason == "not_found":
            return "its log is empty", evidence.id
        if isinstance(evidence.facts, LogExcerpt):
            silent = _between(evidence.facts.ends_at, now)
            return (f"its last line came {spell(silent)} ago", evidence.id) if silent is not None else None
    return None


def _port(view: View) -> tuple[str, str] | None:
    for evidence in view.case.of_probe("index"):
        if isinstance(evidence.facts, RepositoryIndex):
            loading = [row.name for row in index_rows(view.case) if row.state == "LOADING"]
            said = (
                f"the index has {names(loading)} LOADING"
                if loading
                else "it answers, and its index has no LOADING"
            )
            return said, evidence.id
        if evidence.missing is not None and evidence.missing.reason == "not_started":
            return evidence.missing.detail, evidence.id
    return None


def _at_work(test: Test, view: View) -> Answer:
    """Whether the process computes or waits, by what it uses of CPU."""
    if _is_explained(view):
        return Answer("no", "the telling line says what it waits for")
    for evidence, use in _facts(view, PodUse):
        if used := _of_triton(view, use):
            span = f"{use.window_seconds:.0f} s until {use.at}" if use.window_seconds else use.at
            said = f"container {used.container} used {used.cores:.2f} cores ({span})"
            return Answer("yes", f"{said}: {_meaning(used.cores)}", (evidence.id,))
    return _nothing(view, test, "nothing tells what the container uses")


def _meaning(cores: float) -> str:
    if cores < WAITS_BELOW:
        return "it waits for something (a lock, a child process, the network, storage) and computes nothing"
    if cores < COMPUTES_FROM:
        return "it does a little, as a slow read or a retry does"
    return "it computes: a build, a compilation, or a loop without end"


def _of_triton(view: View, use: PodUse) -> ContainerUse | None:
    pod, _ = _pod(view)
    wanted = {container.name for container in triton_containers(pod)} if pod else set()
    return next((each for each in use.containers if each.container in wanted), None)


def _node(test: Test, view: View) -> Answer:
    for evidence, found in _facts(view, Nodes):
        for node in found.nodes:
            told = ["is not ready"] if not node.ready else []
            told += [f"has {pressure}" for pressure in node.pressures]
            told += ["takes no new pods"] if node.unschedulable else []
            told += [f"has taint {names(node.taints)}"] if told and node.taints else []
            if told:
                return Answer("yes", f"node {node.name} {', '.join(told)}", (evidence.id,))
            return Answer("no", f"node {node.name} is ready and under no pressure", (evidence.id,))
    return _nothing(view, test, "the node is not known")


def _gpu_memory(test: Test, view: View) -> Answer:
    """How full the GPUs are, and who else has some of the node's: no GPU is given twice, but for time slices and MPS."""
    told: list[str] = []
    ids: list[str] = []
    for evidence, memory in _facts(view, GpuMemory):
        fullest = sorted(
            memory.gpus, key=lambda gpu: -gpu.used_bytes / gpu.total_bytes if gpu.total_bytes else -2.0
        )
        told += map(_use_of, fullest[:_MOST_GPUS])
        told += [f"{len(fullest) - _MOST_GPUS} more are less full"] if len(fullest) > _MOST_GPUS else []
        ids.append(evidence.id)
    for evidence, holders in _facts(view, GpuHolders):
        space = view.case.pod.namespace if view.case.pod else ""
        there = [(holder.namespace, holder.pod) for holder in holders.pods]
        others = [holder_name(one) for one in there if not is_ours(one, {view.case.subject}, space)]
        if others:
            told.append(f"on node {holders.node} GPUs were given to {names(others)} too")
            ids.append(evidence.id)
    if told:
        return Answer("yes", "; ".join(told), tuple(ids))
    return _nothing(view, test, "nothing tells how full the GPUs are")


def _use_of(gpu: GpuUse) -> str:
    name = gpu.gpu or "the GPU"
    if not gpu.total_bytes:
        return f"Triton cannot read how full {name} is"
    return f"{_gib(gpu.used_bytes)} of {_gib(gpu.total_bytes)} GiB of {name} are used"


def _memory_held(test: Test, view: View) -> Answer:
    """Who held the GPU's memory as the load began."""
    found = who_held(view.case, view.model.name if view.model else "it")
    if found is None:
        asked = tuple(evidence.id for evidence in view.case.of_probe(*test.reads))
        return Answer("unknown", "no source tells how full the pod's GPUs were when the load began", asked)
    return Answer("unknown" if found.by == "unknown" else "yes", found.said, found.evidence)


def _gpu_errors(test: Test, view: View) -> Answer:
    """XID errors of the pod's GPUs, and what kept the agent of the node from seeing them, such as a lost GPU."""
    told, case = gpu_ranges(view.case), view.case
    ours = gpus_of(case)
    said: list[str] = []
    ids: list[str] = []
    for seen in [one for one in xids_seen(told) if any(map(one.is_of, ours))][-3:]:
        device = next(filter(seen.is_of, ours))
        space = case.pod.namespace if case.pod else ""
        said.append(f"{device.name}: {seen.says(told_xid(seen.code, case.xids), {case.subject}, space)}")
        ids.append(seen.evidence)
    problems = [one for one in problems_of(told) if one.of_driver]
    for problem in sorted(problems, key=lambda one: not any(map(one.is_of, ours)))[:3]:  # its own first
        said.append(problem.says)
        ids.append(problem.evidence)
    if said:
        return Answer("yes", "; ".join(said), tuple(dict.fromkeys(ids)))
    return _nothing(view, test, "no XID error and no trouble of the GPU agent was seen")


SHOWN: Mapping[TestKind, Callable[[Test, View], Answer]] = {
    "said_beside": _said_beside,
    "shared_memory": _shared_memory,
    "probe_time": _probe_time,
    "gpus_asked": _gpus_asked,
    "memory_limit": _memory_limit,
    "quiet": _quiet,
    "at_work": _at_work,
    "node": _node,
    "gpu_memory": _gpu_memory,
    "gpu_memory_held": _memory_held,
    "gpu_errors": _gpu_errors,
}


def spell(seconds: float) -> str:
    """Such as 45 s, 12 min or 3.5 h."""
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f}"


def _nothing(view: View, test: Test, said: str) -> Answer:
    """No where all that it reads has answered; unknown where something is missing."""
    missing = [e for e in view.case.of_probe(*test.reads) if e.missing is not None]
    there = [e for e in view.case.of_probe(*test.reads) if e.facts is not None]
    if missing or not there:
        return Answer("unknown", said, tuple(e.id for e in missing))
    return Answer("no", said, tuple(e.id for e in there))


def _is_explained(view: View) -> bool:
    """By a line that names a mechanism. A probe that fails tells only that the load goes on, a hint proves little, and what is no
    load failure holds none up."""
    root = view.root
    if root is None or root.signature.role == "hint" or root.category == "not_a_load_failure":
        return False
    return "probe" not in root.line


def _line_has(view: View, pattern: re.Pattern[str]) -> bool:
    return view.root is not None and pattern.search(view.root.line) is not None


def _pod(view: View) -> tuple[PodView | None, tuple[str, ...]]:
    for evidence, pod in _facts(view, PodView):
        return pod, (evidence.id,)
    return None, ()


def _now(view: View) -> str:
    """When the pod was asked."""
    return next((evidence.fetched_at for evidence, _ in _facts(view, PodView)), "")


def _facts(view: View, kind: type[_Kind]) -> Iterator[tuple[Evidence, _Kind]]:
    for evidence in view.case.evidence:
        if isinstance(evidence.facts, kind):
            yield evidence, evidence.facts


def _between(begin: str, end: str) -> float | None:
    """Seconds; None where a time is not known."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    except (ValueError, TypeError):
        return None
