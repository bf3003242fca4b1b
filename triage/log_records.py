"""Records of a Triton log out of its lines, as they stream by: one glog line with what belongs to it, one row of the model
table, or one line of anybody else.

Libraries within the server that print their source file count as its own lines: protobuf's text format and ONNX Runtime.
Triton prints `LMMDD hh:mm:ss.uuuuuu PID FILE:LINE] message` or, with `--log-format=ISO8601`, `YYYY-MM-DDThh:mm:ssZ L PID
FILE:LINE] message` (triton-inference-server/common:src/logging.cc). Since 24.05 the message is a JSON string. Container runtimes,
`docker compose`, `kubectl --timestamps --prefix` and launchers write their own prefix before it."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_HEADER = re.compile(
    r"(?P<level>[IWEF])(?P<date>\d{4}) (?P<at>\d\d:\d\d:\d\d\.\d+)\s+\d+\s+(?P<source>[\w.+-]+:\d+)\] ?"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<iso_level>[IWEF]) \d+ (?P<iso_source>[\w.+-]+:\d+)\] ?"
    r"|\[libprotobuf (?P<protobuf_level>[A-Z])[A-Z]+ (?:[\w./+-]*/)?(?P<protobuf_source>[\w.+-]+:\d+)\] ?"
    r"|(?P<ort>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) \[(?P<ort_level>[IWEF]):onnxruntime:[^,\]]*, "
    r"(?P<ort_source>[\w.+-]+:\d+)[^\]]*\] ?"
)
_HEADER_WITHIN = 240
"""A header behind a launcher's prefix begins this early, or it is a quotation."""
_RUNTIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (?:(?:stdout|stderr) (?P<part>[FP]) )?")
_COMPOSE = re.compile(r"[A-Za-z0-9][\w.-]{0,100} *\|(?: |$)")
_ROW = re.compile(
    r"\|\s*(?P<model>[^\s|][^|]*?)\s*\|\s*(?P<version>-?\d+|-)\s*\|\s*"
    r"(?P<status>(?:READY|UNAVAILABLE|LOADING|UNLOADING|UNKNOWN)\b.*)$"
)
_MORE_OF_ROW = re.compile(r"\|\s*\|\s*\|\s?(?P<status>.*)$")
_FOREIGN = re.compile(r"error:|Traceback|[\[+|=]|Signal|WARNING|ERROR|\d{4}-\d\d-\d\d")
_EXCEPTION = re.compile(r"\b\w*(?:Error|Exception)\b")
_CHAINED = re.compile(r"During handling of the above|The above exception was")
_MAX_CONTINUATION_LINES = 120
_MAX_PARTIAL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """`number` is that of its first line, from 1; `lines` are as in the log. `text` is what the signatures search: no prefix, no
    escapes; `starts` has for each line the offset in `text` at which its part begins."""

    number: int
    lines: tuple[str, ...]
    text: str
    starts: tuple[int, ...] = (0,)
    level: str = ""
    """I, W, E, F; empty where it is not Triton's own line."""
    source: str = ""
    """Triton's source file and line, such as `model_lifecycle.cc:654`."""
    at: str = ""
    """The time as it was printed."""
    row: tuple[str, str] | None = None
    """Model and version, in a row of the table of models; `text` is then the status."""

    @property
    def own(self) -> bool:
        """Whether Triton printed it with its source file, or as its table."""
        return bool(self.source) or self.row is not None

    def line_at(self, offset: int) -> str:
        """The line, as in the log, that holds this offset of `text`."""
        index = 0
        for candidate, start in enumerate(self.starts):
            if start <= offset:
                index = candidate
        return self.lines[index]


def level_of(line: str) -> str:
    """The level of Triton's own line: I, W, E or F; empty where it is none."""
    found = _HEADER.search(line, 0, _HEADER_WITHIN)
    return _of(found, "level") if found else ""


def _of(found: re.Match[str], what: str) -> str:
    """Level, source or time, whoever printed the line."""
    times = {"iso_at": "iso", "ort_at": "ort"}
    names = (f"{prefix}{what}" for prefix in ("", "iso_", "protobuf_", "ort_"))
    groups = found.groupdict()
    return next((value for name in names if (value := groups.get(times.get(name, name)))), "")


def read_records(lines: Iterable[tuple[int, str]]) -> Iterator[Record]:
    """The records of numbered lines."""
    reader = RecordReader()
    for number, line in lines:
        yield from reader.feed(number, line)
    yield from reader.close()


@dataclass(slots=True)
class _Open:
    """A record that may still get lines."""

    number: int
    level: str = ""
    source: str = ""
    at: str = ""
    row: tuple[str, str] | None = None
    lines: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    joined: str = "\n"
    traceback: bool = False
    quoted: bool = False
    """A JSON string that has not ended."""
    row_open: bool = False
    """A table cell with line breaks in it, whose closing bar has not come."""

    def add(self, line: str, part: str) -> None:
        self.lines.append(line)
        self.parts.append(part)

    def done(self) -> Record:
        text = self.joined.join(self.parts)
        starts, offset = [], 0
        for part in self.parts:
            starts.append(offset)
            offset += len(part) + len(self.joined)
        unescaped = _unescape(text)
        if unescaped != text:
            text, starts = unescaped, [0] + [len(unescaped)] * (len(self.lines) - 1)
            if len(self.lines) > 1 and not self.parts[0]:
                starts = [-1] + [0] * (len(self.lines) - 1)  # an empty header line, then the message
        return Record(
            self.number,
            tuple(self.lines),
            text.rstrip(),
            tuple(starts),
            self.level,
            self.source,
            self.at,
            self.row,
        )


