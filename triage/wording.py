"""Sentences and commands of the report: values filled in, quoted for a shell where one reads them, cut to a length."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from triage.seal import printable

MAX_LINE = 500
_WHOLE = ("{freeze}", "{undo_rollout}", "{stop_rollout}")
"""Commands of the workload's owner, whose parts are quoted already."""
_UNCUT = ("freeze", "undo_rollout", "stop_rollout", "resume_rollout", "bad_version_entry")
"""What is pasted as it stands: the end of it cut off, it would be something else, or nothing that a shell can read."""
_MOST_PASTED = 4096
MAX_NAME = 255
"""A model is a directory, and no file system has a longer name."""


def fill(text: str, known: Mapping[str, str]) -> str:
    """The text with what is known; what is not stands as a word of its own, such as MODEL. Between backquotes stands what is
    pasted into a shell, so values are quoted there."""
    parts = text.split("`")
    return "`".join(_put(part, known, quoted=index % 2 == 1) for index, part in enumerate(parts))


def _put(text: str, known: Mapping[str, str], *, quoted: bool) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in known:
            return name.upper()
        if name in _UNCUT:
            said = known[name]
            return shlex.quote(said) if quoted else said
        said = " ".join(known[name].split())
        return shlex.quote(short(said, _MOST_PASTED)) if quoted else short(said, 200)

    return re.sub(r"\{(\w+)\}", value, text)


def command(template: str, known: Mapping[str, str]) -> str | None:
    """The command to paste; None where it names something that is not known."""
    if template in _WHOLE:
        return known.get(template[1:-1])
    if not template or not set(re.findall(r"\{(\w+)\}", template)) <= known.keys():
        return None
    return _put(template, known, quoted=True)


def clean(value: Any) -> Any:
    """The JSON-like value with every text printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {clean(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return value


def short(text: str, most: int = MAX_LINE) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def names(names: Sequence[str]) -> str:
    shown = ", ".join(short(name, MAX_NAME) for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown


def capital(text: str) -> str:
    """With a capital first letter; the others stay as they are, such as those of CPU."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
