"""The list of failing models as a process at a terminal, before an API server that never answers."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """Of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {"token": "x"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        file = tmp_path / "config"
        file.write_text(json.dumps(config))
        yield file


def test_ctrl_c_ends_it_at_once_and_leaves_the_terminal_as_it_was(kubeconfig: Path) -> None:
    """How far it is stands on one line, without hiding the cursor: nothing has to be put back."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "triage", "load-failure", "-A", "--kubeconfig", str(kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"asking for the pods" not in said:
            said += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    os.close(ours)
    assert (process.returncode, out) == (-signal.SIGINT, b"")
    assert b"\x1b[?25l" not in said
    assert b"\n" not in said
