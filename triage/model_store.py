"""Where a pod's Triton takes its models from, by the pod's specification: the pattern, and whether the models would come back with
an earlier image. Pure; what the specification does not say is `unknown`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from triage.evidence import ContainerView, MountView, PodView, VolumeView
from triage.pod_roles import triton_containers
from triage.wording import names

Pattern = Literal[
    "init_container",
    "sidecar",
    "csi_volume",
    "volume_claim",
    "network_volume",
    "host_path",
    "image_volume",
    "baked_image",
    "config_map",
    "object_store",
    "unknown",
]
"""Who brings the models: a container before or beside Triton, a volume, the image, or Triton itself from a store."""
Mutable = Literal["yes", "no", "unknown"]
"""Whether the models change without the pod's template: where they do, an image rollback does not bring them back."""


@dataclass(frozen=True, slots=True)
class ModelStore:
    path: str
    """As in Triton's arguments; empty where they name none."""
    pattern: Pattern
    mutable: Mutable
    says: str
    """What follows "model repository" in a sentence, such as `/models: filled by init container fetch`."""
    read_only: bool = False
    """Triton mounts it read-only: Triton cannot have changed it."""


_OPTION = r"--model-(?:repository|store)"
_IN_TEXT = re.compile(rf"""{_OPTION}(?:=|\s+)("[^"]*"|'[^']*'|[^\s"';&|]+)""")
_STORES = ("s3://", "gs://", "as://")
"""Triton's own schemes (triton-inference-server/core: src/filesystem/api.cc)."""
_NETWORK_KINDS = ("nfs", "cephfs", "glusterfs", "azureFile", "iscsi", "rbd", "fc")
_DISK_KINDS = (
    "ephemeral",
    "azureDisk",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "cinder",
    "portworxVolume",
)


def model_stores(pod: PodView) -> Sequence[ModelStore]:
    """One for each place that Triton's arguments name, or one that is unknown."""
    found: list[ModelStore] = []
    for triton in triton_containers(pod):
        for path in repository_paths(triton):
            found += _stores(pod, triton, path)
    if found:
        return found
    named = any((*each.command, *each.args) for each in triton_containers(pod))
    # None are there where the image has them, and in a bundle that was saved before they were kept.
    said = "the pod's arguments name none" if named else "no arguments of the pod were seen"
    return [ModelStore("", "unknown", "unknown", f"unknown: {said}")]


def repository_paths(container: ContainerView) -> Sequence[str]:
    """What follows --model-repository or --model-store, as an argument of its own, behind = or in a shell's script. Triton takes
    both names (triton-inference-server/server: src/command_line_parser.cc)."""
    words = [*container.command, *container.args]
    found: list[str] = []
    for number, word in enumerate(words):
        if re.fullmatch(_OPTION, word):
            found += words[number + 1 : number + 2]
        else:
            found += [value.strip("'\"") for value in _IN_TEXT.findall(word)]
    return list(dict.fromkeys(path for path in found if path))


def combined(stores: Sequence[ModelStore]) -> tuple[Pattern, Mutable]:
    """The word for all of them: the pattern of the one that is the most likely to change alone."""
    order: Sequence[Mutable] = ("yes", "unknown", "no")
    worst = min(stores, key=lambda store: order.index(store.mutable))
    return worst.pattern, worst.mutable


def _stores(pod: PodView, triton: ContainerView, path: str) -> Iterator[ModelStore]:
    if path.startswith(_STORES):
        yield ModelStore(path, "object_store", "yes", f"{path}: an object store, which Triton reads itself")
        return
    if "$" in path:
        said = f"{path}: a variable whose value is not read here"
        yield ModelStore(path, "unknown", "unknown", said)
        return
    mounts = _mounts(triton, path)
    for mount in mounts:
        volume = next((v for v in pod.volumes if v.name == mount.volume), None)
        yield (_unmounted(triton, path) if volume is None else _of_volume(pod, triton, path, mount, volume))
    if not mounts:
        yield _unmounted(triton, path)


