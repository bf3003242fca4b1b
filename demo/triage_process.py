"""The real `triton-triage`, as a process beside the demo."""

import asyncio
import sys


async def start_triage(*arguments: str, piped: bool = False) -> asyncio.subprocess.Process:
    """It writes where the demo writes; `piped`: to the demo."""
    pipe = asyncio.subprocess.PIPE if piped else None
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "triage", *arguments, stdout=pipe, stderr=pipe
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """What it wrote to pipes. It is gone afterwards, also when the demo is stopped meanwhile."""
    try:
        return await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
