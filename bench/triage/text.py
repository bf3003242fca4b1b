"""OpenMetrics text with times, for promtool: one series after the other, all at the same scrapes."""

from collections.abc import Iterable, Mapping
from itertools import accumulate

from bench.triage.fleet import TIMES

Labels = Mapping[str, str]


class Text:
    def __init__(self, days_ago: int = 0) -> None:
        self._times = [f" {at - days_ago * 86400}\n" for at in TIMES]

    def gauge(self, family: str, labels: Labels, values: Iterable[float]) -> str:
        """One value for each scrape."""
        told = ",".join(f'{name}="{value}"' for name, value in labels.items())
        begin = f"{family}{{{told}}} "
        return "".join([f"{begin}{value:.12g}{at}" for value, at in zip(values, self._times, strict=True)])

    def counter(self, family: str, labels: Labels, gains: Iterable[float]) -> str:
        """Of what each scrape found added."""
        return self.gauge(family, labels, accumulate(gains))

    def constant(self, family: str, labels: Labels, value: float) -> str:
        return self.gauge(family, labels, [value] * len(self._times))

    def steady(self, family: str, labels: Labels, per_second: float) -> str:
        """A counter that grows evenly."""
        step = TIMES.step * per_second
        return self.gauge(family, labels, [place * step for place in range(len(self._times))])
