"""Models that each load alone, and not at once."""

from tests.loadfailures.failure import Failure, load_refused
from tests.loadfailures.layouts import COMPLETE, config, model

_CODE = """\
import sqlite3, time
from pathlib import Path

FOLDER = Path(__file__).parents[3]
HELD, TRIED = FOLDER / "held", FOLDER / "tried"

def wait_for(sign):
    until = time.monotonic() + 20
    while not sign.exists() and time.monotonic() < until:
        time.sleep(0.02)

class TritonPythonModel:
    def initialize(self, args):
        cache = sqlite3.connect(FOLDER / "cache.sqlite", timeout=0)
        if {comes_second}:
            wait_for(HELD)
        try:
            cache.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            TRIED.touch()
            raise
        HELD.touch()
        wait_for(TRIED)
        cache.commit()

    def execute(self, requests):
        raise NotImplementedError("this model only loads")
"""
"""Who gets the lock holds it until somebody else has tried: which of both is slow on a busy machine decides nothing."""
FIRST, SECOND = (_CODE.format(comes_second=second) for second in (False, True))
LOCKED = "Internal: OperationalError: database is locked"


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
