"""What differs between two pod templates, in words a person reads. Values of environment variables are compared and never told.

The API server fills in its defaults before it stores a template, so nothing differs that nobody changed."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from telemetry.template_arguments import argument_changes

Raw = dict[str, Any]
"""An object of the API as it is."""

MOST_CHANGES = 50
MOST_CHARACTERS = 80
"""Of a value; what tells two images apart is at their end."""
_HASHES = frozenset({"pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash"})
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
_PROBES = {"startupProbe": "startup", "readinessProbe": "readiness", "livenessProbe": "liveness"}
_SAME_TWICE = frozenset({"serviceAccount"})
"""The API's old name, kept equal to serviceAccountName."""
_SPEC_WORDS = {
    "serviceAccountName": "service account",
    "terminationGracePeriodSeconds": "termination grace period in seconds",
    "priorityClassName": "priority class",
    "runtimeClassName": "runtime class",
    "schedulerName": "scheduler",
    "topologySpreadConstraints": "topology spread constraints",
}
_VOLUME_NAMES = {
    "persistentVolumeClaim": "claimName",
    "configMap": "name",
    "secret": "secretName",
    "hostPath": "path",
    "nfs": "path",
    "csi": "driver",
    "emptyDir": "sizeLimit",
    "image": "reference",
}


def template_changes(before: Raw, after: Raw) -> tuple[str, ...]:
    """Such as `image of triton: a -> b`; empty: they make the same pods."""
    metadata = _metadata_changes(_at(before, "metadata"), _at(after, "metadata"))
    changes = [*_spec_changes(before, after), *metadata]
    more = len(changes) - MOST_CHANGES
    return (*changes[:MOST_CHANGES], f"and {more} more changes") if more > 0 else tuple(changes)


def _metadata_changes(before: Raw, after: Raw) -> Iterator[str]:
    for key, change in _compared(_at(before, "annotations"), _at(after, "annotations")):
        yield (
            "restarted by kubectl rollout restart"
            if key == _RESTARTED and change != "removed"
            else f"annotation {key} {change}"
        )
    for key, change in _compared(_at(before, "labels"), _at(after, "labels")):
        if key not in _HASHES:
            yield f"label {key} {change}"


def _spec_changes(before: Raw, after: Raw) -> Iterator[str]:
    old, new = _at(before, "spec"), _at(after, "spec")
    told = {"containers", "initContainers", "volumes", "nodeSelector", "tolerations", *_SAME_TWICE}
    for kind in ("containers", "initContainers"):
        yield from _containers(_by(old, kind, "name"), _by(new, kind, "name"), init=kind == "initContainers")
    yield from _valued("node selector {}", _at(old, "nodeSelector"), _at(new, "nodeSelector"))
    for toleration, change in _compared(_by_words(old, "tolerations"), _by_words(new, "tolerations")):
        yield f"toleration {toleration} {change}"
    yield from _volumes(_by(old, "volumes", "name"), _by(new, "volumes", "name"))
    yield from _others(old, new, told, lambda key: _SPEC_WORDS.get(key, key))


def _containers(before: Mapping[str, Raw], after: Mapping[str, Raw], *, init: bool) -> Iterator[str]:
    for name, change in _compared(before, after):
        if change == "changed":
            yield from _container(name, before[name], after[name])
            continue
        container = after.get(name) or before[name]
        sidecar = init and container.get("restartPolicy") == "Always"
        kind = "sidecar" if sidecar else "init container" if init else "container"
        yield f"{kind} {name} {change} (image {short(container.get('image', 'none'))})"


