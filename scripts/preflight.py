"""Names what this machine lacks for `make test`, one line each with the Debian package that brings it, before anything is built.

Standard library only, and plain enough for an old Python to read: it has to say that the Python is too old."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

NEEDS_BYTES = 8 * 10**9
OLDEST_PYTHON = (3, 11)
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - looked at, not written to


def main() -> int:
    problems = missing_parts()
    for problem in problems:
        print(f"preflight: {problem}", file=sys.stderr)
    if not problems:
        print("preflight: this machine has what the tests need")
    return 1 if problems else 0


def missing_parts() -> list[str]:
    """One line for each thing that is missing, none when all is there."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:2])
        return [f"Python 3.11 or newer is needed, this is {found}: apt-get install python3.11"]
    problems = []
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        problems.append("Python cannot make virtual environments: apt-get install python3-venv")
    if shutil.which("make") is None:
        problems.append("make is missing: apt-get install make")

    from tests.build_cache import cache_folder
    from tests.tritons.install import preflight as triton_preflight

    problems += triton_preflight()
    folder = cache_folder()
    if not folder.is_dir():
        free = shutil.disk_usage(_existing_parent(folder)).free
        if free < NEEDS_BYTES:
            wanted = f"{NEEDS_BYTES / 1e9:.0f} GB are needed, {free / 1e9:.1f} GB are free"
            problems.append(f"{folder}: {wanted}: set TRITON_OPS_CACHE to a larger disk")
    if not os.access(SHARED_MEMORY, os.W_OK):
        problems.append(f"{SHARED_MEMORY} is not writable: Triton's Python backend keeps its tensors there")
    return problems


def _existing_parent(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


if __name__ == "__main__":
    sys.exit(main())
