"""Times as a person types them: `now`, `now-30m`, `14:02`, RFC 3339, or seconds since 1970; UTC where no zone is given. Pure."""

import re
from datetime import UTC, datetime, timedelta

from telemetry.durations import parse_duration

FORMS = "now, now-30m, 14:02 (UTC), 2026-11-23T14:02:00Z, or seconds since 1970"
SPAN_SECONDS = 7200.0
"""Of a window that nobody gave: an hour before an incident, and the incident."""
_AFTER_SECONDS = 1800.0
_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$")
_LEAST_SECONDS = 20.0


def parse_time(text: str, now: float) -> float:
    """Seconds since 1970. A time of day is the last such one. Raises ValueError, saying the accepted forms."""
    text = text.strip()
    if text == "now":
        return now
    if text.startswith("now-"):
        try:
            return now - parse_duration(text.removeprefix("now-"))
        except ValueError as error:
            raise ValueError(f"{text!r} is no time: {error}") from None
    if clock := _CLOCK.match(text):
        hour, minute, second = (int(part or 0) for part in clock.groups())
        today = datetime.fromtimestamp(now, UTC).replace(
            hour=hour, minute=minute, second=second, microsecond=0
        )
        return (today if today.timestamp() <= now else today - timedelta(days=1)).timestamp()
    if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
        return float(text)
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; accepted: {FORMS}") from None
    return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()


def parse_window(text: str, now: float) -> tuple[float, float]:
    """`A..B`, first before last. Raises ValueError."""
    first, dots, last = text.partition("..")
    if not dots:
        raise ValueError(f"{text!r} is no window; give A..B, each of {FORMS}")
    start, end = parse_time(first, now), parse_time(last or "now", now)
    if end > now + 1:
        raise ValueError(f"the window {text!r} ends in the future")
    if end - start < _LEAST_SECONDS:
        raise ValueError(
            f"the window {text!r} is {end - start:g} s long; at least {_LEAST_SECONDS:g} s are needed"
        )
    return start, end


def window_around(at: float | None, now: float) -> tuple[float, float]:
    """Two hours that end now, or half an hour after the time that was asked about. Raises ValueError for one in the future."""
    if at is not None and at > now + 1:
        told = datetime.fromtimestamp(at, UTC)
        raise ValueError(f"{told:%Y-%m-%d %H:%M:%S}Z lies in the future; give a time that has been")
    end = now if at is None else min(now, at + _AFTER_SECONDS)
    return end - SPAN_SECONDS, end
