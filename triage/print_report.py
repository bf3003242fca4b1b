"""A report on stdout, be it a terminal, a pipe or a file, and how the program ends: 1 findings, 2 usage, 3 could not look or cannot
tell. What renders is imported when it is needed: `--help` must answer at once."""

import sys
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from triage.render_text import Style
    from triage.report import Report

FOUND, USAGE, CANNOT_TELL = 1, 2, 3


def print_report(report: "Report", output: str) -> NoReturn:
    """As `output` asks, and ends with the exit status that the verdict has."""
    from triage.render_json import render_json
    from triage.render_text import render_text
    from triage.report import passes

    if output == "json":
        write(render_json(report))
    elif output == "html":
        from triage.render_html import render_html

        write(render_html(report), "utf-8")
    else:
        import shutil

        terminal = sys.stdout is not None and sys.stdout.isatty()
        width = min(shutil.get_terminal_size((100, 24)).columns, 120) if terminal else 100
        write(render_text(report, width, style_of_stdout(), unicode=_writes_unicode()))
    sys.exit(0 if passes(report) else CANNOT_TELL if report.verdict.category == "cannot_tell" else FOUND)


def style_of_stdout() -> "Style":
    """With colour on a terminal that wants it."""
    from triage.render_text import plain

    terminal = sys.stdout is not None and sys.stdout.isatty()
    return _styled if terminal and not _no_colour() else plain


def _writes_unicode() -> bool:
    return sys.stdout is not None and "utf" in (sys.stdout.encoding or "").lower()


def write(text: str, encoding: str | None = None) -> None:
    """To stdout, in whatever encoding it has unless one is given. A reader who has seen enough, such as `head`, is no error."""
    import io

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        return
    except OSError as error:
        fail(f"cannot write the report: {error.strerror or error}", CANNOT_TELL)


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # closed, or its reader has gone: there is nobody to tell
            continue


def _styled(text: str, style: str) -> str:
    looks: dict[str, dict[str, object]] = {
        "headline-cause": {"fg": "red", "bold": True},
        "headline-calm": {"fg": "green", "bold": True},
        "headline-unknown": {"fg": "yellow", "bold": True},
        "title": {"bold": True},
        "quote": {"fg": "cyan"},
        "command": {"fg": "green"},
        "dim": {"dim": True},
    }
    return click.style(text, **looks[style])  # type: ignore[arg-type]


def _no_colour() -> bool:
    import os

    return bool(os.environ.get("NO_COLOR"))


def fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