class RecordReader:
    """Feed it lines in order; it gives each record once the next one begins."""

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._prefix = ""
        self._partial: list[str] = []

    def feed(self, number: int, line: str) -> Iterator[Record]:
        whole = self._without_runtime(line)
        if whole is None:
            return
        header, body = self._header(whole)
        if header is not None:
            yield from self.close()
            self._open = _Open(number, *header, quoted=_opens_quote(body))
            self._open.add(line, body)
            return
        body = self._without_prefix(whole)
        if body.startswith("+-"):
            yield from self.close()
        elif row := _ROW.match(body):
            yield from self.close()
            status, closed = _cell(row["status"])
            self._open = _Open(number, row=(row["model"], row["version"]), joined="", row_open=not closed)
            self._open.add(line, status)
        elif self._open is not None and self._continues(self._open, body):
            self._extend(self._open, line, body)
        else:
            yield from self.close()
            if body.strip():
                self._open = _Open(number, traceback=body.startswith("Traceback (most recent"))
                self._open.add(line, body)

    def close(self) -> Iterator[Record]:
        if self._open is not None:
            record, self._open = self._open.done(), None
            yield from _table_in(record)

    def _header(self, line: str) -> tuple[tuple[str, str, str] | None, str]:
        """Level, source and time, if it is Triton's own line; and what follows."""
        found = _HEADER.match(line) or _HEADER.search(line, 0, _HEADER_WITHIN)
        if found is None:
            return None, line
        if found.start() and (line[found.start() - 1].isalnum() or '"' in line[: found.start()]):
            return None, line
        self._prefix = line[: found.start()]
        return (_of(found, "level"), _of(found, "source"), _of(found, "at")), line[found.end() :]

    def _without_runtime(self, line: str) -> str | None:
        """The line as the process wrote it; None while a runtime has cut it and the rest is to come."""
        if line.startswith('{"log":'):
            try:
                return str(json.loads(line)["log"]).rstrip("\n")
            except (ValueError, KeyError, TypeError):
                return line
        found = _RUNTIME.match(line)
        if found is None or _HEADER.match(line):
            return line
        part = line[found.end() :]
        if found["part"] == "P" and sum(map(len, self._partial)) < _MAX_PARTIAL_BYTES:
            self._partial.append(part)
            return None
        if self._partial:
            part, self._partial = "".join([*self._partial, part]), []
        return part

    def _without_prefix(self, line: str) -> str:
        if self._prefix and line.startswith(self._prefix.rstrip()):
            return line[len(self._prefix) :]
        found = _COMPOSE.match(line)
        return line[found.end() :] if found else line

    def _continues(self, record: _Open, body: str) -> bool:
        if len(record.lines) >= _MAX_CONTINUATION_LINES:
            return False
        if record.row is not None:
            return bool(_MORE_OF_ROW.match(body)) or record.row_open
        if record.quoted or not any(record.parts) or record.traceback:
            return True
        if not body.strip() or body[0] in " \t" or body.startswith("At:"):
            return True
        return bool(
            record.level
            and not record.parts[0].startswith('"')
            and _EXCEPTION.search(record.parts[0])
            and not _FOREIGN.match(body)
        )

    def _extend(self, record: _Open, line: str, body: str) -> None:
        if record.row is not None:
            more = _MORE_OF_ROW.match(body)
            status, closed = _cell(more["status"] if more else body)
            record.add(line, status if more else " " + status.strip())
            record.row_open = record.row_open and not closed
            return
        record.add(line, body)
        if record.quoted:
            record.quoted = not body.rstrip().endswith('"')
        if record.traceback and body.strip() and body[0] not in " \t":
            # The exception's own line ends a traceback, unless another is chained to it.
            record.traceback = bool(_CHAINED.match(body)) or body.startswith("Traceback")


def _cell(status: str) -> tuple[str, bool]:
    """A cell's text without its bar, and whether the bar was there. Cells are cut at a width, within words."""
    closed = status.rstrip().endswith("|")
    return (status.rstrip()[:-1].removesuffix(" ") if closed else status), closed


def _opens_quote(body: str) -> bool:
    return body.startswith('"') and not (len(body) > 1 and body.rstrip().endswith('"'))


def _unescape(text: str) -> str:
    stripped = text.strip()
    if len(stripped) < 2 or not stripped.startswith('"') or not stripped.endswith('"'):
        return text
    try:
        said = json.loads(stripped, strict=False)
    except ValueError:
        return stripped[1:-1]
    return said if isinstance(said, str) else text


def _table_in(record: Record) -> Iterator[Record]:
    """The record, or the rows of a table that was printed as one escaped message."""
    if record.row is None and "\n+-" in record.text and len(record.lines) == 1:
        inner = RecordReader()
        for part in record.text.splitlines():
            for row in [*inner.feed(record.number, part)]:
                yield _within(record, row)
        for row in [*inner.close()]:
            yield _within(record, row)
    else:
        yield record


def _within(record: Record, row: Record) -> Record:
    return Record(
        record.number, record.lines, row.text, (0,), record.level, record.source, record.at, row.row
    )
