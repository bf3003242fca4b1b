"""What one look at a model repository shows, and what is known after many. Texts in here are sealed. Pure.

An aspect that could not be seen is named in `unknown`, and what was known of it stays: not to see a model is not to see it
removed. The aspects: `index`, `configs`, `config MODEL`, `files`, `files MODEL`."""

from collections.abc import Mapping

import msgspec

Index = Mapping[str, Mapping[str, str]]
"""By model, the state of each version as Triton's repository index tells it. No version: it was never asked to load."""


class Config(msgspec.Struct, frozen=True):
    """A model's configuration as Triton serves it."""

    sha256: str
    """Of the sealed configuration in canonical JSON: what is masked is not in it."""
    fields: Mapping[str, str]
    """By path, such as `dynamic_batching.max_queue_delay_microseconds`, short values; a long one ends with a hash of it."""


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    size: int
    mtime_ns: int
    ctime_ns: int
    """Tells a content that was put in place with an old mtime."""
    sha256: str = ""
    """Of the content; empty where it was not read."""
    partly: bool = False
    """The hash is that of its head and its tail."""
    link: str = ""
    """Where a link points, which was not followed."""
    unread: str = ""
    """Why its content was not read."""


Folder = Mapping[str, File]
"""A model's files by path."""


class Look(msgspec.Struct, frozen=True):
    """One look at all sources."""

    began: float
    ended: float
    """Seconds since 1970. What changed before `began` is in it; what changed before `ended` may be."""
    index: Index | None = None
    configs: Mapping[str, Config] = {}
    folders: Mapping[str, Folder] | None = None
    """By model."""
    folders_began: float | None = None
    """When the files began to be read: long before the rest, where they are large."""
    unknown: Mapping[str, str] = {}
    """By aspect, why it could not be seen. A source that was never asked is not in it, nor the configuration of a model that is
    not loaded."""
    hidden: Mapping[str, Mapping[str, str]] = {}
    """By model, hashes of configuration values before they were sealed, to tell that a masked one changed. Kept in memory: a
    hash helps who guesses."""


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known from all looks so far, each with when a look began that last saw it."""

    index: Index | None = None
    index_at: float = 0.0
    configs: Mapping[str, Config] = {}
    configs_at: Mapping[str, float] = {}
    folders: Mapping[str, Folder] = {}
    folders_at: Mapping[str, float] = {}
    listed: frozenset[str] | None = None
    """The models that had a folder, also one that could not be read; None: the repository was never read."""
    listed_at: float = 0.0
    unknown: Mapping[str, str] = {}
    """Of the last look."""
    hidden: Mapping[str, Mapping[str, str]] = {}


def after_look(known: Known, look: Look) -> Known:
    """What is known now; what this look could not see stays as it was known, with its older time."""
    index = known.index if look.index is None else look.index
    there = index if index is not None else {}
    configs = {model: kept for model, kept in {**known.configs, **look.configs}.items() if model in there}
    configs_at = {**known.configs_at, **dict.fromkeys(look.configs, look.began)}
    told = Known(
        index=index,
        index_at=known.index_at if look.index is None else look.began,
        configs=configs,
        configs_at={model: configs_at[model] for model in configs},
        folders=known.folders,
        folders_at=known.folders_at,
        listed=known.listed,
        listed_at=known.listed_at,
        unknown=look.unknown,
        hidden={model: kept for model, kept in {**known.hidden, **look.hidden}.items() if model in configs},
    )
    if look.folders is None:
        return told
    began = look.began if look.folders_began is None else look.folders_began
    listed = listed_models(look)
    folders_at = {**known.folders_at, **dict.fromkeys(look.folders, began)}
    folders = {model: kept for model, kept in {**known.folders, **look.folders}.items() if model in listed}
    return msgspec.structs.replace(
        told,
        folders=folders,
        folders_at={model: folders_at[model] for model in folders},
        listed=listed,
        listed_at=began,
    )


def listed_models(look: Look) -> frozenset[str]:
    """The models that have a folder, whether or not it could be read."""
    unread = (key.removeprefix("files ") for key in look.unknown if key.startswith("files "))
    return frozenset((*(look.folders or ()), *unread))


def served_models(index: Index) -> list[str]:
    """The models with a version that is ready: they alone have a configuration to tell."""
    return [model for model, versions in index.items() if "READY" in versions.values()]
