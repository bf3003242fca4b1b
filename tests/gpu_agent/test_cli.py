import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.local_process import LocalProcess, free_ports


def test_a_port_that_is_taken_is_said_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "telemetry.gpu_agent",
            "serve",
            "--no-owners",
            "--address",
            "127.0.0.1",
        ]
        ended = subprocess.run(
            [*command, "--port", str(port)], capture_output=True, text=True, check=False, timeout=60
        )
    assert ended.returncode == 1
    assert f"cannot serve on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_it_serves_on_ipv4_and_ipv6_where_it_is_told_no_address(tmp_path: Path) -> None:
    """A pod of an IPv6 cluster has no other address, and its probes come there."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "telemetry.gpu_agent", "serve", "--no-owners", "--port", str(port)]
    process = await LocalProcess.start("triton-gpu-agent", command, log=tmp_path / "log")
    try:
        for host in ("127.0.0.1", *(["[::1]"] if _has_ipv6() else [])):

            async def answers(host: str = host) -> bool:
                try:
                    async with (
                        aiohttp.ClientSession() as http,
                        http.get(f"http://{host}:{port}/livez") as got,
                    ):
                        return got.status == 200
                except aiohttp.ClientError:
                    return False

            await process.wait_until(answers, seconds=10)
    finally:
        await process.stop(seconds=10)


@pytest.mark.parametrize("interval", ["0", "301", "nan"])
def test_an_interval_out_of_range_is_a_usage_error(interval: str) -> None:
    """NaN is in no range and outside none: it would look without a pause, and find every look too old."""
    ended = subprocess.run(
        [sys.executable, "-m", "telemetry.gpu_agent", "serve", "--no-owners", "--interval", interval],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "--interval" in ended.stderr


def test_where_the_extra_is_not_installed_it_names_it() -> None:
    """A module that cannot be found, as on a plain `pip install .`."""
    run = "import sys; sys.modules['grpc'] = None\nfrom telemetry.gpu_agent.cli import main\nmain(['serve'])"
    ended = subprocess.run(
        [sys.executable, "-c", run], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert "pip install '.[gpu]'" in ended.stderr


def test_the_other_programs_import_neither_grpc_nor_nvml() -> None:
    """They run where the extra is not installed."""
    run = "import sys, autoscaler.serve, triage.oncall.service\nassert not {'grpc', 'pynvml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", run], check=True, timeout=60)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
