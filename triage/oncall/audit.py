"""The audit record: what was read of the cluster for whom, and what was told, one JSON line each, only ever appended.

A file a month; who reads a line can find by its hash the evidence in the bundle, and by its time the message in Slack."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

log = structlog.get_logger(__name__)

_DEADLINE_SECONDS = 10.0


class Audit:
    """In `folder`, which is made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="audit"
        )  # a volume that hangs holds this one alone
        self.problem = ""
        """Why the last lines could not be written; empty when they were."""

    async def append(self, what: str, incident: str, facts: Iterable[Mapping[str, object]]) -> None:
        """A line for each of the facts. One that cannot be written is told in the log, which then has it."""
        now = datetime.now(UTC)
        lines = [
            msgspec.json.encode(
                {"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "what": what, "incident": incident, **fact}
            )
            for fact in facts
        ]
        file = self._folder / f"audit-{now:%Y-%m}.jsonl"
        text = b"".join(line + b"\n" for line in lines)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS), self._writing:
                await asyncio.get_running_loop().run_in_executor(self._thread, _append, file, text)
        except (OSError, TimeoutError) as error:
            self.problem = f"cannot write {file}: {getattr(error, 'strerror', None) or 'no answer'}"
            log.warning("audit_not_written", cause=self.problem, lines=[line.decode() for line in lines])
        else:
            self.problem = ""


def _append(file: Path, lines: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(lines)
        handle.flush()
        os.fsync(handle.fileno())
