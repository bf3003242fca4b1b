"""The cases in two halves, by a hash of cause and seed: open ones to look at, sealed ones to be judged by."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

Half = Literal["open", "sealed"]


def half_of(cause: str, seed: int) -> Half:
    return "sealed" if hashlib.sha256(f"{cause} {seed}".encode()).digest()[0] % 2 else "open"


def cases(causes: Iterable[str], seeds: range, half: Half) -> Iterator[tuple[str, int]]:
    """Cause and seed of each case of that half; `incidents.incident` makes it."""
    for cause in causes:
        for seed in seeds:
            if half_of(cause, seed) == half:
                yield cause, seed
