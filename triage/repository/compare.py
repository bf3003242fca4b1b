"""What changed between what was known of a repository and a new look at it, each in words of one line. Pure.

The first sight of something whose absence was never seen is no change; nor is anything that this look could not see."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from triage.latency.facts import RepositoryChange
from triage.repository.fingerprints import Config, File, Folder, Index, Known, Look, listed_models

MOST_FIELDS = 6
"""Of one configuration, so many changed fields are named; then their number."""
MOST_FILES = 10
"""Of one model and one look."""
_NOT_SET = ("", "0", "0.0", "false", "null", "[]", "{}")


def compare(known: Known, look: Look) -> tuple[RepositoryChange, ...]:
    """The changes, each no earlier than when a look began that saw it otherwise."""

    def change(model: str, what: str, after: float) -> RepositoryChange:
        return RepositoryChange(look.ended, min(after, look.ended), model, what)

    found = []
    if known.index is not None and look.index is not None:
        found += [change(model, what, known.index_at) for model, what in _index(known.index, look.index)]
    for model, config in sorted(look.configs.items()):
        before = known.configs.get(model)
        hidden = _hidden(known.hidden.get(model), look.hidden.get(model))
        if before is not None and (what := _config(before, config, hidden)):
            found.append(change(model, what, known.configs_at[model]))
    if known.listed is not None and look.folders is not None:
        for model in sorted(listed_models(look) - known.listed):
            files = look.folders.get(model)
            told = "folder added" if files is None else f"folder added with {_count(len(files), 'file')}"
            found.append(change(model, told, known.listed_at))
        for model in sorted(known.listed - listed_models(look)):
            found.append(change(model, "folder removed", known.listed_at))
    for model, folder in sorted((look.folders or {}).items()):
        if (earlier := known.folders.get(model)) is not None:
            after = known.folders_at[model]
            told_of = list(_folder(earlier, folder, after, look.ended))
            found += [change(model, what, after) for what in told_of[:MOST_FILES]]
            if len(told_of) > MOST_FILES:
                found.append(change(model, f"{len(told_of) - MOST_FILES} more files changed", after))
    return tuple(found)


def _index(before: Index, now: Index) -> Iterator[tuple[str, str]]:
    for model in sorted(before.keys() | now.keys()):
        if model not in now:
            yield model, "no longer in the repository index"
        elif model not in before:
            states = ", ".join(f"version {version} {state}" for version, state in sorted(now[model].items()))
            yield model, f"added to the repository index{': ' if states else ''}{states}"
        else:
            old, new = before[model], now[model]
            for version in sorted(old.keys() | new.keys()):
                if version not in new:
                    yield model, f"version {version} removed, was {old[version]}"
                elif version not in old:
                    yield model, f"version {version} added: {new[version]}"
                elif old[version] != new[version]:
                    yield model, f"version {version} {old[version]} -> {new[version]}"


def _config(before: Config, now: Config, hidden: frozenset[str]) -> str:
    """Empty where nothing changed."""
    old, new = before.fields, now.fields
    told: list[str] = []
    minor: list[str] = []
    for path in sorted(old.keys() | new.keys()):
        was, is_now = old.get(path), new.get(path)
        if was != is_now:
            words = f"{path} {_or_not_set(was)} -> {_or_not_set(is_now)}"
            # Of a block that was added or taken away, what it leaves at Triton's default tells nothing.
            (minor if {was, is_now} <= {None, *_NOT_SET} else told).append(words)
        elif path in hidden:
            told.append(f"{path} changed, not shown")
    if not told and not minor:
        if hidden:
            return "config changed: a value under a masked name"
        return "" if before.sha256 == now.sha256 else "config changed: beyond the fields that are kept"
    said = told or minor
    more = f"; and {len(said) - MOST_FIELDS} more fields" if len(said) > MOST_FIELDS else ""
    return f"config changed: {'; '.join(said[:MOST_FIELDS])}{more}"


def _or_not_set(value: str | None) -> str:
    return "not set" if value is None else value or '""'


def _hidden(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> frozenset[str]:
    """Paths whose values before sealing differ; none where one of them is not known."""
    if before is None or now is None:
        return frozenset()
    return frozenset(path for path in before.keys() & now.keys() if before[path] != now[path])


def _folder(before: Folder, now: Folder, after: float, ended: float) -> Iterator[str]:
    for path in sorted(before.keys() | now.keys()):
        if path not in now:
            yield f"file {path} removed"
        elif path not in before:
            yield f"file {path} added, {_size(now[path])}{_written(now[path], after, ended)}"
        elif what := _file(before[path], now[path]):
            yield f"file {path} {what}{_written(now[path], after, ended)}"


def _file(before: File, now: File) -> str:
    """Empty where neither content, size nor mtime changed."""
    if before.link != now.link:
        return f"points to {now.link or 'nothing: it is a file'}, before to {before.link or 'nothing: it was a file'}"
    same_time = before.mtime_ns == now.mtime_ns
    if not before.sha256 or not now.sha256 or before.partly != now.partly:
        changed = before.size != now.size or not same_time
        return (
            f"changed by size or time, its content was not read ({now.unread})"
            if changed and now.unread
            else ("changed by size or time" if changed else "")
        )
    if (before.sha256, before.size) != (now.sha256, now.size):
        sizes = _size(now) if before.size == now.size else f"{_size(before)} -> {_size(now)}"
        return f"changed, {sizes}"
    if same_time:
        return ""
    return "written again, same size, head and tail" if now.partly else "written again with the same content"


def _written(file: File, after: float, ended: float) -> str:
    """An mtime within the interval says more; one before it was carried along by who copied the file."""
    at = file.mtime_ns / 1e9
    if not after < at <= ended:
        return ""
    return f", mtime {datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def _size(file: File) -> str:
    return _count(file.size, "byte")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
