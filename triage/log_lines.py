"""A log's line as the process wrote it. Container runtimes and kubectl put a time or a name before it, Docker puts it into JSON,
and both cut long lines into parts.

The formats: kubernetes/cri-api's `time stream P|F text`, Docker's json-file driver, `kubectl logs --timestamps --prefix`,
`mpirun --tag-output`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from triage.seal import printable

CUT_MARK = " [cut]"
"""Ends a line whose rest was not kept."""

_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)(?: (?P<stream>stdout|stderr) (?P<part>[FP]))?(?: |$)"
)
_TRITONS_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [IWEF] \d+ ")
_SPEAKER = re.compile(r"\[pod/[^\]\s]{1,400}\] ?|\[\d{1,6},\d{1,6}\]<std(?:out|err)>:")
_SERVER = re.compile(
    r"(?:\d{4}-\d\d-\d\dT\S+ )?(?P<name>\[pod/[^\]\s]{1,400}\]|[A-Za-z0-9][\w.-]{0,100} *\|(?= |$))"
)
_DOCKER = '{"log":'
_DOCKER_PART_BYTES = 16 << 10
"""Docker cuts lines at this size; a part that is not the last has no line break."""
_MAX_LINE = 1 << 20
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*')
"""A JSON string, up to its closing quote."""


@dataclass(slots=True)
class SpokenLine:
    """`number` and `raw` are of the line in the log, or of its first part; `text` is what the process wrote."""

    number: int
    raw: str
    text: str


@dataclass(slots=True)
class _Parts:
    """A line whose end has not come."""

    line: SpokenLine
    texts: list[str] = field(default_factory=list)
    size: int = 0

    def whole(self) -> SpokenLine:
        text = "".join(self.texts)
        prefix = self.line.raw.removesuffix(self.line.text)
        return SpokenLine(self.line.number, prefix + text if prefix != self.line.raw else text, text)


def server_of(line: str) -> str:
    """The prefix by which `kubectl logs --prefix` and `docker compose logs` tell one process of several; empty without one."""
    found = _SERVER.match(line)
    return found["name"] if found else ""


class LineJoiner:
    """Feed it a log's lines in order; it gives each line of the process once that is whole."""

    def __init__(self) -> None:
        self._parts: dict[str, _Parts] = {}

    def feed(self, number: int, raw: str) -> Iterator[SpokenLine]:
        text, stream, more = _unwrap(raw)
        line = SpokenLine(number, raw, text)
        if not more and stream not in self._parts:
            yield line
            return
        parts = self._parts.setdefault(stream, _Parts(line))
        parts.texts.append(text)
        parts.size += len(text)
        if not more or parts.size > _MAX_LINE:
            yield self._parts.pop(stream).whole()

    def close(self) -> Iterator[SpokenLine]:
        """What is left: the log ended within a line."""
        while self._parts:
            yield self._parts.pop(next(iter(self._parts))).whole()


def without_time(text: str) -> str:
    """The text behind a time that a runtime wrote; Triton's own time, which belongs to its header, stays."""
    found = _TIME.match(text)
    return text if found is None or _TRITONS_TIME.match(text) else text[found.end() :]


def read_string(text: str) -> str | None:
    """What a JSON string says that fills this text, printable; one whose end was lost still says its beginning. None where it
    is no string, or more than one."""
    found = _STRING.match(text)
    if found is None or text[found.end() :] not in ("", '"'):
        return None
    try:
        said = str(json.loads(found[0] + '"', strict=False))
    except ValueError:
        said = found[0][1:]
    return printable(said)  # what was escaped has not been made so yet


def _unwrap(raw: str) -> tuple[str, str, bool]:
    """The text, its stream, and whether the rest of its line is in another one."""
    if raw.startswith(_DOCKER):
        return _out_of_docker(raw)
    if speaker := _SPEAKER.match(raw):
        return without_time(raw[speaker.end() :]), "", False
    found = _TIME.match(raw)
    if found is None or _TRITONS_TIME.match(raw):
        return raw, "", False
    return raw[found.end() :], found["stream"] or "", found["part"] == "P"


def _out_of_docker(raw: str) -> tuple[str, str, bool]:
    start = raw.find('"', len(_DOCKER))
    found = _STRING.match(raw, start) if start >= 0 and not raw[len(_DOCKER) : start].strip() else None
    said = read_string(found[0]) if found else None
    if found is None or said is None:
        return raw, "", False
    stream = "stdout" if '"stream":"stdout"' in raw[found.end() :] else "stderr"
    cut = not said.endswith("\n") and len(said.encode()) >= _DOCKER_PART_BYTES
    return said.removesuffix("\n").removesuffix(CUT_MARK), stream, cut
