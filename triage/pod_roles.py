"""Which containers of a pod are Triton, and which bring it its models. Pure."""

from collections.abc import Iterator, Sequence

from triage.evidence import ContainerView, PodView
from triage.triton_ports import PORTS

_NO_MODELS = ("projected", "secret", "configMap", "downwardAPI")
"""Kinds of volumes that many containers mount, and that hold no models."""


def is_triton(container: ContainerView) -> bool:
    """By its image, command, arguments or ports."""
    words = " ".join((container.image, *container.command, *container.args))
    return "triton" in words or any(port in PORTS for _, port in container.ports)


def triton_containers(pod: PodView) -> Sequence[ContainerView]:
    """Those that are Triton; where none looks like it, those that are not ready; where all are, the first."""
    mains = [c for c in pod.containers if not c.init]
    triton = [c for c in mains if is_triton(c)]
    return triton or [c for c in mains if not c.ready] or mains[:1]


def helpers(pod: PodView) -> Iterator[ContainerView]:
    """Those that may bring models to Triton, such as fail first: every init container, and of the others beside a Triton those that
    mount a volume which it mounts."""
    tritons = triton_containers(pod)
    apart = {v.name for v in pod.volumes if v.kind in _NO_MODELS or v.of == "Memory"}
    shared = {mount.volume for triton in tritons for mount in triton.mounts} - apart
    beside = [
        c
        for c in pod.containers
        if c not in tritons and (c.init or any(mount.volume in shared for mount in c.mounts))
    ]
    yield from sorted(beside, key=lambda c: c.ready and c.exit_code in (None, 0))


def has_run(pod: PodView) -> bool:
    """Whether all that comes before the containers' start is done: one that is not an init container runs, or has ended."""
    return any(
        c.state == "running"
        or c.state.startswith("terminated:")
        or (c.state.startswith("waiting: CrashLoopBackOff") and c.last_state.startswith("terminated:"))
        for c in pod.containers
        if not c.init
    )


def holds_up(pod: PodView, container: str) -> bool:
    """Whether this init container's failure is why the others have not started."""
    return not has_run(pod) and any(
        c.name == container and c.init and not c.ready and c.exit_code not in (None, 0)
        for c in pod.containers
    )
