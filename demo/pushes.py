"""Pushes to the model repository that the running Triton polls. A folder comes and goes by one rename: no poll sees half of it."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def push(repository: Path, folder: str, files: Mapping[str, str]) -> None:
    """Puts `folder`, with the texts of its `files` by path, into the repository. Raises OSError where it is already there."""
    outside = Path(tempfile.mkdtemp(dir=repository.parent))
    for path, text in files.items():
        (outside / path).parent.mkdir(parents=True, exist_ok=True)
        (outside / path).write_text(text)
    outside.chmod(0o755)
    outside.rename(repository / folder)


def replace_file(repository: Path, path: str, text: str) -> None:
    """Puts another text in the place of a file of the repository."""
    outside = Path(tempfile.mkdtemp(dir=repository.parent))
    (outside / "file").write_text(text)
    (outside / "file").rename(repository / path)
    outside.rmdir()


def withdraw(repository: Path, folder: str) -> None:
    """Takes the folder out of the repository again."""
    outside = Path(tempfile.mkdtemp(dir=repository.parent))
    (repository / folder).rename(outside / "withdrawn")
    shutil.rmtree(outside)
