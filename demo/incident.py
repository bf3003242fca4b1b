"""Act two: a model that is pushed to the running Triton does not load, and `triton-triage` says why, as it would at 3 a.m."""

import asyncio
import contextlib
import sys
from pathlib import Path

from rich.console import Console

from tests.tritons.server import TritonRefused, TritonServer

MODEL = "tagger"
_CONFIG = """backend: "python"
max_batch_size: 0
input [{ name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] }]
output [{ name: "TAGS" data_type: TYPE_STRING dims: [ -1 ] }]
"""
# The package is missing in the image, as after a new version that was only tried on its author's machine.
_CODE = """import sentencepiece_tagger


class TritonPythonModel:
    def initialize(self, arguments):
        self.tagger = sentencepiece_tagger.load()

    def execute(self, requests):
        return []
"""


async def play_incident(server: TritonServer, repository: Path, console: Console, save: Path | None) -> None:
    """Breaks a model on `server`, whose models lie in `repository`, and shows the report; `save` is a file for its bundle."""
    _say(
        console, f"ACT TWO. 03:00: somebody pushes a model, {MODEL}, to this Triton, and it does not come up."
    )
    folder = repository / MODEL / "1"
    folder.mkdir(parents=True)
    (repository / MODEL / "config.pbtxt").write_text(_CONFIG)
    (folder / "model.py").write_text(_CODE)
    with contextlib.suppress(TritonRefused):
        await server.load(MODEL)
    keep = ["--save", str(save)] if save else []
    await _triage(console, "load-failure", "--triton", server.url, "--log", str(server.log), *keep)


async def replay_incident(bundle: Path, console: Console) -> None:
    """The report of a recorded incident; every line says that it is one."""
    _say(console, f"RECORDED ACT TWO. 03:00: somebody pushes a model, {MODEL}, and it does not come up.")
    arguments = ("replay", str(bundle))
    _say(console, f"RECORDED $ triton-triage {' '.join(arguments)}")
    process = await _start(*arguments, stdout=asyncio.subprocess.PIPE)
    told, _ = await _ended(process)
    for line in told.decode().splitlines():
        _say(console, f"RECORDED {line}".rstrip())


async def _triage(console: Console, *arguments: str) -> None:
    _say(console, f"$ triton-triage {' '.join(arguments)}")
    _say(console, "")
    await _ended(await _start(*arguments))


async def _start(*arguments: str, stdout: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "triage", *arguments, stdout=stdout)


async def _ended(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    try:
        return await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _say(console: Console, line: str) -> None:
    console.out(line, highlight=False)
    console.file.flush()
