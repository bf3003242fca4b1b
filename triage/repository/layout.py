"""Which versions of a model Triton would load, by which backend and from which file. Pure.

After triton-inference-server/core: src/model_repository_manager/model_lifecycle.cc, VersionsToLoad, and
src/model_config_utils.cc, AutoCompleteBackendFields."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from triage.repository.backends import Backend, Backends

_STOLL = re.compile(r"[ \t\n\v\f\r]*([+-]?\d+)")
_MOST_VERSION = (1 << 63) - 1
CONFIG = "config.pbtxt"
ENSEMBLE = "ensemble"


def version_of(folder: str) -> int | None:
    """As std::stoll reads the folder's name, which stops at the first sign that is no digit; None: Triton passes over it."""
    if len(folder) > 1 and folder.startswith("0"):
        return None
    found = _STOLL.match(folder)
    number = int(found.group(1)[:25]) if found else None
    return number if number is not None and -_MOST_VERSION <= number <= _MOST_VERSION else None


@dataclass(frozen=True)
class Versions:
    present: tuple[int, ...]
    """From the newest."""
    loaded: tuple[int, ...]
    """By the version policy, from the newest."""
    absent: tuple[int, ...] = ()
    """Named by the policy, and not there."""
    policy: str = "latest: 1"


def versions_to_load(folders: Collection[str], config: Any | None) -> Versions:
    """`config`: the message of config.pbtxt, or None where there is none: the latest version alone."""
    present = sorted({v for name in folders if (v := version_of(name)) is not None}, reverse=True)
    policy = config.version_policy if config is not None else None
    match policy.WhichOneof("policy_choice") if policy is not None else None:
        case "specific":
            asked = dict.fromkeys(policy.specific.versions) if policy is not None else {}
            there = frozenset(present)
            return Versions(
                tuple(present),
                tuple(v for v in present if v in asked),
                tuple(v for v in asked if v not in there),
                f"specific: {', '.join(map(str, asked)) or 'none'}",
            )
        case "latest":
            most = policy.latest.num_versions if policy is not None else 1
            return Versions(tuple(present), tuple(present[:most]), policy=f"latest: {most}")
        case "all":
            return Versions(tuple(present), tuple(present), policy="all")
        case _:
            # A version_policy without a choice counts as set, and then as neither specific nor latest.
            every = config is not None and config.HasField("version_policy")
            return Versions(
                tuple(present),
                tuple(present if every else present[:1]),
                policy="all" if every else "latest: 1",
            )


@dataclass(frozen=True)
class Loaded:
    """What of a version directory is loaded by what."""

    backend: str
    """Empty: it cannot be told, and Triton refuses the model."""
    platform: str = ""
    file: str = ""
    """Within the version directory; empty where that is not known."""
    row: Backend | None = None


def loaded_by(
    config: Any | None, model: str, version_files: Mapping[str, bool], backends: Backends
) -> Loaded:
    """`version_files`: the names in the first version directory, each with whether it is a folder."""
    backend = config.backend if config is not None else ""
    platform = config.platform if config is not None else ""
    named = config.default_model_filename if config is not None else ""
    if platform == ENSEMBLE:
        return Loaded(ENSEMBLE, platform)
    if not backend:
        row = backends.of_platform(platform) if platform else None
        if row is None and not platform:
            # By its name, that of the configuration before those of the directory, in the rows' order as in Triton's own.
            of_name = [r for r in backends.backends if r.file == (named or r.file)]
            row = next((r for r in of_name if named or r.file in version_files), None)
        if row is None:
            if platform or named or "." not in model:
                return Loaded("", platform, named)
            suffix = model.split(".", 1)[1]
            return Loaded(suffix, "", f"model.{suffix}")
        return Loaded(row.name, platform or next(iter(row.platforms), ""), named or row.file, row)
    row = backends.find(backend, platform)
    return Loaded(backend, platform, named or (row.file if row else ""), row)
