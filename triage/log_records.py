"""Records of a Triton log out of its lines, as they stream by: one glog line with what belongs to it, one row of the model
table, or one line of anybody else.

Libraries within the server that print their source file count as its own lines: protobuf's text format and ONNX Runtime.
Triton prints `LMMDD hh:mm:ss.uuuuuu PID FILE:LINE] message` or, with `--log-format=ISO8601`, `YYYY-MM-DDThh:mm:ssZ L PID
FILE:LINE] message` (triton-inference-server/common:src/logging.cc). Since 24.05 the message is a JSON string. `docker compose`
and launchers write their own prefix before it; what runtimes make of a line is undone in `log_lines`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from triage.log_lines import CUT_MARK, LineJoiner, SpokenLine, read_string, without_time

_HEADER = re.compile(
    r"(?P<level>[IWEF])(?P<date>\d{4}) (?P<at>\d\d:\d\d:\d\d\.\d+)\s+\d+\s+(?P<source>[\w.+-]+:\d+)\] ?"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<iso_level>[IWEF]) \d+ (?P<iso_source>[\w.+-]+:\d+)\] ?"
    r"|\[libprotobuf (?P<protobuf_level>[A-Z])[A-Z]+ (?:[\w./+-]*/)?(?P<protobuf_source>[\w.+-]+:\d+)\] ?"
    r"|(?P<ort>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) \[(?P<ort_level>[IWEF]):onnxruntime:[^,\]]*, "
    r"(?P<ort_source>[\w.+-]+:\d+)[^\]]*\] ?"
)
_HEADER_WITHIN = 240
"""A header behind a launcher's prefix begins this early, or it is a quotation."""
_COMPOSE = re.compile(r"[A-Za-z0-9][\w.-]{0,100} *\|(?: |$)")
_ROW = re.compile(
    r"\|(?P<model>[^|]+)\|\s*(?P<version>-?\d+|-)\s*\|\s*"
    r"(?P<status>(?:READY|UNAVAILABLE|LOADING|UNLOADING|UNKNOWN|<unknown>|Not loaded)(?![\w-]).*)$"
)
_MORE_OF_ROW = re.compile(r"\|(?P<model>[^|]*)\|\s*\|\s?(?P<status>.*)$")
_TABLE = re.compile(r"\s*\+-")
_FOREIGN = re.compile(r"error:|Traceback|[\[+|=]|Signal|WARNING|ERROR|\d{4}-\d\d-\d\d")
_EXCEPTION = re.compile(r"\b\w*(?:Error|Exception)\b")
_REPORTS = re.compile(r"[Ff]ail|[Ee]rror|Exception|Exit")
"""A failure that is told as a note: the Python backend's stub does so."""
_CHAINED = re.compile(r"During handling of the above|The above exception was")
_MAX_CONTINUATION_LINES = 120


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
    framed: bool = False
    """The row stands in a table, behind its border."""

    @property
    def own(self) -> bool:
        """Whether Triton printed it with its source file, or as its table. A model in Python may log through Triton, with its
        own file as the source: its words are anybody's."""
        return (bool(self.source) and ".py:" not in self.source) or (self.row is not None and self.framed)

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
    framed: bool = False
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

    @property
    def is_whole(self) -> bool:
        """A JSON string that has ended: nothing can belong to it any more."""
        return (
            not self.quoted
            and self.message.startswith('"')
            and self.message.rstrip().endswith(('"', CUT_MARK))
        )

    @property
    def message(self) -> str:
        """The first part that is not empty: the header may stand alone on its line."""
        return next((part for part in self.parts if part.strip()), "")

    def done(self) -> Record:
        text = self.joined.join(self.parts)
        starts, offset = [], 0
        for part in self.parts:
            starts.append(offset)
            offset += len(part) + len(self.joined)
        said = read_string(text.strip())
        if said is not None:
            first = self.parts.index(self.message)
            text, starts = said, [-1] * first + [0] + [len(said)] * (len(self.parts) - first - 1)
        return Record(
            self.number,
            tuple(self.lines),
            text.rstrip(),
            tuple(starts),
            self.level,
            self.source,
            self.at,
            self.row,
            self.framed,
        )


