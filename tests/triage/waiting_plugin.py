"""A credential plug-in that waits for a person who does not come, until the test is over: then it ends, and leaves no process."""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.local_process import eventually


@asynccontextmanager
async def waiting_plugin(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The `exec` of a kubeconfig's user; it must be started inside."""
    answer = folder / "answer"
    os.mkfifo(answer)
    before = _waiters()  # for processes that other tests keep
    yield {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cat",
        "args": [str(answer)],
        "interactiveMode": "Never",
    }
    os.close(os.open(answer, os.O_WRONLY | os.O_NONBLOCK))  # it did wait; now it ends

    async def ended() -> bool:
        return _waiters() <= before

    await eventually(ended, seconds=20)


def _waiters() -> set[str]:
    """The threads that wait for a process to end."""
    return {thread.name for thread in threading.enumerate() if "waitpid" in thread.name}
