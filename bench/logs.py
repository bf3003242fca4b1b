"""What a large log costs `triton-triage load-failure`: a verbose log of a busy server in whose middle a load fails."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final, Literal

import msgspec

Way = Literal["--log FILE", "standard input"]
WAYS: Final[Sequence[Way]] = ("--log FILE", "standard input")
MOST_TIMES: Final = 1.3
"""The memory for the large log against that for the small one."""
MODEL: Final = "scorer"
_BLOCK: Final = 2000
_HEAD: Final = (
    'I{at} 1 model_lifecycle.cc:472] "loading: ranker:1"',
    "I{at} 1 model_lifecycle.cc:839] \"successfully loaded 'ranker'\"",
    'I{at} 1 http_server.cc:4692] "Started HTTPService at 0.0.0.0:8000"',
)
_REQUEST: Final = (
    'I{at} 1 http_server.cc:4712] "HTTP request: 2 /v2/models/ranker/infer"',
    'I{at} 1 infer_request.cc:132] "[request id: {n}] Setting state from INITIALIZED to PENDING"',
    'I{at} 1 infer_request.cc:905] "[request id: {n}] prepared: [0x0x7f2c5c00{n:08x}] request id: {n}, model: ranker, requested'
    ' version: -1, actual version: 1, flags: 0x0, correlation id: 0, batch size: 0, priority: 0, timeout (us): 0"',
    'I{at} 1 python_be.cc:1397] "model ranker, instance ranker_0_0, executing 1 requests"',
    'I{at} 1 infer_response.cc:193] "add response output: output: OUTPUT, type: FP32, shape: [1]"',
    "ranked 17 candidates in 31 ms for user {n}",
)
_BAD_REQUEST: Final = (
    'I{at} 1 http_server.cc:4712] "HTTP request: 2 /v2/models/ranker/infer"',
    "E{at} 1 python_be.cc:1112] \"Failed to process the request(s) for model instance 'ranker_0_0', message:"
    ' ValueError: bad {n}"',
)
_REASON: Final = (
    "ModuleNotFoundError: No module named 'lightgbm'\\n\\nAt:\\n  /models/scorer/1/model.py(1): <module>\\n"
)
_FAILS: Final = (
    'I{at} 1 model_lifecycle.cc:472] "loading: scorer:1"',
    f'E{{at}} 1 pb_stub.cc:402] "Failed to initialize Python stub: {_REASON}"',
    f"E{{at}} 1 model_lifecycle.cc:642] \"failed to load 'scorer' version 1: Internal: {_REASON}\"",
)


@dataclass(frozen=True)
class LogResult:
    way: Way
    megabytes: int
    seconds: float
    peak_mb: float
    named: bool
    """The verdict names the model whose load failed in the middle."""


def measure_logs(megabytes: Sequence[int]) -> Iterator[LogResult]:
    """Each size in each way, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="triton-ops-logs-") as folder:
        for size in megabytes:
            log = Path(folder) / f"{size}.log"
            write_log(log, size * 1_000_000)
            for way in WAYS:
                yield _measure(log, size, way)
            log.unlink()


def write_log(path: Path, size: int) -> None:
    written, failed = 0, False
    requests = _requests()
    with path.open("w") as file:
        written += file.write(_lines(_HEAD, 0))
        while written < size:
            if not failed and written >= size // 2:
                written += file.write(_lines(_FAILS, 1))
                failed = True
            written += file.write("".join(islice(requests, _BLOCK)))


def too_much_memory(found: Sequence[LogResult]) -> Iterator[str]:
    """What misses its goal: more memory for the largest log than MOST_TIMES that for the smallest, or another verdict."""
    for way in WAYS:
        sizes = sorted((one for one in found if one.way == way), key=lambda one: one.megabytes)
        if sizes[-1].peak_mb > MOST_TIMES * sizes[0].peak_mb:
            yield f"a log of {sizes[-1].megabytes} MB by {way} takes more than {MOST_TIMES} times the memory of a small one"
    yield from (
        f"a load that fails in the middle of {one.megabytes} MB is not found by {one.way}"
        for one in found
        if not one.named
    )


def say_logs(found: Sequence[LogResult]) -> str:
    lines = []
    for way in WAYS:
        least = min((one for one in found if one.way == way), key=lambda one: one.megabytes)
        lines += [
            f"a log of {one.megabytes} MB by {way}: {one.seconds:.1f} s, {one.peak_mb:.0f} MB at most,"
            f" {one.peak_mb / least.peak_mb:.2f} times that of {least.megabytes} MB"
            f"{'' if one.named else '; THE FAILURE WAS NOT FOUND'}"
            for one in found
            if one.way == way
        ]
    large = max(found, key=lambda one: one.megabytes)
    small = min((one for one in found if one.way == large.way), key=lambda one: one.megabytes)
    if large is not small:
        pace = (large.seconds - small.seconds) / (large.megabytes - small.megabytes) * 1000
        lines.append(f"a gigabyte more takes {pace:.0f} s")
    return "\n".join(lines)


def _requests() -> Iterator[str]:
    for number in count():
        yield _lines((*_REQUEST, *_BAD_REQUEST) if number % 50 == 0 else _REQUEST, number)


def _lines(lines: Sequence[str], number: int) -> str:
    at = f"1130 16:{number // 60000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}000"
    return "".join(
        line.replace("{at}", at).replace("{n:08x}", f"{number:08x}").replace("{n}", str(number)) + "\n"
        for line in lines
    )


def _measure(log: Path, megabytes: int, way: Way) -> LogResult:
    piped = way == "standard input"
    command = [
        sys.executable,
        "-m",
        "triage",
        "load-failure",
        "--log",
        "-" if piped else str(log),
        "-o",
        "json",
    ]
    began = time.monotonic()
    # A pipe of a shell, since a file on standard input would be read as a file.
    shell = ["sh", "-c", 'log=$1; shift; cat "$log" | "$@"', "sh", str(log), *command]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(shell if piped else command, stdin=subprocess.DEVNULL, stdout=out)  # noqa: S603
        peak = _wait(process.pid)
        process.returncode = 0
        seconds = time.monotonic() - began
        out.seek(0)
        verdict = msgspec.json.decode(out.read())["verdict"]
    return LogResult(
        way, megabytes, seconds, peak, (verdict["category"], verdict["model"]) == ("runtime_version", MODEL)
    )


def _wait(pid: int) -> float:
    """Waits for a child and gives the most memory that it or one of its own held, in millions of bytes."""
    used: resource.struct_rusage = os.wait4(pid, 0)[2]
    return used.ru_maxrss * 1024 / 1e6
