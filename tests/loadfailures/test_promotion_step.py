"""The step that a report adds to the promotion pipeline, run as it stands but for the container around it: a real Triton that does
not get the model up fails it, and one that does passes it."""

import asyncio
import contextlib
import os
import shlex
import signal
from pathlib import Path

import pytest

from telemetry.rules_dir import rules_dir
from tests.loadfailures.layouts import IDLE, config
from tests.tritons.install import TritonInstall
from tests.tritons.server import TritonServer
from triage.rules import rules_from_folder

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROKEN = "class TritonPythonModel:\n    def initialize(self, args):\n        raise ValueError('no')\n"
HANGING = (
    "import time\n\n\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(3600)\n"
)


@pytest.mark.parametrize(
    ("model", "seconds", "code"),
    [(IDLE, 600, 0), (BROKEN, 600, 1), (HANGING, 6, 124)],
    ids=["loads", "does-not", "hangs"],
)
async def test_the_step_passes_what_loads_and_refuses_what_does_not(
    model: str, seconds: int, code: int, triton_install: TritonInstall, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "ranker"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config())
    (folder / "1" / "model.py").write_text(model)
    server = Stepped(triton_install, tmp_path / "models", tmp_path)
    process = await asyncio.create_subprocess_exec(
        *step(server, seconds),
        env=server.environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(120):
            assert await process.wait() == code
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its server, as the end of the container does
        server.clean()


class Stepped(TritonServer):
    """Only its command, as the tests start a server."""

    @property
    def command(self) -> str:
        return shlex.join([str(word) for word in self._command()])

    @property
    def environment(self) -> dict[str, str]:
        return dict(self._environment())

    def clean(self) -> None:
        self._remove_shared_memory()


def step(server: Stepped, seconds: int) -> list[str]:
    """What the shipped command runs in the container."""
    tree = rules_from_folder(rules_dir(), "load-failure").tree
    (action,) = [each for each in tree.shared if each.id == "load-before-promotion"]
    words = shlex.split(action.command)
    *shell, script = words[words.index("{image}") + 1 :]
    for shipped, here in (
        ("tritonserver --model-repository=/models", server.command),
        ("localhost:8000", server.url.removeprefix("http://")),
    ):
        assert shipped in script
        script = script.replace(shipped, here)
    return [*(word.replace("600", str(seconds)) for word in shell), script]


async def test_a_repository_that_is_not_there_is_refused_and_not_an_empty_one_loaded() -> None:
    """`-v` makes the folder, or a volume, that it is not given, and a Triton without a model is ready."""
    tree = rules_from_folder(rules_dir(), "load-failure").tree
    (action,) = [each for each in tree.shared if each.id == "load-before-promotion"]
    words = shlex.split(action.command)
    assert words[words.index("--mount") + 1] == "type=bind,source=DIR,target=/models,readonly"
    assert not {"-v", "--volume"} & set(words)
