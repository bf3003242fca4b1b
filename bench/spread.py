"""Repeated measurements as a median with the least and the most, so that a noisy machine shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    least: float
    most: float
    runs: int

    def __format__(self, form: str) -> str:
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"

    def __str__(self) -> str:
        return format(self, ".0f" if self.median >= 100 else ".2f")


def spread(values: Iterable[float]) -> Spread:
    found = sorted(values)
    return Spread(median(found), found[0], found[-1], len(found))
