"""All tests: `python -m tests.run`, in two sessions side by side, since half of them mostly wait.

The waiting half has the stories told in real time: an HPA that follows load, incidents that need a calm before. It also has all
that starts a Triton for each simulated pod, whose addresses two control planes would share. Ends with what was real in both, and
fails where any of it is zero: a suite that silently stopped testing against the real parts must not be green."""

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.real_parts import RealWork, read_counts

WAITING = ("tests/e2e", "tests/latency", "tests/demo", "tests/tritons", "tests/truths")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="triton-ops-tests-") as folder:
        counts = [Path(folder) / "waiting.json", Path(folder) / "working.json"]
        said = Path(folder) / "waiting.txt"
        with said.open("wb") as out:
            waiting = subprocess.Popen(
                [*_pytest(counts[0]), *WAITING], stdout=out, stderr=subprocess.STDOUT, env=_environment()
            )
            ignored = [f"--ignore={folder}" for folder in WAITING]
            try:
                working = subprocess.run(
                    [*_pytest(counts[1]), *ignored, "tests"], env=_environment(), check=False
                )
                waiting.wait()
            finally:
                waiting.terminate()
        print(said.read_text(errors="replace"), flush=True)
        codes = [working.returncode, waiting.returncode]
        work = _sum([read_counts(file) for file in counts if file.exists()])
    failed = any(codes)
    print(f"{work}{'  <- zero: this run proved nothing against the real parts' if work.missing else ''}")
    return int(failed or work.missing)


def _pytest(counts: Path) -> list[str]:
    return [sys.executable, "-m", "pytest", "--real-counts", str(counts)]


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": os.environ.get("COLUMNS", "100")}


def _sum(parts: list[RealWork]) -> RealWork:
    rows = [asdict(part) for part in parts] or [asdict(RealWork())]
    return RealWork(**{name: sum(row[name] for row in rows) for name in rows[0]})


if __name__ == "__main__":
    sys.exit(main())
