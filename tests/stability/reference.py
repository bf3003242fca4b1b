"""What the same requests meet in fleets that no autoscaler makes: between them lies what a signal can win. Pure."""

import math
from collections.abc import Mapping
from typing import Final

from tests.stability.fleet_queue import follow
from tests.stability.loads import SEED, Load, arrivals
from tests.stability.outcome import Outcome, Step, judge
from tests.stability.systems import LOADING_SECONDS

ORACLE: Final = "oracle"
LOADING: Final = "loading"
FIXED: Final = "fixed"
SAYS: Final = {
    ORACLE: "an oracle: the pods that the load asks for, ready at once",
    LOADING: "the same, but new pods load first",
    FIXED: "as many pods as the peak asks for, always",
}


def references(load: Load) -> list[Outcome]:
    seconds = range(round(load.seconds))
    asked = [math.ceil(round(load.pods(at), 6)) for at in seconds]
    # A pod that was asked for at each second of its loading is ready; one that is no longer asked for goes, the youngest first.
    ready = [min(asked[max(0, at - round(LOADING_SECONDS)) : at + 1]) for at in seconds]
    most = [max(asked)] * len(asked)
    return [
        _outcome(load, ORACLE, asked, asked),
        _outcome(load, LOADING, asked, ready),
        _outcome(load, FIXED, most, most),
    ]


def _outcome(load: Load, name: str, wanted: list[int], ready: list[int]) -> Outcome:
    both = list(zip(wanted, ready, strict=True))
    steps = [Step(float(at), *each) for at, each in enumerate(both) if at == 0 or both[at - 1] != each]
    return judge(load, name, "", steps, follow(arrivals(load, SEED), _changes(ready), load.seconds))


def _changes(counts: list[int]) -> Mapping[float, int]:
    return {float(at): count for at, count in enumerate(counts) if at == 0 or counts[at - 1] != count}
