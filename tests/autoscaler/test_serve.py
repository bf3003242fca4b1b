"""The daemon as a process: it stops when it is told to, whatever it waits for, and says why it cannot start."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.timeout(30)

CHECKOUT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"


@contextmanager
def serving(folder: Path, user: object, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    """`serve` with one static target and a kubeconfig whose API server nobody listens for."""
    (folder / "config.yaml").write_text(
        f"targets: {{static: [{{pod: a, metrics_url: '{NOBODY}/metrics'}}]}}\n"
        f"server: {{address: 127.0.0.1, port: {port}, plain_port: 0}}\n"
    )
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": NOBODY}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    command = ["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh"]
    command += [sys.executable, "-m", "autoscaler", "serve", "-c", str(folder / "config.yaml")]
    command += ["--kubeconfig", str(folder / "kubeconfig")]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(text: str, process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return next(line for line in process.stderr if text in line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_daemon_with_exit_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path, {"token": "x"}) as process:
        line_with('"serving"', process)
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, "Traceback" in said, "stopping" in said) == (0, False, True)


def test_the_daemon_may_open_as_many_files_as_the_machine_allows(tmp_path: Path) -> None:
    """A fleet of a thousand pods needs more than the 1024 that a container usually begins with."""
    with serving(tmp_path, {"token": "x"}) as process:
        line_with('"serving"', process)
        soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard > 256


def test_a_signal_stops_a_daemon_whose_credentials_plug_in_hangs(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    plug_in = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"echo yes > {started}; exec sleep 20"],
        "interactiveMode": "Never",
    }
    with serving(tmp_path, {"exec": plug_in}) as process:
        assert started.read_text() == "yes\n"
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert process.returncode == 0


def test_a_port_in_use_is_told_with_exit_1(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        serving(tmp_path, {}, taken.getsockname()[1]) as process,
    ):
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said.count("\n")) == (1, 1)
    assert "cannot serve on 127.0.0.1" in said
    assert "already in use" in said
