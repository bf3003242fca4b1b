"""Virtual time: actions at moments, run in order."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

Action = Callable[..., None]


class Loop:
    """Seconds since 1970 that pass only when something is due."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._due: list[tuple[float, int, Action, tuple[Any, ...]]] = []
        # Two actions of one moment run in the order in which they were asked for.
        self._number = itertools.count()

    def at(self, when: float, action: Action, *arguments: Any) -> None:
        """What is already past is due at once."""
        heapq.heappush(self._due, (max(when, self.now), next(self._number), action, arguments))

    def after(self, seconds: float, action: Action, *arguments: Any) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._number), action, arguments))

    def every(self, seconds: float, action: Action, *, first: float | None = None) -> None:
        """Runs `action` from `first` (else after one period) for ever."""

        def tick() -> None:
            action()
            self.after(seconds, tick)

        self.at(self.now + seconds if first is None else first, tick)

    def run(self, until: float) -> None:
        due = self._due
        while due and due[0][0] <= until:
            when, _, action, arguments = heapq.heappop(due)
            self.now = when
            action(*arguments)
        self.now = until
