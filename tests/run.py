"""All tests: `python -m tests.run`, in sessions side by side, since many of them mostly wait.

Those that wait are the stories told in real time: an HPA that follows load or wakes a fleet, incidents that need a calm before,
agents that look every few seconds, the demo and on-call service. Ends with what was real in all, and fails where any of it is zero:
a suite that silently stopped testing against the real parts must not be green."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from tests.real_parts import RealWork, read_counts

WAITING = (
    ("tests/e2e", "tests/tritons"),
    ("tests/latency", "tests/prometheus", "tests/alerts", "tests/deploy", "tests/hpa", "tests/stability"),
    ("tests/demo", "tests/truths", "tests/oncall", "tests/groundtruth", "tests/fuzz"),
    ("tests/gateways", "tests/gpu_agent"),
)
"""The folders of each session beside the one that works through all others."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="triton-ops-tests-") as folder:
        beside = [_Beside.start(folders, Path(folder) / str(n)) for n, folders in enumerate(WAITING)]
        counts = Path(folder) / "working.json"
        ignored = [f"--ignore={one}" for folders in WAITING for one in folders]
        try:
            working = subprocess.run([*_pytest(counts), *ignored, "tests"], env=_environment(), check=False)
            codes = [working.returncode, *(session.process.wait() for session in beside)]
        finally:
            for session in beside:
                session.process.terminate()
        for session in beside:
            print(session.said.read_text(errors="replace"), flush=True)
        files = [counts, *(session.counts for session in beside)]
        work = _sum([read_counts(file) for file in files if file.exists()])
    failed = any(codes)
    print(f"{work}{'  <- zero: this run proved nothing against the real parts' if work.missing else ''}")
    return int(failed or work.missing)


@dataclass(frozen=True)
class _Beside:
    """A session that says what it has to say when all have ended."""

    process: subprocess.Popen[bytes]
    said: Path
    counts: Path

    @classmethod
    def start(cls, folders: Sequence[str], place: Path) -> Self:
        said, counts = place.with_suffix(".txt"), place.with_suffix(".json")
        with said.open("wb") as out:
            process = subprocess.Popen(
                [*_pytest(counts), *folders], stdout=out, stderr=subprocess.STDOUT, env=_environment()
            )
        return cls(process, said, counts)


def _pytest(counts: Path) -> list[str]:
    return [sys.executable, "-m", "pytest", "--real-counts", str(counts)]


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": os.environ.get("COLUMNS", "100")}


def _sum(parts: list[RealWork]) -> RealWork:
    rows = [asdict(part) for part in parts] or [asdict(RealWork())]
    return RealWork(**{name: sum(row[name] for row in rows) for name in rows[0]})


if __name__ == "__main__":
    sys.exit(main())
