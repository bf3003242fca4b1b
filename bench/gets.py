"""Questions of as many HPAs as a fleet has models, each with a selector of its own, at the pace at which they come.

They come in no step with the answers, so one that takes long makes those after it wait, and their waiting counts."""

from dataclasses import dataclass
from typing import Final

from bench.api import body_of, load_both
from bench.client import Plan
from bench.fleet import Fleet, scraped_autoscaler
from bench.spread import Spread, spread

MOST_RATIO: Final = 3.0
_CONNECTIONS: Final = 32
"""As many as may be at work at once; one is enough while every answer comes before the next question."""


@dataclass(frozen=True, slots=True)
class GetsResult:
    """One fleet's rounds; ratios are ours to the bare handler's, pair by pair."""

    fleet: str
    selectors: int
    per_second: float
    p50_ms: Spread
    bare_p50_ms: Spread
    p99_ms: Spread
    bare_p99_ms: Spread
    p50_ratio: Spread
    p99_ratio: Spread

    @property
    def missed(self) -> list[str]:
        """Goals."""
        if self.p99_ratio.median <= MOST_RATIO:
            return []
        return [f"p99 of GETs at {self.fleet} is more than {MOST_RATIO:g} times that of a bare handler"]


async def measure_gets(fleet: Fleet, per_second: float, *, rounds: int, seconds: float) -> GetsResult:
    """`rounds` turns of `seconds` for ours and for a bare handler behind the same TLS, both in this process; the load comes from
    another."""
    autoscaler = await scraped_autoscaler(fleet)
    plan = Plan([], fleet.paths, "", "", "", _CONNECTIONS, seconds, rounds, per_second)
    ours, bare = await load_both(autoscaler, body_of(autoscaler, fleet), plan)
    pairs = list(zip(ours, bare, strict=True))
    return GetsResult(
        str(fleet),
        len(set(fleet.paths)),
        per_second,
        spread(found.p50_ms for found in ours),
        spread(found.p50_ms for found in bare),
        spread(found.p99_ms for found in ours),
        spread(found.p99_ms for found in bare),
        spread(mine.p50_ms / theirs.p50_ms for mine, theirs in pairs),
        spread(mine.p99_ms / theirs.p99_ms for mine, theirs in pairs),
    )
