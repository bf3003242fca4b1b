"""How the service starts without what it needs, and how it stops: within seconds, with no process left and no traceback."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.local_process import eventually, free_ports
from tests.oncall.on_call_service import TOKEN, OnCallService, alert, children

STOP_SECONDS = 10.0


def away(folder: Path, port: int | None = None) -> Path:
    """A kubeconfig of an API server that is not there; at `port` something may be that never answers."""
    server = f"https://127.0.0.1:{port or free_ports(1)[0]}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A port that takes everything and answers nothing."""
    open_ones: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        with contextlib.suppress(OSError):
            await reader.read()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        for writer in open_ones:
            writer.close()


def service(folder: Path, kubeconfig: Path, **more: Any) -> OnCallService:
    config = {"tritons": {"namespaces": ["prod"]}, **more}
    return OnCallService(folder, kubeconfig, config)


async def stops(oncall: OnCallService, *, number: signal.Signals = signal.SIGTERM) -> None:
    """It ends by itself in time, with code 0, and leaves neither a process nor a traceback."""
    assert oncall.process is not None
    left = await children(oncall)
    began = time.monotonic()
    os.kill(oncall.process.pid, number)

    async def ended() -> bool:
        return oncall.process is not None and not oncall.process.running

    await eventually(ended, seconds=STOP_SECONDS)
    print(f"stopped within {time.monotonic() - began:.1f} s")
    assert oncall.process.exit_code == 0
    assert not [pid for pid in left if await asyncio.to_thread(Path(f"/proc/{pid}").exists)]
    assert "Traceback" not in oncall.process.log_tail(1000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_waits_for_an_api_server_that_is_away_and_stops(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with service(tmp_path, away(tmp_path)) as oncall:
        assert await oncall.send(alert(namespace="prod", workload="web")) == 200
        await stops(oncall, number=number)
    assert len(oncall.incidents()) == 1


async def test_it_stops_while_triages_run_and_slack_and_the_api_server_hang(tmp_path: Path) -> None:
    slack_token = tmp_path / "slack"
    slack_token.write_text("xoxb-0")
    async with silent() as port:
        slack = {
            "token_file": str(slack_token),
            "channel": "C0ALERTS1",
            "api_url": f"http://127.0.0.1:{port}/",
        }
        async with service(tmp_path, away(tmp_path, port), slack=slack) as oncall:
            assert await oncall.send(alert(namespace="prod", workload="web")) == 200
            assert await oncall.send(alert(namespace="prod", workload="api")) == 200

            async def looking() -> bool:
                return len(await children(oncall)) == 2

            await eventually(looking, seconds=30)
            await stops(oncall)
            assert {one["work"] for one in oncall.incidents()} == {"waiting"}


async def test_it_stops_while_the_disk_of_the_audit_record_hangs(tmp_path: Path) -> None:
    """A pipe that nobody reads stands for it: to open it waits for ever."""
    folder = tmp_path / "data" / "audit"
    folder.mkdir(parents=True)
    os.mkfifo(folder / f"audit-{datetime.now(UTC):%Y-%m}.jsonl")
    slack_token = tmp_path / "slack"
    slack_token.write_text("xoxb-0")
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/"
    slack = {"token_file": str(slack_token), "channel": "C0ALERTS1", "api_url": nobody}
    async with service(tmp_path, away(tmp_path), slack=slack) as oncall:
        assert await oncall.send(alert(namespace="prod", workload="web")) == 200

        async def hangs() -> bool:
            return bool(oncall.events("audit_not_written"))

        await eventually(hangs, seconds=60)
        await stops(oncall)


async def test_it_stops_while_the_record_is_away(tmp_path: Path) -> None:
    async with service(tmp_path, away(tmp_path)) as oncall:
        (oncall.data / "incidents").rmdir()
        (oncall.data / "incidents").write_text("a file where the folder was")
        assert await oncall.send(alert(namespace="prod", workload="web")) == 503
        await stops(oncall)


async def test_it_stops_while_somebody_sends_slowly(tmp_path: Path) -> None:
    async with service(tmp_path, away(tmp_path)) as oncall:
        _, writer = await asyncio.open_connection("127.0.0.1", oncall.port)
        head = (
            f"POST /alerts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\n"
        )
        writer.write(head.encode())
        await writer.drain()
        await stops(oncall)
        writer.close()


async def run(folder: Path, *arguments: str, **more: Any) -> tuple[int, str]:
    """Code and stderr of a service that is not to start."""
    token = folder / "token"
    token.write_text("t")
    config = {
        "tritons": {"namespaces": ["prod"]},
        "webhook": {"address": "127.0.0.1", "port": 0, "token_file": str(token)},
        "plain": {"address": "127.0.0.1", "port": 0},
        "record": {"data": str(folder / "data")},
        **more,
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    command: Sequence[str] = [sys.executable, "-m", "triage", "serve", "-c", str(file), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(90):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("content", [None, "", "nonsense: [", "apiVersion: v1\nkind: Config\n"])
async def test_a_kubeconfig_that_is_none_is_one_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "kube").write_text(content)
    code, said = await run(tmp_path, "--kubeconfig", str(tmp_path / "kube"))
    assert code == 3
    assert "no usable Kubernetes credentials" in said
    assert "Traceback" not in said


async def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    async with silent() as port:
        token = str(tmp_path / "token")
        webhook = {"address": "127.0.0.1", "port": port, "token_file": token}
        code, said = await run(tmp_path, "--kubeconfig", str(away(tmp_path)), webhook=webhook)
    assert (code, said.count("\n")) == (1, 1)
    assert "cannot serve" in said
    assert "address already in use" in said


async def test_certificates_that_are_none_are_one_sentence(tmp_path: Path) -> None:
    tls = {"certificate": str(tmp_path / "crt"), "key": str(tmp_path / "key")}
    webhook = {"address": "127.0.0.1", "port": 0, "token_file": str(tmp_path / "token"), "tls": tls}
    kubeconfig = str(away(tmp_path))
    for content in (None, "no certificate"):
        for name in ("crt", "key"):
            if content is not None:
                (tmp_path / name).write_text(content)
        code, said = await run(tmp_path, "--kubeconfig", kubeconfig, webhook=webhook)
        assert (code, said.count("\n")) == (1, 1), said
        assert "cannot serve" in said
        assert "crt" in said


async def test_a_second_service_on_the_same_folder_gives_up(tmp_path: Path) -> None:
    async with service(tmp_path, away(tmp_path)) as oncall:
        other = tmp_path / "other"
        other.mkdir()
        code, said = await run(other, "--kubeconfig", str(away(tmp_path)), record={"data": str(oncall.data)})
        assert (code, said.count("\n")) == (3, 1)
        assert "another triton-triage serve writes here" in said
        await oncall.kill()
        await oncall.start()  # what a killed one held is free
