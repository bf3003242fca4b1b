"""A model repository that this program can read, as it lies on disk: a folder, a mounted volume, a checkout.

A thread reads it, which a hung file system may hold: then the answer is a timeout, and the thread is left behind."""

import asyncio
import errno
import os
import shlex
import time
from pathlib import Path

from triage.collect import Found, Question
from triage.evidence import Missing, MissingReason
from triage.repository.access import RunAs
from triage.repository.backends import Backends
from triage.seal import Seal

SHARE_OF_DEADLINE = 0.8
"""Reading stops with time left to use what was read."""
_REMEDY = "give the folder that --model-repository names, where this program may read it"


def repository_questions(
    folder: str, backends: Backends, deadline_seconds: float, run_as: RunAs | None = None
) -> list[Question]:
    """What was read by the deadline is used, and the rest is told as unread. `run_as`: whom the server runs as, if
    that is known."""
    shown = os.fsencode(folder).decode(errors="replace")

    async def ask(seal: Seal) -> Found:
        from triage.repository.reader import RepositoryReader  # it brings protobuf

        until = time.monotonic() + deadline_seconds * SHARE_OF_DEADLINE
        reader = RepositoryReader(Path(folder), backends, until, run_as, seal.value)
        try:
            found = await asyncio.to_thread(reader.read)
        except RuntimeError as error:  # how pathlib says so
            return Found(Missing("not_found", f"{shown}: {error}", _REMEDY))
        except OSError as error:
            return Found(Missing(_reason(error), f"{shown}: {error.strerror or error}", _REMEDY))
        if not (
            found.models or found.problems or found.unread
        ):  # a failed checkout, a volume that is not mounted
            return Found(Missing("not_found", f"{shown}: no model's folder lies there", _REMEDY))
        return Found(found)

    return [
        Question(
            "repository",
            "repository",
            f"repository {shown}",
            shown,
            f"ls -lR {shlex.quote(shown)}",
            ask,
            on_timeout="the folder's file system does not answer: look at its mount",
        )
    ]


def _reason(error: OSError) -> MissingReason:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "forbidden"
    return "not_found" if error.errno in (errno.ENOENT, errno.ENOTDIR) else "unreachable"
