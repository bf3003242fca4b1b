"""Container output as the container runtime writes it to a pod's log file, one line at a time: time, stream, tag and text."""

from datetime import UTC, datetime, timedelta
from typing import Literal

LONGEST_LINE_BYTES = 16 * 1024  # containerd's max_container_log_line_size
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def cri_lines(
    text: str | bytes,
    at: datetime = EPOCH,
    *,
    stream: Literal["stdout", "stderr"] = "stderr",
    apart_seconds: float = 0.001,
) -> bytes:
    """`text` as a log file holds it, its first line written at `at` and each following one `apart_seconds` later.

    A longer line than the runtime's buffer comes in pieces tagged P, the last one F; output that ends without a newline ends
    with a P."""
    whole = text.encode() if isinstance(text, str) else text
    written = []
    *lines, unended = whole.split(b"\n")
    for number, line in enumerate(lines):
        pieces = _pieces(line)
        tags = [b"P"] * (len(pieces) - 1) + [b"F"]
        written += [(number, tag, piece) for tag, piece in zip(tags, pieces, strict=True)]
    if unended:
        written += [(len(lines), b"P", piece) for piece in _pieces(unended)]
    return b"".join(
        b"%s %s %s %s\n" % (_stamp(at, number * apart_seconds, order), stream.encode(), tag, piece)
        for order, (number, tag, piece) in enumerate(written)
    )


def _pieces(line: bytes) -> list[bytes]:
    starts = range(0, max(len(line), 1), LONGEST_LINE_BYTES)
    return [line[start : start + LONGEST_LINE_BYTES] for start in starts]


def _stamp(at: datetime, after_seconds: float, order: int) -> bytes:
    """Nanoseconds, which no two lines of one log share."""
    time = at.astimezone(UTC) + timedelta(seconds=after_seconds)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond:06}{order % 1000:03}Z".encode()
