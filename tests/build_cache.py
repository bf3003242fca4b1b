"""Things built once per machine and kept outside the checkout.

A build is keyed by what it is made from, made in a folder beside its final place under a lock, and renamed
into place when it is whole: a folder that exists under its final name is always complete. Standard library
only, for it runs before anything is installed."""

import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Build = Callable[[Path, "Progress"], None]


@dataclass
class Progress:
    """Says each step of a build on stderr, with the seconds since it began."""

    what: str
    started: float = field(default_factory=time.monotonic)

    def say(self, step: str) -> None:
        elapsed = time.monotonic() - self.started
        print(f"{self.what}: {elapsed:5.1f} s  {step}", file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """`$TRITON_OPS_CACHE`, else `triton-ops` in the user's cache folder."""
    if own := os.environ.get("TRITON_OPS_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "triton-ops"


def content_key(files: Iterable[Path], *others: str) -> str:
    """Short hash of the files' contents and of the other strings that decide what is built."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() + b"\0")
    for other in others:
        digest.update(other.encode() + b"\0")
    return digest.hexdigest()[:16]


def build_once(folder: Path, build: Build, *, needs_bytes: int) -> Path:
    """Returns `folder`, filled by `build` unless an earlier run did so.

    `needs_bytes` is the disk space that the build takes while it runs; too little is an error before it
    starts. Virtual environments hold absolute paths, so `build` gets the final name's sibling and must not
    write its own path into files."""
    if folder.is_dir():
        return folder
    progress = Progress(folder.parent.name)
    with _locked(folder.with_suffix(".lock"), progress):
        if folder.is_dir():  # whoever held the lock built it
            return folder
        require_disk(folder.parent, needs_bytes, progress)
        unfinished = folder.with_suffix(".unfinished")
        remove_tree(unfinished)
        unfinished.mkdir()
        build(unfinished, progress)
        unfinished.rename(folder)
        progress.say(f"ready in {folder}")
    return folder


def require_disk(folder: Path, needs_bytes: int, progress: Progress) -> None:
    free = shutil.disk_usage(folder).free
    progress.say(
        f"builds once; needs {needs_bytes / 1e9:.1f} GB of disk, {free / 1e9:.1f} GB are free in {folder}"
    )
    if free < needs_bytes:
        raise OSError(
            f"{folder}: {free / 1e9:.1f} GB free, {needs_bytes / 1e9:.1f} GB needed; "
            "set TRITON_OPS_CACHE to a larger disk"
        )


def remove_tree(folder: Path) -> None:
    """Also removes Go's module cache, whose folders are read-only unless it was told otherwise."""
    if folder.is_dir():
        for path, _, _ in os.walk(folder):
            Path(path).chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def _locked(lock: Path, progress: Progress) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another run is building; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
