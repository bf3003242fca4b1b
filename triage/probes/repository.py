"""What a recorder of the model repository saw change, from the file in which it keeps its record."""

import asyncio
import os
import shlex
from pathlib import Path

from triage.collect import Found, Question
from triage.repository.journal import read_changes
from triage.seal import Seal


def repository_question(name: str, start: float, end: float) -> Question:
    """Which changes lie in the window, in seconds since 1970, by the record in the file `name`."""
    shown = os.fsencode(name).decode(errors="replace")

    async def ask(seal: Seal) -> Found:
        return Found(await asyncio.to_thread(read_changes, Path(name), start, end))

    return Question(
        id="repository",
        probe="repository",
        source=f"record {Path(shown).name or shown} of the model repository",
        query=shown,
        command=f"grep '\"changes\"' {shlex.quote(shown)}",
        ask=ask,
        on_timeout="copy the record to a disk that answers, and give that",
    )
