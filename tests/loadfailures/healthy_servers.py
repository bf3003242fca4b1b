"""Servers that are well, and whose logs are full of alarming lines: what a model prints, a client does or an earlier life left."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Cause, Failure
from tests.loadfailures.layouts import COMPLETE, IDLE, model
from tests.loadfailures.python_models import RAISES
from tests.loadfailures.repositories import LFS_POINTER
from tests.loadfailures.servers import unload
from tests.tritons.server import TritonRefused, TritonServer, infer_body

EXPLICIT = (*COMPLETE, "--model-control-mode=explicit", "--load-model=ranker")
NOTHING = Cause(NOT_A_LOAD_FAILURE, None)

_SAYS = """\
import sys
import triton_python_backend_utils as pb_utils

LINES = {lines!r}

class TritonPythonModel:
    def initialize(self, args):
        for line in LINES:
            {how}

    def execute(self, requests):
        {answer}
"""
PRINTS, WRITES_STDERR = "print(line, flush=True)", "print(line, file=sys.stderr, flush=True)"
LOGS = "pb_utils.Logger.log_error(line)"

TRACEBACK = """\
Traceback (most recent call last):
  File "/app/cache.py", line 17, in warm
    self.table = numpy.ones(1 << 40)
numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8.00 TiB for an array with shape (1099511627776,)
going on without the cache"""
FAILED_TO_LOAD = "failed to load 'ranker' version 1: Internal: unable to create engine"
FORGED = {
    "its-own-failure": f'E1130 16:30:00.200123 1 model_lifecycle.cc:642] "{FAILED_TO_LOAD}"',
    "a-row-of-the-table": "| scorer | 1 | UNAVAILABLE: Internal: CUDA out of memory |",
    "the-end-of-a-server": "error: creating server: Internal - failed to load all models",
    "a-line-without-its-source": "failed to load 'scorer' version 1: Internal: unable to create engine",
}


def _saying(id: str, broken: str, how: str, *lines: str, more: tuple[str, ...] = ()) -> Failure:
    code = _SAYS.format(lines=lines, how=how, answer="return []")
    return Failure(
        f"healthy-{id}",
        broken,
        NOTHING,
        model("ranker", code),
        arguments=(*COMPLETE, *more),
        healthy=("ranker",),
    )


SAYING = (
    _saying(
        "prints-failed-to-load",
        "Nothing; the model prints that optional parts of it failed to load.",
        PRINTS,
        "failed to load extension 'bert': falling back",
        "WARNING: failed to load model 'reranker' from the hub, using the default",
        "Failed to load image /data/1.jpg: skipped",
    ),
    _saying(
        "prints-a-stack-trace",
        "Nothing; the model prints an exception that it caught.",
        PRINTS,
        *TRACEBACK.split("\n"),
    ),
    _saying(
        "writes-a-stack-trace-to-stderr",
        "Nothing; the model writes an exception that it caught to stderr.",
        WRITES_STDERR,
        *TRACEBACK.split("\n"),
        "ModuleNotFoundError: No module named 'flash_attn'",
    ),
    _saying(
        "prints-out-of-memory",
        "Nothing; the model tries smaller batches until one fits.",
        PRINTS,
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB",
        "RuntimeError: CUDA error: out of memory",
        "retrying with batch size 16",
    ),
    _saying(
        "logs-errors-through-triton",
        "Nothing; the model logs errors through Triton's own logger.",
        LOGS,
        "Failed to load the feature store: UNAVAILABLE: connection refused",
        "[Errno 13] Permission denied: '/cache'; going on without it",
        "unable to load shared library: libcudnn.so.9: cannot open shared object file: No such file or directory",
    ),
    _saying(
        "prints-unavailable",
        "Nothing; the model prints the state of something else.",
        PRINTS,
        "feature-store UNAVAILABLE",
        "grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with: status = StatusCode.UNAVAILABLE",
        "s3 AccessDenied, using the local copy",
    ),
    _saying(
        "prints-a-pointer-file",
        "Nothing; the model prints a Git LFS pointer that it replaced by the file.",
        PRINTS,
        *LFS_POINTER.splitlines(),
        "replaced the Git LFS pointer",
    ),
    *(
        _saying(
            f"prints-{name}", "Nothing; the model prints a line as of a server that failed.", PRINTS, line
        )
        for name, line in FORGED.items()
    ),
    _saying(
        "is-verbose",
        "Nothing; the log is verbose, and the model complains.",
        WRITES_STDERR,
        "error: cannot open shared object file",
        more=("--log-verbose=2",),
    ),
)


async def _fail_requests(server: TritonServer, folder: Path) -> None:
    for _ in range(20):
        with pytest.raises(TritonRefused, match="bad input"):
            await server.infer("ranker")
    unknown = {"name": "X", "datatype": "FP32", "shape": [1], "data": [1]}
    for inputs in ([], [unknown]):
        wrong = {"inputs": inputs}
        with pytest.raises(TritonRefused):
            await server.call("POST", "/v2/models/ranker/infer", wrong)


async def _leave(server: TritonServer, folder: Path) -> None:
    """Clients that hang up before the answer, and one that speaks no HTTP."""
    for _ in range(5):
        timeout = aiohttp.ClientTimeout(total=0.05)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            with pytest.raises((TimeoutError, aiohttp.ClientError)):
                await session.post(f"{server.url}/v2/models/ranker/infer", json=infer_body("ranker", 1.0))
    reader, writer = await asyncio.open_connection(server.address, server.ports.http)
    writer.write(b"\x16\x03\x01\x02\x00 failed to load model\r\n\r\n")
    await writer.drain()
    writer.close()
    assert await reader.read() is not None


async def _mend(server: TritonServer, folder: Path) -> None:
    """A reload that fails, and the next one that does not."""
    good = (folder / "models/ranker/1/model.py").read_text()
    (folder / "models/ranker/1/model.py").write_text(RAISES)
    with pytest.raises(TritonRefused, match="the threshold must be below 1"):
        await server.load("ranker")
    (folder / "models/ranker/1/model.py").write_text(good)
    await server.load("ranker")


async def _override(server: TritonServer, folder: Path) -> None:
    """A configuration of a client's that is refused, and one that is not."""
    with pytest.raises(TritonRefused):
        await server.load("ranker", configuration=json.dumps({"backend": "python", "max_batch_size": -4}))
    await server.load("ranker", configuration=json.dumps({"backend": "python", "max_batch_size": 0}))


