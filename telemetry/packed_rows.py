"""Rows of named numbers in a small part of what dicts of them take, for samples that show the same rows under the same names.

A pod's history holds hundreds of numbers a sample. As dicts they are several times as large as the page they came from; here the
names stand once, also for all pods that serve the same models, and beside them eight bytes a number."""

from array import array
from collections.abc import Hashable, Iterator, Mapping
from itertools import chain
from typing import Any, Generic, Self, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
N = TypeVar("N", bound=Hashable)


class _Shape(Generic[K, N]):
    """Which rows there are, and for each where its numbers begin and what they are called."""

    def __init__(self, names: Mapping[K, tuple[N, ...]]) -> None:
        self.places: dict[K, tuple[int, tuple[N, ...]]] = {}
        same: dict[tuple[N, ...], tuple[N, ...]] = {}
        start = 0
        for key, row in names.items():
            self.places[key] = start, same.setdefault(row, row)
            start += len(row)

    def fits(self, rows: Mapping[K, Mapping[N, float]]) -> bool:
        return rows.keys() == self.places.keys() and all(
            tuple(rows[key]) == names for key, (_, names) in self.places.items()
        )


_shapes: WeakValueDictionary[Hashable, _Shape[Any, Any]] = WeakValueDictionary()


class PackedRows(Generic[K, N]):
    """Immutable. `like`: rows that probably have the same names, so that nobody has to look for them."""

    __slots__ = ("_numbers", "_shape")

    def __init__(self, rows: Mapping[K, Mapping[N, float]], like: Self | None = None) -> None:
        shape = like._shape if like is not None and like._shape.fits(rows) else _shape_of(rows)
        self._shape: _Shape[K, N] = shape
        self._numbers = array("d", chain.from_iterable(rows[key].values() for key in shape.places))

    def row(self, key: K) -> dict[N, float]:
        """Empty for a row that is not there."""
        place = self._shape.places.get(key)
        if place is None:
            return {}
        start, names = place
        return dict(zip(names, self._numbers[start : start + len(names)], strict=True))

    def names(self, key: K) -> tuple[N, ...]:
        """Empty for a row that is not there."""
        place = self._shape.places.get(key)
        return () if place is None else place[1]

    def __contains__(self, key: K) -> bool:
        return key in self._shape.places

    def __iter__(self) -> Iterator[K]:
        return iter(self._shape.places)


def _shape_of(rows: Mapping[K, Mapping[N, float]]) -> _Shape[K, N]:
    names = {key: tuple(row) for key, row in rows.items()}
    known = tuple(names.items())
    shape: _Shape[K, N] | None = _shapes.get(known)
    if shape is None:
        shape = _shapes[known] = _Shape(names)
    return shape
