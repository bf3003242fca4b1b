"""Models that each load alone, and not at once."""

from tests.loadfailures.failure import Failure, load_refused
from tests.loadfailures.layouts import COMPLETE, config, model

_CODE = """\
import sqlite3, time
from pathlib import Path

CACHE = Path(__file__).parents[3] / "cache.sqlite"

class TritonPythonModel:
    def initialize(self, args):
        time.sleep({waits})
        cache = sqlite3.connect(CACHE, timeout=0)
        cache.execute("BEGIN EXCLUSIVE")
        time.sleep({holds})
        cache.commit()

    def execute(self, requests):
        raise NotImplementedError("this model only loads")
"""
LOCKED = "Internal: OperationalError: database is locked"


def _locking(*, waits: float, holds: float) -> str:
    return _CODE.format(waits=waits, holds=holds)


FIRST, SECOND = _locking(waits=0, holds=2.5), _locking(waits=1, holds=0)

COLLISIONS = (
    Failure(
        "loads-collide-on-a-lock",
        "Two models fill one cache while they initialize, and the second finds it locked by the first.",
        load_refused("load_concurrency", "ranker", LOCKED, "model_code"),
        {**model("embedder", FIRST), **model("ranker", SECOND)},
        arguments=COMPLETE,
        healthy=("embedder",),
    ),
    Failure(
        "instances-collide-on-a-lock",
        "Two instances of one model fill one cache while they initialize.",
        load_refused("load_concurrency", "ranker", LOCKED, "model_code"),
        model("ranker", FIRST, config(on="kind: KIND_CPU count: 2")),
        arguments=COMPLETE,
    ),
)
