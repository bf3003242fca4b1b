"""`python -m demo`: three acts in two and a half minutes on a terminal, or a shorter story in plain lines where there is none."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

import aiohttp
import structlog
from rich.console import Console

from demo.recording import RECORDED
from demo.run import play_real, play_recorded
from demo.story import FULL, SHORT
from demo.view import NEXT
from tests.local_process import ProcessFailed
from tests.tritons.install import CannotRunTriton, TritonInstall, ensure_triton, preflight
from tests.tritons.server import TritonRefused

FAILED = 3
INTERRUPTED = 130


def main() -> int:
    arguments = _arguments()
    # Only the demo speaks here: the scrape loop's own log would break the screen.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    console = Console(highlight=False)
    plain = arguments.once or not console.is_terminal or os.environ.get("CI", "").lower() in ("1", "true")
    story = SHORT if arguments.once or plain else FULL
    try:
        install = None if arguments.recorded else _prepare()
        if install is None:
            telling = play_recorded(RECORDED, console, plain=plain)
        else:
            telling = play_real(
                install, FULL if arguments.record else story, console, plain=plain, record=arguments.record
            )
        asyncio.run(_until_stopped(telling))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped. Nothing is left running.")
        return INTERRUPTED
    except ProcessFailed as problem:
        print(f"Triton did not start: {problem}", file=sys.stderr)
        return FAILED
    except (OSError, aiohttp.ClientError, TritonRefused, ExceptionGroup) as problem:
        print(f"The demo could not go on: {_first_of(problem)}", file=sys.stderr)
        return FAILED
    print("\nWhat next:")
    for line in NEXT:
        print(f"  {line}")
    return 0


def _first_of(problem: Exception) -> str:
    """What went wrong first, in one line; a task group wraps it."""
    while isinstance(problem, ExceptionGroup):
        problem = problem.exceptions[0]
    return f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="the short story in plain lines, also on a terminal"
    )
    parser.add_argument("--recorded", action="store_true", help="play the recorded run; needs no Triton")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write this run, of full length, to FILE")
    return parser.parse_args()


def _prepare() -> TritonInstall | None:
    """The installed Triton; None, having said why, where there can be none."""
    problems = preflight()
    if not problems:
        print("Preparing a real Triton: downloaded the first time, there at once afterwards.", flush=True)
        try:
            return ensure_triton()
        except (CannotRunTriton, OSError, RuntimeError) as problem:
            problems = [str(problem).strip().splitlines()[-1]]
    print(f"A RECORDED run follows, for no real Triton can run here: {'; '.join(problems)}", flush=True)
    return None


async def _until_stopped(telling: Coroutine[None, None, None]) -> None:
    """Ctrl-C, a stop, and a terminal that is closed cancel the telling, so that whatever it started is stopped in order."""
    task = asyncio.ensure_future(telling)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    await task


if __name__ == "__main__":
    sys.exit(main())