def _container(name: str, before: Raw, after: Raw) -> Iterator[str]:
    told = {
        "image",
        "command",
        "args",
        "env",
        "envFrom",
        "resources",
        "ports",
        "volumeMounts",
        "lifecycle",
        *_PROBES,
    }
    if before.get("image") != after.get("image"):
        yield f"image of {name}: {short(before.get('image', 'none'))} -> {short(after.get('image', 'none'))}"
    yield from (
        f"{subject} of {name}{rest}" for subject, rest in argument_changes(_words(before), _words(after))
    )
    for variable, change in _compared(_by(before, "env", "name"), _by(after, "env", "name")):
        yield (
            f"value of env {variable} of {name} changed"
            if change == "changed"
            else f"env {variable} of {name} {change}"
        )
    for source, change in _compared(_env_from(before), _env_from(after)):
        yield f"environment of {name} from {source} {change}"
    old, new = _at(before, "resources"), _at(after, "resources")
    for kind in ("limits", "requests"):
        yield from _valued(f"{kind[:-1]} {{}} of {name}", _at(old, kind), _at(new, kind))
    if old.get("claims") != new.get("claims"):
        yield f"resource claims of {name} changed"
    ports = [
        ", ".join(str(p.get("containerPort")) for p in each.get("ports") or ()) for each in (before, after)
    ]
    if ports[0] != ports[1]:
        yield f"ports of {name}: {short(ports[0] or 'none')} -> {short(ports[1] or 'none')}"
    elif before.get("ports") != after.get("ports"):
        yield f"ports of {name} changed"
    for key, kind in _PROBES.items():
        yield from _probe(f"{kind} probe of {name}", before.get(key), after.get(key))
    for path, change in _compared(
        _by(before, "volumeMounts", "mountPath"), _by(after, "volumeMounts", "mountPath")
    ):
        yield f"mount {path} of {name} {change}"
    for hook, change in _compared(_at(before, "lifecycle"), _at(after, "lifecycle")):
        yield f"{hook} hook of {name} {change}"
    yield from _others(before, after, told, lambda key: f"{key} of {name}")


def _words(container: Raw) -> list[str]:
    return [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]


def _env_from(container: Raw) -> dict[str, Raw]:
    found = {}
    for source in container.get("envFrom") or ():
        kind = "secret" if "secretRef" in source else "configMap"
        found[f"{kind}/{_at(source, f'{kind}Ref').get('name', '')}"] = source
    return found


def _probe(subject: str, before: Raw | None, after: Raw | None) -> Iterator[str]:
    """Numbers and ports as they are; what may hold a header's value is not told."""
    if before is None or after is None:
        if before != after:
            yield f"{subject} {'removed' if after is None else 'added'}"
        return
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for path, change in _compared(old, new):
        if isinstance(old.get(path), list) or isinstance(new.get(path), list):
            yield f"{path} of {subject} {change}"
        else:
            yield f"{path} of {subject}: {short(old.get(path, 'none'))} -> {short(new.get(path, 'none'))}"


def _leaves(value: Raw, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", inner


def _volumes(before: Mapping[str, Raw], after: Mapping[str, Raw]) -> Iterator[str]:
    for name, change in _compared(before, after):
        if change == "changed":
            old, new = _volume_source(before[name]), _volume_source(after[name])
            yield f"volume {name} changed" if old == new else f"volume {name}: {old} -> {new}"
        else:
            yield f"volume {name} {change} ({_volume_source(after.get(name) or before[name])})"


def _volume_source(volume: Raw) -> str:
    kind = next((key for key in volume if key != "name"), "emptyDir")
    name = _at(volume, kind).get(_VOLUME_NAMES.get(kind, ""))
    return f"{kind} {short(name)}" if name else kind


def _others(before: Raw, after: Raw, told: Iterable[str], word: Callable[[str], str]) -> Iterator[str]:
    """Fields that have no words of their own: numbers and names as they are, of anything larger only that it changed."""
    skipped = frozenset(told)
    for key, change in _compared(before, after):
        old, new = before.get(key), after.get(key)
        if key in skipped:
            continue
        if isinstance(old, dict | list) or isinstance(new, dict | list):
            yield f"{word(key)} {change}"
        else:
            yield f"{word(key)}: {short('none' if old is None else old)} -> {short('none' if new is None else new)}"


def _valued(subject: str, before: Raw, after: Raw) -> Iterator[str]:
    for key, _ in _compared(before, after):
        yield f"{subject.format(key)}: {short(before.get(key, 'none'))} -> {short(after.get(key, 'none'))}"


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys that differ, each with `added`, `removed` or `changed`; in the order of the later one."""
    for key in dict.fromkeys((*after, *before)):
        if key not in before:
            yield key, "added"
        elif key not in after:
            yield key, "removed"
        elif before[key] != after[key]:
            yield key, "changed"


def short(value: object) -> str:
    """The value on one line; of a long one both ends."""
    text = re.sub(r"\s+", " ", str(value))
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[: half - 2]}...{text[-half:]}"


def _at(value: Raw, key: str) -> Raw:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _by(value: Raw, key: str, name: str) -> dict[str, Raw]:
    return {str(each.get(name, "")): each for each in value.get(key) or () if isinstance(each, dict)}


def _by_words(value: Raw, key: str) -> dict[str, str]:
    """Each by what it says: tolerations have no name."""
    found = {}
    for each in value.get(key) or ():
        words = (each.get("key") or "everything", each.get("value"), each.get("effect"))
        found[" ".join(filter(None, words))] = json.dumps(each, sort_keys=True)
    return found
