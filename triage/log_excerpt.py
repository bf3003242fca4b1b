"""What is kept of a log that may be larger than memory: all of a small one; of a large one its head, its tail, and every line
between that reports an error, an outcome or a known message."""

import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from triage.evidence import LogExcerpt, LogLine
from triage.log_lines import CUT_MARK, without_time
from triage.log_records import level_of

HEAD_BYTES = 1 << 20
TAIL_BYTES = 1 << 18
BETWEEN_BYTES = 1 << 20
LINE_CHARACTERS = 32 * 1024
"""A longer line is cut: Triton's own stay below, as do the 16 KiB parts of the container runtimes with what they add, and a page
of payload in one line tells nothing more."""
LINE_COST = 32
"""A line takes memory even where it is empty: it counts for this many bytes at least."""
REPEATS = 20
"""The same message from the same place is kept this often from the middle."""
CONTINUATION_LINES = 40
_LOADS = re.compile(r"\b(?:re-|un)?load", re.I)
"""Lines about loads, and not about a payload, a download or an upload."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is kept at most, in bytes of lines."""

    head: int = HEAD_BYTES
    between: int = BETWEEN_BYTES
    tail: int = TAIL_BYTES
    errors: int = BETWEEN_BYTES
    """Of what is between: for errors that are neither of loads nor known. They take no other line's place."""
    repeats: int = REPEATS


USUAL_ROOM = Room()


class LogKeeper:
    """Feed it the lines in order; `excerpt` is what was worth keeping."""

    def __init__(
        self, seal_line: Callable[[str], str], is_known: Callable[[str], bool], room: Room = USUAL_ROOM
    ) -> None:
        """is_known: whether a line holds a message that somebody knows what to make of."""
        self._seal_line = seal_line
        self._is_known = is_known
        self._room = room
        self._head: list[LogLine] = []
        self._between: list[LogLine] = []
        self._tail: deque[LogLine] = deque()
        self._head_bytes = self._tail_bytes = self._between_bytes = self._error_bytes = 0
        self._seen: Counter[str] = Counter()
        self._number = 0
        self._bytes = 0
        self._continuing = 0
        self._is_error = False
        """The line that was last worth keeping, with what belongs to it, is an error and nothing else."""
        self._full = False
        """Of the middle, something was dropped that was worth keeping."""

    def feed(self, raw: str) -> None:
        """One line, without its line break. A progress bar goes back to the line's start: what it is drawn over, and what is
        printed over it, are lines of their own."""
        self._bytes += len(raw) + 1
        for part in [part for part in raw.split("\r") if part] or [""]:
            self._keep(part)

    def excerpt(self, *, cut: bool = False) -> LogExcerpt:
        """cut: there is more of the log than was fed."""
        lines = (*self._head, *self._between, *self._tail)
        return LogExcerpt(lines, self._number, self._bytes, self._number - len(lines), cut or self._full)

    def _keep(self, raw: str) -> None:
        self._number += 1
        if len(raw) > LINE_CHARACTERS:
            raw = raw[:LINE_CHARACTERS] + CUT_MARK
        line = LogLine(self._number, self._seal_line(raw))
        size = _cost(line)
        if not self._tail and self._head_bytes + size <= self._room.head:
            self._head.append(line)
            self._head_bytes += size
            return
        self._tail.append(line)
        self._tail_bytes += size
        while self._tail_bytes > self._room.tail:
            self._leaves_tail(self._tail.popleft())

    def _leaves_tail(self, line: LogLine) -> None:
        size = _cost(line)
        self._tail_bytes -= size
        if self._full or not self._is_worth_keeping(line.text):
            return
        if self._is_error:
            if self._error_bytes + size > self._room.errors:
                return
            self._error_bytes += size
        if self._between_bytes + size > self._room.between:
            self._full = True
            return
        self._between.append(line)
        self._between_bytes += size

    def _is_worth_keeping(self, text: str) -> bool:
        level = level_of(text)
        if not level and self._continuing > 0:
            self._continuing -= 1
            return True
        self._continuing = 0
        self._is_error = not _LOADS.search(text) and not self._is_known(text)
        if self._is_error and level not in ("E", "F"):
            return False
        said = without_time(text)
        what = said[40:240] if len(said) > 80 else said  # without Triton's own time
        self._seen[what] += 1
        if self._seen[what] > self._room.repeats:
            return False
        self._continuing = CONTINUATION_LINES
        return True


def _cost(line: LogLine) -> int:
    return max(LINE_COST, len(line.text) + 1)
