"""`triton-triage record`: keeps the record of a model repository, until a signal ends it.

A command of its own file: it alone of all commands stays, and has to end in order when a signal comes."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from triage.latency.facts import RepositoryChange
    from triage.seal import Seal

_CHANGED, _USAGE, _COULD_NOT = 1, 2, 3


@click.command()
@click.option(
    "--triton", "url", required=True, metavar="URL", help="Triton's HTTP port, such as http://localhost:8000."
)
@click.option(
    "--repository",
    metavar="DIR",
    help="The model repository, where it can be read: its files are watched too.",
)
@click.option("--to", "file", required=True, metavar="FILE.jsonl", help="The record; it is appended to.")
@click.option("--every", default="30s", show_default=True, metavar="30s", help="How often to look.")
@click.option(
    "--once", is_flag=True, help="Look once; exit 1 if something changed since the record's last look."
)
@click.option(
    "--rules",
    "rules_folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of rules to use instead of the one that ships with the program.",
)
def record(
    url: str, repository: str | None, file: str, every: str, once: bool, rules_folder: Path | None
) -> None:
    """Keep a record of what changes in a model repository, for `p99 --record`. Each change is shown as it is seen."""
    import gc

    from telemetry.durations import parse_duration
    from triage.probes.triton_url import check_url

    gc.enable()  # it stays for weeks
    try:
        url, every_seconds = check_url(url), parse_duration(every)
    except ValueError as error:
        _fail(f"--every {every}: {error}" if "duration" in str(error) else str(error), _USAGE)
    if repository and not Path(repository).is_dir():
        _fail(
            f"--repository {repository}: there is no such folder; give the one that Triton is started with",
            _USAGE,
        )
    _end_as(
        _run(
            url,
            Path(repository) if repository else None,
            Path(file),
            every_seconds,
            once,
            _seals(rules_folder),
        )
    )


def _run(
    url: str,
    repository: Path | None,
    file: Path,
    every_seconds: float,
    once: bool,
    make_seal: "Callable[[], Seal]",
) -> int:
    """The exit code, or minus the number of the signal that ended it."""
    import asyncio
    import signal

    loop = asyncio.new_event_loop()  # `asyncio.run` would wait for a thread that a file system holds
    ended_by = 0

    async def work() -> int:
        return await _record(url, repository, file, every_seconds, once, make_seal)

    recording = loop.create_task(work())

    def end(number: int) -> None:
        nonlocal ended_by
        ended_by = number
        recording.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # else the shell had it ignored
            loop.add_signal_handler(number, end, number)
    try:
        return loop.run_until_complete(recording)
    except asyncio.CancelledError:
        return -ended_by
    finally:
        loop.close()


async def _record(
    url: str,
    repository: Path | None,
    file: Path,
    every_seconds: float,
    once: bool,
    make_seal: "Callable[[], Seal]",
) -> int:
    import aiohttp

    from triage.probes.http_answer import without_credentials
    from triage.repository.files import FilesOnDisk
    from triage.repository.journal import Journal, JournalError
    from triage.repository.recorder import Recorder, Sources
    from triage.repository.triton import ServedModels

    def seal(text: str) -> str:
        return str(make_seal().value(text))

    source = f"Triton at {without_credentials(url)}" + (f" and {repository}" if repository else "")
    try:
        with Journal(file) as journal:
            # Triton waits for open connections when it stops: to look must not hold it up.
            connector = aiohttp.TCPConnector(force_close=True)
            timeout = aiohttp.ClientTimeout(total=None)  # each call has its own deadline
            async with aiohttp.ClientSession(
                connector=connector, timeout=timeout, trust_env=False
            ) as session:
                sources = Sources(
                    ServedModels(url, session, make_seal),
                    FilesOnDisk(repository, seal) if repository else None,
                    seal,
                )
                recorder = Recorder(sources, journal, seal(source), on_change=_say, on_trouble=_complain)
                await recorder.resume()
                if not once:
                    await recorder.run(every_seconds)
                changes = await recorder.look_once()
                seen = recorder.looked is not None and recorder.looked.index is not None
                return _CHANGED if changes else 0 if seen else _COULD_NOT
    except JournalError as error:
        _complain(str(error))
        return _COULD_NOT


def _say(change: "RepositoryChange") -> None:
    from datetime import UTC, datetime

    after, seen = (datetime.fromtimestamp(at, UTC) for at in (change.after, change.seen_at))
    told = f"{seen:%Y-%m-%d %H:%M:%S} UTC  {change.model}: {change.what}  (after {after:%Y-%m-%d %H:%M:%S})"
    with contextlib.suppress(OSError, UnicodeError):  # nobody reads along; the record is what counts
        click.echo(told)


def _complain(said: str) -> None:
    with contextlib.suppress(OSError, UnicodeError):
        click.echo(said, err=True)


def _end_as(code: int) -> NoReturn:
    """By the signal itself, so that a shell stops its loop too."""
    import os
    import signal

    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        code = 128 - code  # the first process of a container is not ended by its own signal
    sys.exit(code)


def _seals(folder: Path | None) -> "Callable[[], Seal]":
    from telemetry.located_yaml import InvalidFileError
    from telemetry.rules_dir import rules_dir
    from triage.rules import seals_from_folder

    try:
        return seals_from_folder(folder or rules_dir())
    except (InvalidFileError, FileNotFoundError) as error:
        _fail(str(error), _USAGE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
