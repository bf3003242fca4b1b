"""Act two: a model that is pushed to the running Triton does not load, and `triton-triage` says why, as it would at 3 a.m."""

import asyncio
from pathlib import Path

from rich.console import Console

from demo.pushes import push, replace_file
from demo.triage_process import ended, start_triage
from tests.tritons.server import TritonServer

MODEL = "tagger"
SETTLED_SECONDS = 15.0
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
_MENDED = """class TritonPythonModel:
    def execute(self, requests):
        return []
"""


async def play_incident(server: TritonServer, repository: Path, console: Console, save: Path | None) -> None:
    """Breaks a model on `server`, whose models lie in `repository`, shows the report, and mends the model; `save` is a file for the
    report's bundle."""
    _say(
        console, f"ACT TWO. 03:00: somebody pushes a model, {MODEL}, to this Triton, and it does not come up."
    )
    push(repository, MODEL, {"config.pbtxt": _CONFIG, "1/model.py": _CODE})
    await _until_state(server, "UNAVAILABLE")
    keep = ["--save", str(save)] if save else []
    await _triage(console, "load-failure", "--triton", server.url, "--log", str(server.log), *keep)
    replace_file(repository, f"{MODEL}/1/model.py", _MENDED)
    await _until_state(server, "READY")
    _say(console, f"\nThe demo pushes {MODEL} again, without that import: it loads, and Triton is ready.")


async def replay_incident(bundle: Path, console: Console) -> None:
    """The report of a recorded incident; every line says that it is one."""
    _say(console, f"RECORDED ACT TWO. 03:00: somebody pushes a model, {MODEL}, and it does not come up.")
    arguments = ("replay", str(bundle))
    _say(console, f"RECORDED $ triton-triage {' '.join(arguments)}")
    told, _ = await ended(await start_triage(*arguments, piped=True))
    for line in told.decode().splitlines():
        _say(console, f"RECORDED {line}".rstrip())


async def _until_state(server: TritonServer, state: str) -> None:
    """Until Triton says so of the model. Raises TimeoutError after a while."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while (MODEL, state) not in [(row["name"], row.get("state")) for row in await server.index()]:  # noqa: ASYNC110 -- another process is waited for
            await asyncio.sleep(0.1)


async def _triage(console: Console, *arguments: str) -> None:
    _say(console, f"$ triton-triage {' '.join(arguments)}")
    _say(console, "")
    await ended(await start_triage(*arguments))


def _say(console: Console, line: str) -> None:
    console.out(line, highlight=False)
    console.file.flush()
