"""A model's folder as it was read, for the checks that follow: plain values, without a file system. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from triage.repository.backends import Backends
from triage.repository.config_text import ConfigError
from triage.repository.layout import CONFIG, Loaded, Versions, loaded_by, version_of, versions_to_load


@dataclass(frozen=True)
class Entry:
    """A file, a folder, or something else. Kind: as in `content`, or folder, other; empty: its content is not known."""

    kind: str
    size: int = 0
    mode: int = 0o644
    """Permission bits."""
    owner: int = 0
    group: int = 0
    cut: str = ""
    """How it is seen that its end is missing."""
    link: str = ""
    dangling: bool = False
    """A link, and what it points to is not there."""
    unread: str = ""


@dataclass
class ModelFolder:
    name: str
    backends: Backends
    entries: Mapping[str, Entry]
    """By path within the model's folder, `/` between names."""
    config: Any | None = None
    """The message of config.pbtxt; None where there is none, or none that parses."""
    config_error: ConfigError | None = None
    unknown: frozenset[str] = frozenset()
    """Paths of which it is not known what lies in them: not listed, or a link that was not followed; empty: the whole folder."""
    own: Entry = field(default_factory=lambda: Entry("folder", mode=0o755))
    """The model's folder itself."""

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders right in it, in order."""
        return tuple(
            sorted(path for path, entry in self.entries.items() if "/" not in path and entry.kind == "folder")
        )

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], list[str]]:
        """The paths of what is called so, by the folder right in the model's that they lie in, or none, and their last name."""
        found: dict[tuple[str, str], list[str]] = {}
        for path in self.entries:
            folder, _, name = path.rpartition("/")
            found.setdefault((folder.partition("/")[0], name), []).append(path)
        return found

    @cached_property
    def versions(self) -> Versions:
        return versions_to_load(self.folders, self.config)

    @cached_property
    def loaded(self) -> Loaded:
        first = f"{self.folders[0]}/" if self.folders else None
        names = {
            path.removeprefix(first): entry.kind == "folder"
            for path, entry in self.entries.items()
            if first is not None and path.startswith(first) and path.count("/") == 1
        }
        return loaded_by(self.config, self.name, names, self.backends)

    @property
    def versions_known(self) -> bool:
        """Whether every version directory was seen."""
        return not any("/" not in path for path in self.unknown)

    def lacks(self, path: str) -> bool:
        """Whether it is known that this path is not there."""
        parts = path.split("/")
        above = {"/".join(parts[:number]) for number in range(len(parts))}
        return path not in self.entries and path not in self.unknown and not above & self.unknown

    @property
    def has_config(self) -> bool:
        return CONFIG in self.entries

    def read_at_load(self) -> Iterator[str]:
        """The paths that a load may read: all but those of versions that are not loaded."""
        loaded = frozenset(self.versions.loaded)
        numbers = {name: version_of(name) for name in self.folders}
        left_out = {name for name, number in numbers.items() if number is not None and number not in loaded}
        for path in self.entries:
            if path.split("/", 1)[0] not in left_out:
                yield path
