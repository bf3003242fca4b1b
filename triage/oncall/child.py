"""Runs a triage as a child process with a deadline, and reads what it says while it goes."""

import asyncio
import contextlib
import sys
from collections.abc import Callable

import msgspec
import structlog

from triage.oncall.job import Job, Said

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 120.0
"""For looking, at most half a minute, and judging, seconds on a large fleet and more on a small machine."""
_LONGEST_LINE = 4 << 20
_KEPT_OF_STDERR = 4000


class TriageFailedError(Exception):
    """The child ended without a report; the message says how."""


async def run_triage(
    job: Job, on_said: Callable[[Said], None], *, deadline_seconds: float = DEADLINE_SECONDS
) -> Said:
    """The child's last word, a `report`; what it says before goes to `on_said`. Raises TriageFailedError. Ends the child when it
    is cancelled."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "triage.oncall.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    stderr = asyncio.create_task(_tail(process))
    try:
        async with asyncio.timeout(deadline_seconds):
            last = await _talk(process, job, on_said)
            code = await process.wait()
    except TimeoutError:
        raise TriageFailedError(f"no report within {deadline_seconds:g} s") from None
    except (ValueError, msgspec.DecodeError) as error:
        raise TriageFailedError(f"the triage said something that is no line of its own: {error}") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        said = await stderr
        if said:
            log.warning("triage_said", tree=job.tree, target=job.target, stderr=said)
    if last is not None and last.kind == "report" and last.report is not None:
        return last
    why = last.why if last is not None and last.kind == "failed" else f"the triage ended with code {code}"
    raise TriageFailedError(why)


async def _talk(
    process: asyncio.subprocess.Process, job: Job, on_said: Callable[[Said], None]
) -> Said | None:
    assert process.stdin is not None  # noqa: S101 -- pipes, as asked for above
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(
        BrokenPipeError, ConnectionResetError
    ):  # it ended at once: what it said tells why
        process.stdin.write(msgspec.json.encode(job))
        await process.stdin.drain()
    process.stdin.close()
    last = None
    while line := await process.stdout.readline():
        last = msgspec.json.decode(line, type=Said)
        if last.kind in ("progress", "preliminary"):
            on_said(last)
    return last


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The end of what it complains of."""
    assert process.stderr is not None  # noqa: S101 -- a pipe, as asked for above
    kept = b""
    while chunk := await process.stderr.read(65536):
        kept = (kept + chunk)[-_KEPT_OF_STDERR:]
    return kept.decode(errors="replace").strip()
