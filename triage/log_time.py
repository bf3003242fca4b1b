"""When a line of a log was printed; Triton's own clock is UTC (triton-inference-server/common:src/logging.cc). Pure."""

import re
from datetime import UTC, datetime

_DOCKER_TIME = re.compile(r'"time":"(?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z?)"')
_GLOG = re.compile(r"(?:^|[\s\"])[IWEF](?P<month>\d\d)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d\.\d+)")
_ISO = re.compile(r"(?P<at>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)")


def time_of(line: str, fetched: float | None) -> float | None:
    """Seconds since 1970 of a record's first line, by the runtime's stamp where there is one. glog's has no year: that of the
    fetch, or the year before where it would lie in the future."""
    if line.startswith('{"log":') and (docker := _DOCKER_TIME.search(line)):
        return seconds_of(docker["at"])
    stamp = line[: line.find("] ") if "] " in line else len(line)]
    if iso := _ISO.search(stamp):
        return seconds_of(iso["at"])
    glog = _GLOG.search(stamp)
    if glog is None or fetched is None:
        return None
    year = datetime.fromtimestamp(fetched, UTC).year
    for each in (year, year - 1):  # the 29th of February is in one of them at most
        at = seconds_of(f"{each:04}-{glog['month']}-{glog['day']}T{glog['clock']}")
        if at is not None and at <= fetched + 86_400:
            return at
    return None


def seconds_of(stamp: str) -> float | None:
    """Of an ISO time, UTC where it names no zone; None for what is no time."""
    try:
        told = datetime.fromisoformat(stamp)
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
