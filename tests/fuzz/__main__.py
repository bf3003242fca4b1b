"""`python -m tests.fuzz [--seconds N] [--seed N]`: exits 1 where anything was wrong."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import fuzz

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.seconds:g} seconds", flush=True)
    with tempfile.TemporaryDirectory(prefix="triton-ops-fuzz-") as folder:
        outcome = asyncio.run(fuzz(Path(folder), seed=given.seed, seconds=given.seconds))
    print(outcome)
    sys.exit(bool(outcome.wrong))
