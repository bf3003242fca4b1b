"""What is kept of a log that may be larger than memory: all of a small one; of a large one its head, its tail, and every line
between that reports an error, an outcome or a known message."""

import re
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
"""The same message from the same place is kept this often from the middle, whatever numbers are in it where it is not of a load."""
CONTINUATION_LINES = 40
SKIM_CHARACTERS = 1 << 14
"""Lines that are skimmed together: more of them would seldom hold nothing."""
BLOCK_CHARACTERS = 1 << 11
"""Of lines among which something was found, as many are looked at one by one."""
LOADS = r"(?i)\b(?:re-|un)?load|\bpoll"
"""Lines about loads and the polls of a repository, and not about a payload, a download or an upload."""
WORTH = (LOADS, r"[EF]\d{4} \d\d:\d\d:", r"Z [EF] \d", r"\[libprotobuf [EF]", r"\[[EF]:onnxruntime:")
"""RE2 patterns. A line of the middle in which none is found, nor a message that shows a failure, is not worth keeping."""
_loads = re.compile(LOADS)
_numbers = re.compile(r"\d+")

_Kind = Literal["load", "text", "known", "error"]
"""What a line of the middle is worth keeping for: Triton's own about a load, anybody's about a load, a known message, an error.
Each kind has room of its own, so that a flood of one takes no place of another."""


@dataclass(frozen=True, slots=True)
class Room:
    """What is kept at most, in bytes of lines."""

    head: int = HEAD_BYTES
    between: int = BETWEEN_BYTES
    """Of what is between, for each kind of line that is not just an error."""
    tail: int = TAIL_BYTES
    errors: int = BETWEEN_BYTES
    """Of what is between: for errors that are neither of loads nor known."""
    repeats: int = REPEATS


USUAL_ROOM = Room()


class LogKeeper:
    """Feed it the lines in order; `excerpt` is what was worth keeping."""

    def __init__(
        self,
        seal_line: Callable[[str], str],
        is_known: Callable[[str], bool],
        room: Room = USUAL_ROOM,
        skip: Callable[[str], bool] | None = None,
    ) -> None:
        """is_known: whether a line holds a message that somebody knows what to make of. skip: whether of these whole lines none is
        worth keeping, and seal_line need not see them; without it, every line is looked at."""
        self._seal_line = seal_line
        self._is_known = is_known
        self._room = room
        self._skip = skip
        self._head: list[LogLine] = []
        self._between: list[LogLine] = []
        self._tail: deque[LogLine] = deque()
        self._waiting: deque[str] = deque()
        """Blocks of whole lines behind the tail, not looked at yet: a later one may push them out of the tail."""
        self._head_bytes = self._tail_bytes = self._waiting_characters = 0
        self._past_head = False
        self._taken: Counter[_Kind] = Counter()
        self._spent: set[_Kind] = set()
        """What has no room left: its lines are not told apart any more either, which takes memory too."""
        self._seen: Counter[str] = Counter()
        self._number = 0
        self._bytes = 0
        self._continuing: _Kind | None = None
        """What the lines that belong to the last kept one are kept for, and for how many more."""
        self._continues = 0
        self._full = False
        """Of the middle, something was dropped that was worth keeping."""

    def feed(self, raw: str) -> None:
        """One line, without its line break. A progress bar goes back to the line's start: what it is drawn over, and what is
        printed over it, are lines of their own."""
        self._look_at_waiting()
        self._feed(raw)

    def feed_lines(self, text: str) -> None:
        """Whole lines, each with its line break; what the end of the log will not reach is skimmed."""
        if self._skip is None or not self._past_head:
            self._feed_each(text)
            return
        self._waiting.append(text)
        self._waiting_characters += len(text)
        while self._waiting_characters - len(self._waiting[0]) > self._room.tail:
            while self._tail:
                self._leaves_tail(self._tail.popleft())
            self._tail_bytes = 0
            text = self._waiting.popleft()
            self._waiting_characters -= len(text)
            self._skim(text)

    def excerpt(self, *, cut: bool = False) -> LogExcerpt:
        """cut: there is more of the log than was fed."""
        self._look_at_waiting()
        lines = (*self._head, *self._between, *self._tail)
        return LogExcerpt(lines, self._number, self._bytes, self._number - len(lines), cut or self._full)

    def _look_at_waiting(self) -> None:
        while self._waiting:
            self._feed_each(self._waiting.popleft())
        self._waiting_characters = 0

    def _feed_each(self, text: str) -> None:
        for line in text.removesuffix("\n").split("\n"):
            self._feed(line)

    def _feed(self, raw: str) -> None:
        self._bytes += len(raw) + 1
        for part in [part for part in raw.split("\r") if part] or [""]:
            self._keep(self._sealed(part))

    def _sealed(self, raw: str) -> LogLine:
        self._number += 1
        if len(raw) > LINE_CHARACTERS:
            raw = raw[:LINE_CHARACTERS] + CUT_MARK
        return LogLine(self._number, self._seal_line(raw))

    def _keep(self, line: LogLine) -> None:
        size = _cost(line)
        if not self._past_head and self._head_bytes + size <= self._room.head:
            self._head.append(line)
            self._head_bytes += size
            return
        self._past_head = True
        self._tail.append(line)
        self._tail_bytes += size
        while self._tail_bytes > self._room.tail:
            line = self._tail.popleft()
            self._tail_bytes -= _cost(line)
            self._leaves_tail(line)

    def _skim(self, text: str) -> None:
        """Whole lines that are surely of the middle."""
        few = len(text) <= SKIM_CHARACTERS
        if few and not self._continuing and self._skip is not None and self._skip(text):
            self._number += text.count("\n")
            self._bytes += len(text)
        elif len(text) > BLOCK_CHARACTERS and "\n" in text[:-1]:
            half = text.find("\n", len(text) // 2, -1) + 1 or text.rfind("\n", 0, -1) + 1
            self._skim(text[:half])
            self._skim(text[half:])
        else:
            for line in text.removesuffix("\n").split("\n"):
                self._bytes += len(line) + 1
                for part in [part for part in line.split("\r") if part] or [""]:
                    self._leaves_tail(self._sealed(part))

    def _leaves_tail(self, line: LogLine) -> None:
        kind = self._worth(line.text)
        if kind is None:
            return
        size = _cost(line)
        if self._taken[kind] + size > (self._room.errors if kind == "error" else self._room.between):
            self._spent.add(kind)
            self._full = self._full or kind != "error"
            return
        self._taken[kind] += size
        self._between.append(line)

    def _worth(self, text: str) -> _Kind | None:
        """What this line of the middle is worth keeping for."""
        level = level_of(text)
        if not level and self._continuing:
            kind, self._continues = self._continuing, self._continues - 1
            if not self._continues:
                self._continuing = None
            return kind
        self._continuing = None
        found = self._kind(text, level)
        if found is None or found in self._spent:
            return None
        said = without_time(text)
        what = said[40:240] if len(said) > 80 else said  # without Triton's own time
        if found in ("known", "error"):
            what = _numbers.sub(
                "0", what
            )  # requests and users have numbers; so have models, which lines of loads name
        self._seen[what] += 1
        if self._seen[what] > self._room.repeats:
            return None
        self._continuing, self._continues = found, CONTINUATION_LINES
        return found

    def _kind(self, text: str, level: str) -> _Kind | None:
        if _loads.search(text):
            return "load" if level else "text"
        if self._is_known(text):
            return "known"
        return "error" if level in ("E", "F") else None


def _cost(line: LogLine) -> int:
    return max(LINE_COST, len(line.text) + 1)
