"""A real Triton Inference Server from a pinned wheel, installed once per machine in a virtual environment of
its own.

`python -m tests.tritons.install` installs it ahead and prints its folder. Standard library only."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "triton.txt"
NEEDS_BYTES = 500_000_000
OLDEST_GLIBC = (2, 35)  # the wheel's platform tag is manylinux_2_35
PYTHON = "3.11"


class CannotRunTriton(Exception):
    """This machine cannot run the wheel's server; the message is one line per reason, with what to do."""


@dataclass
class TritonInstall:
    """Where the server is, how many inferences all servers started from it have done, and how many were left with a model that
    did not load."""

    folder: Path
    inferences: int = 0
    load_failures: int = 0

    @property
    def server(self) -> Path:
        return self._packages / "tritonserver/bin/tritonserver"

    @property
    def backends(self) -> Path:
        return self._packages / "tritonserver/backends"

    @property
    def environment(self) -> dict[str, str]:
        """The Python stub finds numpy through the `python3` that is first on PATH and libpython through
        LD_LIBRARY_PATH."""
        own = {
            "PATH": f"{self.folder / 'venv/bin'}:{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR")),
        }
        return {key: value for key, value in os.environ.items() if key != "PYTHONHOME"} | own

    @property
    def _packages(self) -> Path:
        return self.folder / f"venv/lib/python{PYTHON}/site-packages/pytriton"


def ensure_triton() -> TritonInstall:
    """The installed server; installs it if no earlier run did. `CannotRunTriton` where it could not run."""
    if problems := preflight():
        raise CannotRunTriton("\n".join(problems))
    key = content_key([REQUIREMENTS, Path(__file__)], sys.version, sys.base_prefix)
    return TritonInstall(build_once(cache_folder() / "triton" / key, _install, needs_bytes=NEEDS_BYTES))


def preflight() -> list[str]:
    """One line for each reason why the server cannot run here."""
    problems = []
    if sys.platform != "linux" or platform.machine() != "x86_64":
        problems.append(
            f"Triton's wheel runs on Linux x86-64 only; this is {platform.system()} {platform.machine()}"
        )
        return problems
    libc, version = platform.libc_ver()
    if libc != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GLIBC:
        wanted = ".".join(map(str, OLDEST_GLIBC))
        problems.append(
            f"Triton's wheel needs glibc {wanted} (Debian 12, Ubuntu 22.04 or newer); "
            f"this is {libc or 'no glibc'} {version}"
        )
    if sysconfig.get_python_version() != PYTHON:
        problems.append(
            f"Triton's tests run with Python {PYTHON}; this is {sysconfig.get_python_version()}: "
            f"install python{PYTHON}"
        )
    elif not _has_shared_libpython():
        problems.append(
            f"Triton's Python backend needs libpython{PYTHON}.so.1.0: "
            f"install libpython{PYTHON} (Debian, Ubuntu)"
        )
    return problems


def _has_shared_libpython() -> bool:
    name = f"libpython{PYTHON}.so.1.0"
    if (Path(str(sysconfig.get_config_var("LIBDIR"))) / name).exists():
        return True
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    return f"{name} " in listed.stdout


def _install(folder: Path, progress: Progress) -> None:
    progress.say("python -m venv")
    _run([sys.executable, "-m", "venv", str(folder / "venv")])
    progress.say(f"pip install -r {REQUIREMENTS.name}")
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)])
    packages = folder / f"venv/lib/python{PYTHON}/site-packages/pytriton/tritonserver"
    stub = packages / f"python_backend_stubs/{PYTHON}/triton_python_backend_stub"
    shutil.copy2(stub, packages / "backends/python/")


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if ended.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} ended with {ended.returncode}:\n"
            f"{ended.stdout[-2000:]}{ended.stderr[-4000:]}"
        )


if __name__ == "__main__":
    try:
        print(ensure_triton().folder)
    except (CannotRunTriton, OSError, RuntimeError) as problem:
        sys.exit(f"triton: {problem}")
