"""The record's lines: what a look adds to what is known, how a record is read back, and which changes lie in a window. Pure.

A line is written when something changed, when what can be seen changed, and as a heartbeat. The first line of a file holds all
that is known. A line that cannot be read was cut by a kill; what it told, the next run sees again."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from triage.evidence import Missing
from triage.latency.facts import RepositoryChange, RepositoryChanges
from triage.repository.fingerprints import Config, Folder, Index, Known, Look, after_look, served_models

HEARTBEAT_SECONDS = 300.0
MAX_CHANGES = 500
"""In one window: the last ones."""
_SOURCES = ("index", "configs", "files")
"""Aspects without which a look is not a whole one; one model's configuration or folder does not make it less."""


class Told(msgspec.Struct, frozen=True):
    model: str
    what: str
    after: float


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    began: float
    at: float
    source: str = ""
    """In the first line of a run: what it looks at."""
    known: Known | None = None
    """All that is known after this look, in the first line of a file; in others, only what is new."""
    index: Index | None = None
    configs: Mapping[str, Config] = {}
    folders: Mapping[str, Folder | None] = {}
    """None: the folder was removed."""
    folders_began: float | None = None
    """None: the files were not seen."""
    unknown: Mapping[str, str] = {}
    changes: tuple[Told, ...] = ()


_decoder = msgspec.json.Decoder(Line)


def line_of(
    known: Known, look: Look, changes: Sequence[RepositoryChange], *, source: str = "", full: bool = False
) -> Line:
    """The line that adds this look to what was known, or, where `full`, holds both."""
    told = tuple(Told(change.model, change.what, change.after) for change in changes)
    files_began = look.began if look.folders_began is None else look.folders_began
    began = files_began if look.folders is not None else None
    line = Line(look.began, look.ended, source, folders_began=began, unknown=look.unknown, changes=told)
    now = after_look(known, look)
    if full:
        return msgspec.structs.replace(line, known=msgspec.structs.replace(now, hidden={}))
    folders: dict[str, Folder | None] = {
        model: folder for model, folder in now.folders.items() if known.folders.get(model) != folder
    }
    folders |= dict.fromkeys(known.folders.keys() - now.folders.keys())
    return msgspec.structs.replace(
        line,
        index=None if look.index == known.index else look.index,
        configs={
            model: config for model, config in look.configs.items() if known.configs.get(model) != config
        },
        folders=folders,
    )


def is_due(known: Known, look: Look, changes: Sequence[RepositoryChange], written_at: float | None) -> bool:
    """Whether this look is to be written. `written_at` is when the last line's look ended, if this run wrote one."""
    if written_at is None or changes or look.unknown.keys() != known.unknown.keys():
        return True
    first_sight = (look.index is not None and known.index is None) or (
        look.folders is not None and known.listed is None
    )
    # A clock that was set back would hold the heartbeat up.
    return first_sight or not 0 <= look.ended - written_at < HEARTBEAT_SECONDS or _is_new(known, look)


def _is_new(known: Known, look: Look) -> bool:
    """A configuration or a folder that was seen for the first time, which is no change."""
    now = after_look(known, look)
    return now.configs != known.configs or now.folders != known.folders


def encode_line(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def decode_lines(lines: Iterable[bytes]) -> list[Line]:
    """The lines that can be read, in order."""
    found = []
    for text in lines:
        try:
            line = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if all(map(math.isfinite, (line.began, line.at, *(told.after for told in line.changes)))):
            found.append(line)
    return found


def known_from(lines: Iterable[Line]) -> Known:
    """What was known after the last line."""
    known = Known()
    for line in lines:
        known = line.known if line.known is not None else after_look(known, _look(known, line))
    return known


def _look(known: Known, line: Line) -> Look:
    """The look that wrote this line: what it saw and does not say was as it was known."""
    unknown = line.unknown
    index = None if "index" in unknown else known.index if line.index is None else line.index
    configs = {**known.configs, **line.configs}
    seen = [] if index is None or "configs" in unknown else served_models(index)
    folders = {
        model: folder
        for model, folder in {**known.folders, **line.folders}.items()
        if folder is not None and f"files {model}" not in unknown
    }
    return Look(
        line.began,
        line.at,
        index,
        {model: configs[model] for model in seen if model in configs and f"config {model}" not in unknown},
        None if line.folders_began is None else folders,
        line.folders_began,
        unknown,
    )


def changes_within(lines: Sequence[Line], start: float, end: float) -> RepositoryChanges | Missing:
    """The changes that may lie in the window, in seconds since 1970; without any, that nothing changed where the record covers at
    least a part of it, else why it cannot tell."""
    if not lines:
        return Missing(
            "not_found", "the record has no line that can be read", "is it what `triton-triage record` wrote?"
        )
    found = [
        RepositoryChange(line.at, min(told.after, line.at), told.model, told.what)
        for line in lines
        for told in line.changes
        if line.at >= start and told.after <= end
    ]
    whole = [line for line in lines if not any(source in line.unknown for source in _SOURCES)]
    if found:
        covering = whole or list(lines)
        return RepositoryChanges(covering[0].began, covering[-1].at, tuple(found[-MAX_CHANGES:]))
    if not whole:
        why = "; ".join(dict.fromkeys(lines[-1].unknown.values()))
        return Missing("unreachable", f"the recorder could not look: {why}", "let it reach what it could not")
    if whole[0].began > end:
        said = f"the record begins at {_clock(whole[0].began)}, after the window"
        return Missing("not_found", said, "ask about a later window")
    if whole[-1].at < start:
        said = f"the record sees until {_clock(whole[-1].at)}, before the window"
        if lines[-1].unknown and (why := "; ".join(dict.fromkeys(lines[-1].unknown.values()))):
            said += f"; since then: {why}"
        return Missing("not_found", said, "is the recorder still running, and does it reach Triton?")
    return RepositoryChanges(whole[0].began, whole[-1].at, ())


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
