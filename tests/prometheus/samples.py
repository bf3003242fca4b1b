"""Samples of the past as OpenMetrics text, for `PrometheusServer.backfill`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Samples:
    """Series written at even times; of one family, whatever its kind, one after the other."""

    start: int
    end: int
    every: int = 15
    lines: dict[str, list[str]] = field(default_factory=dict)

    def add(
        self, family: str, labels: Mapping[str, str], value: Callable[[float], float], ago: int = 0
    ) -> None:
        """`value` of the seconds since the start; `ago` moves the whole to an earlier time."""
        told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        self.lines.setdefault(family, []).extend(
            f"{family}{{{told}}} {value(at - self.start):.12g} {at - ago}"
            for at in range(self.start, self.end + 1, self.every)
        )

    def __str__(self) -> str:
        blocks = [f"# TYPE {name} unknown\n" + "\n".join(lines) for name, lines in self.lines.items()]
        return "\n".join([*blocks, "# EOF\n"])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