async def _restart(server: TritonServer, folder: Path) -> None:
    """The life before this one found a broken model; the log goes on."""
    (folder / "models/ranker/1/model.py").write_text(IDLE)
    await server.restart()


def _treated(
    id: str,
    broken: str,
    client: Callable[[TritonServer, Path], Awaitable[None]],
    code: str = IDLE,
    arguments: tuple[str, ...] = EXPLICIT,
    healthy: tuple[str, ...] = ("ranker",),
) -> Failure:
    files = model("ranker", code)
    return Failure(
        f"healthy-{id}", broken, NOTHING, files, arguments=arguments, client=client, healthy=healthy
    )


SLOW = _SAYS.format(lines=(), how="pass", answer="import time; time.sleep(0.5); return []")
REFUSING = _SAYS.format(lines=(), how="pass", answer='raise ValueError("bad input")')
TREATED = (
    _treated("requests-fail", "Nothing; clients send what the model refuses.", _fail_requests, REFUSING),
    _treated(
        "requests-fail-in-a-verbose-log",
        "Nothing; clients send what the model refuses, and the log is verbose.",
        _fail_requests,
        REFUSING,
        (*EXPLICIT, "--log-verbose=1"),
    ),
    _treated("clients-leave", "Nothing; clients hang up, and one speaks no HTTP.", _leave, SLOW),
    _treated(
        "unloaded-on-purpose", "Nothing; a client unloads the model.", unload, IDLE, EXPLICIT, healthy=()
    ),
    _treated("reloaded-after-a-failed-reload", "Nothing any more: the second reload went well.", _mend),
    _treated("configured-after-a-refusal", "Nothing any more: the second configuration is fine.", _override),
    _treated(
        "mended-since-its-last-life",
        "Nothing any more: the model raised in the server's earlier life.",
        _restart,
        RAISES,
        COMPLETE,
    ),
)

HEALTHY_SERVERS = (*SAYING, *TREATED)