def _mounts(container: ContainerView, path: str) -> Sequence[MountView]:
    """The mount that the path lies in; else those that lie in it, each a part of the repository."""
    over = [mount for mount in container.mounts if _is_in(path, mount.path)]
    if over:
        return [max(over, key=lambda mount: len(mount.path.rstrip("/")))]
    return [mount for mount in container.mounts if _is_in(mount.path, path)]


def _is_in(path: str, folder: str) -> bool:
    inner, outer = _parts(path), _parts(folder)
    return inner[: len(outer)] == outer


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _unmounted(triton: ContainerView, path: str) -> ModelStore:
    if not path.startswith("/"):
        said = f"{path}: a path that depends on the working directory"
        return ModelStore(path, "unknown", "unknown", said)
    if _is_fetched_by(triton):
        said = f"{path}: no volume is mounted there, and the container's own command fetches something"
        return ModelStore(path, "unknown", "unknown", said)
    fixed = _names_one_image(triton.image)
    said = f"{path}: in the image {triton.image}, as no volume is mounted there"
    return ModelStore(path, "baked_image", "no" if fixed else "unknown", said, read_only=True)


def _is_fetched_by(triton: ContainerView) -> bool:
    words = " ".join((*triton.command, *triton.args))
    return (
        re.search(r"\b(?:cp|sync|curl|wget|rclone|s5cmd|gsutil|azcopy|git|hf|download)\b", words) is not None
    )


def _names_one_image(reference: str) -> bool:
    """By digest or by a tag that is not moved by habit; the latter may be moved all the same, which no specification shows."""
    name, _, digest = reference.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return bool(digest) or tag not in ("", "latest")


def _of_volume(
    pod: PodView, triton: ContainerView, path: str, mount: MountView, volume: VolumeView
) -> ModelStore:
    read_only = mount.read_only or volume.read_only
    how = "read-only" if read_only else "writable"

    def store(pattern: Pattern, mutable: Mutable, what: str) -> ModelStore:
        return ModelStore(path, pattern, mutable, f"{path}: {what}", read_only)

    match volume.kind:
        case "emptyDir":
            return _of_empty(pod, triton, path, volume, read_only)
        case "image":
            mutable: Mutable = "no" if _names_one_image(volume.of) else "unknown"
            return store("image_volume", mutable, f"an image volume, {volume.of}")
        case "configMap":
            return store("config_map", "yes", f"ConfigMap {volume.of}, which changes without the pod")
        case "csi":
            return store("csi_volume", "yes", f"a volume of CSI driver {volume.of}, mounted {how}")
        case "persistentVolumeClaim":
            return store("volume_claim", "yes", f"PersistentVolumeClaim {volume.of}, mounted {how}")
        case "hostPath":
            return store("host_path", "yes", f"the node's own folder {volume.of}, mounted {how}")
        case kind if kind in _NETWORK_KINDS:
            return store("network_volume", "yes", f"a network volume ({kind} {volume.of}), mounted {how}")
        case kind if kind in _DISK_KINDS:
            return store("volume_claim", "yes", f"a disk of its own ({kind} {volume.of}), mounted {how}")
        case kind:
            return store("unknown", "unknown", f"a volume of kind {kind or 'unknown'}")


def _of_empty(
    pod: PodView, triton: ContainerView, path: str, volume: VolumeView, read_only: bool
) -> ModelStore:
    """An emptyDir is filled by those that mount it writable before or beside Triton."""
    fillers = [
        c
        for c in pod.containers
        if c.name != triton.name and any(m.volume == volume.name and not m.read_only for m in c.mounts)
    ]
    beside = [c.name for c in fillers if c.sidecar or not c.init]
    before = [c.name for c in fillers if c.init and not c.sidecar]
    if beside:
        said = f"{path}: kept by sidecar {names(beside)}, which may change it at any time"
        return ModelStore(path, "sidecar", "yes", said, read_only)
    if before:
        said = f"{path}: filled by init container {names(before)} at the pod's start, from where it fetches"
        return ModelStore(path, "init_container", "unknown", said, read_only)
    said = f"{path}: an empty volume that no other container fills"
    return ModelStore(path, "unknown", "unknown", said, read_only)
