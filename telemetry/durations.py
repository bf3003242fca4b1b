"""Durations in files: `500ms`, `5s`, `2m`, `1h`, read as seconds."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

_DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h)$")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: object) -> float:
    """Seconds, above zero. Raises ValueError saying the accepted forms."""
    match = _DURATION.match(text) if isinstance(text, str) else None
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if seconds <= 0:
        raise ValueError("expected a duration above zero, such as 500ms, 5s, 2m or 1h")
    return seconds


Seconds = Annotated[float, BeforeValidator(parse_duration)]