class RecordReader:
    """Feed it lines in order; it gives each record once the next one begins."""

    def __init__(self, *, bare: bool = False) -> None:
        """bare: Triton's lines begin with its header, so no prefix is to be taken off the others. The first one shows it."""
        self._open: _Open | None = None
        self._prefix = ""
        self._bare = bare
        self._framed = True
        """The last lines are those of a table, of which an excerpt may have lost the border."""
        self._lines = LineJoiner()

    def feed(self, number: int, line: str) -> Iterator[Record]:
        for spoken in self._lines.feed(number, line):
            yield from self._take(spoken)

    def close(self) -> Iterator[Record]:
        for spoken in self._lines.close():
            yield from self._take(spoken)
        yield from self._end()

    def _take(self, line: SpokenLine) -> Iterator[Record]:
        header, body = self._header(line.text)
        if header is not None:
            yield from self._end()
            self._framed = False
            self._open = _Open(line.number, *header, quoted=_opens_quote(body))
            self._open.add(line.raw, body)
            return
        body = self._without_prefix(line.text)
        self._framed = body.startswith("+-") or (self._framed and body.startswith("|"))
        if body.startswith("+-"):
            yield from self._end()
        elif row := _ROW.match(body):
            yield from self._end()
            status, closed = _cell(row["status"])
            model = row["model"].strip()
            self._open = _Open(
                line.number, row=(model, row["version"]), framed=self._framed, joined="", row_open=not closed
            )
            self._open.add(line.raw, status)
        elif self._open is not None and self._continues(self._open, body):
            self._extend(self._open, line.raw, body)
        else:
            yield from self._end()
            if body.strip():
                self._open = _Open(line.number, traceback=body.startswith("Traceback (most recent"))
                self._open.add(line.raw, body)

    def _end(self) -> Iterator[Record]:
        if self._open is not None:
            whole = self._open.is_whole
            record, self._open = self._open.done(), None
            yield from _table_in(record) if whole else (record,)

    def _header(self, line: str) -> tuple[tuple[str, str, str] | None, str]:
        """Level, source and time, if it is Triton's own line; and what follows."""
        found = _HEADER.match(line) or _HEADER.search(line, 0, _HEADER_WITHIN)
        if found is None:
            return None, line
        if found.start() and (line[found.start() - 1].isalnum() or '"' in line[: found.start()]):
            return None, line
        self._prefix = line[: found.start()]
        self._bare = self._bare or not self._prefix
        return (_of(found, "level"), _of(found, "source"), _of(found, "at")), line[found.end() :]

    def _without_prefix(self, line: str) -> str:
        if self._prefix and line.startswith(self._prefix):
            return line[len(self._prefix) :]
        if line == self._prefix.rstrip():
            return ""
        found = None if self._bare else _COMPOSE.match(line)
        return without_time(line[found.end() :]) if found else line

    def _continues(self, record: _Open, body: str) -> bool:
        if len(record.lines) >= _MAX_CONTINUATION_LINES:
            return False
        if record.row is not None:
            return bool(_MORE_OF_ROW.match(body)) or record.row_open
        if record.quoted or not record.message or record.traceback:
            return True
        if record.is_whole:
            return False
        if not body.strip() or body[0] in " \t" or body.startswith("At:"):
            # Reasons have several lines; what is told in passing has one, and others write into Triton's log.
            return record.level != "I" or _REPORTS.search(record.message) is not None
        if _CHAINED.match(body) and record.message.startswith("Traceback"):
            return True
        if _FOREIGN.match(body):
            return False
        if record.level in ("E", "F") and record.parts[-1].rstrip().endswith(":"):
            return True  # a library's reason may begin with a line break
        return bool(record.level and _EXCEPTION.search(record.message))

    def _extend(self, record: _Open, line: str, body: str) -> None:
        if record.row is not None:
            more = _MORE_OF_ROW.match(body)
            status, closed = _cell(more["status"] if more else body)
            record.add(line, status if more else " " + status.strip())
            if more and more["model"].strip():
                record.row = (
                    record.row[0] + more["model"].strip(),
                    record.row[1],
                )  # names are cut at a width too
            record.row_open = record.row_open and not closed
            return
        record.add(line, body)
        if record.quoted:
            record.quoted = not body.rstrip().endswith('"')
        if _CHAINED.match(body):
            record.traceback = True
        elif record.traceback and body.strip() and body[0] not in " \t":
            # The exception's own line ends a traceback; another may be chained to it.
            record.traceback = body.startswith("Traceback")


def _cell(status: str) -> tuple[str, bool]:
    """A cell's text without its bar, and whether the bar was there. Cells are cut at a width, within words."""
    closed = status.rstrip().endswith("|")
    return (status.rstrip()[:-1].removesuffix(" ") if closed else status), closed


def _opens_quote(body: str) -> bool:
    closed = len(body) > 1 and body.rstrip().endswith('"')
    return body.startswith('"') and not closed and not body.endswith(CUT_MARK)


def _table_in(record: Record) -> Iterator[Record]:
    """The record, or the rows of a table that was printed as one escaped message. A message that quotes a table is none."""
    if not _TABLE.match(record.text):
        yield record
        return
    inner = RecordReader(bare=True)
    for part in record.text.split("\n"):
        for row in inner.feed(record.number, part):
            yield _within(record, row)
    for row in inner.close():
        yield _within(record, row)


def _within(record: Record, row: Record) -> Record:
    return Record(
        record.number,
        record.lines,
        row.text,
        (0,),
        record.level,
        record.source,
        record.at,
        row.row,
        row.framed,
    )
