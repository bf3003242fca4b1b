"""Runs a triage as a child process with a deadline, and reads what it says while it goes."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec
import structlog

from triage.oncall.job import Job, Said

log = structlog.get_logger(__name__)

DEADLINE_SECONDS = 120.0
"""For looking, at most half a minute, and judging, seconds on a large fleet and more on a small machine."""
WORKER = (sys.executable, "-m", "triage.oncall.worker")
_END_SECONDS = 2.0
_LONGEST_LINE = 4 << 20
_KEPT_OF_STDERR = 4000


class TriageFailedError(Exception):
    """The child ended without a report; the message says how."""


async def run_triage(
    job: Job,
    on_said: Callable[[Said], None],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    command: Sequence[str] = WORKER,
) -> Said:
    """The child's last word, a `report`; what it says before goes to `on_said`. Raises TriageFailedError. Whatever happens, the
    child and what it started, such as a kubeconfig's plug-in, have ended when this returns."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        start_new_session=True,
    )
    stderr = asyncio.create_task(_tail(process))
    try:
        async with asyncio.timeout(deadline_seconds):
            last = await _talk(process, job, on_said)
            if last is None:
                await _exit(process)
    except TimeoutError:
        raise TriageFailedError(f"no report within {deadline_seconds:g} s") from None
    except (ValueError, msgspec.DecodeError) as error:
        raise TriageFailedError(f"the triage said something that is no line of its own: {error}") from error
    finally:
        if said := await _end(process, stderr):
            log.warning("triage_said", tree=job.tree, target=job.target, stderr=said)
    if last is None:
        raise TriageFailedError(_ended(process.returncode))
    if last.kind == "failed" or last.report is None:
        raise TriageFailedError(last.why or "the triage gave no reason")
    return last


def told_failure(error: Exception, incident: str) -> str:
    """Why there is no report, in words. A mistake of ours is told in the log, too: it must not end the service with every start,
    since the incident waits to be looked at again then."""
    if isinstance(error, TriageFailedError | OSError):
        return str(error)
    log.error("triage_mistake", incident=incident, cause=f"{type(error).__name__}: {error}")
    return f"triton-triage failed on it ({type(error).__name__}); its log says more"


async def _talk(
    process: asyncio.subprocess.Process, job: Job, on_said: Callable[[Said], None]
) -> Said | None:
    """Its last word; None where it ended without one."""
    assert process.stdin is not None  # noqa: S101 -- pipes, as asked for above
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(
        BrokenPipeError, ConnectionResetError
    ):  # it ended at once: what it said tells why
        process.stdin.write(msgspec.json.encode(job))
        await process.stdin.drain()
    process.stdin.close()
    while line := await process.stdout.readline():
        said = msgspec.json.decode(line, type=Said)
        if said.kind in ("report", "failed"):
            return said
        on_said(said)
    return None


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The end of what it complains of."""
    assert process.stderr is not None  # noqa: S101 -- a pipe, as asked for above
    kept = b""
    while chunk := await process.stderr.read(65536):
        kept = (kept + chunk)[-_KEPT_OF_STDERR:]
    return kept.decode(errors="replace").strip()


async def _exit(process: asyncio.subprocess.Process) -> None:
    """Returns when it has ended, or after a while: what it started may hold its pipes, for which asyncio waits."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()


async def _end(process: asyncio.subprocess.Process, stderr: "asyncio.Task[str]") -> str:
    """Ends what still runs of its process group; the end of what it complained of."""
    if process.returncode is None or not stderr.done():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await _exit(process)
    done, _ = await asyncio.wait([stderr], timeout=_END_SECONDS)
    if not done:
        stderr.cancel()
        return ""
    return stderr.result()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        memory = ": was its memory not enough?" if -code == signal.SIGKILL else ""
        return f"the triage was ended by {name}{memory}"
    return f"the triage ended with code {code} and no report"
