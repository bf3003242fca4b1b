"""What differs between two command lines of a container, flag by flag: Triton is set up by its flags, some given several times."""

import re
from collections.abc import Iterator, Sequence

_SECRET = re.compile(
    r"passw|secret|token(?!iz|s)|[-_]key|credential|private|header|auth(?!or)|cookie", re.IGNORECASE
)
_SECRET_FLAG = re.compile(r"[-_](?:pass|pwd|sas|bearer|user)$", re.IGNORECASE)
"""Words that tell something as a flag's last alone. A user's is often `NAME:PASSWORD`."""
_MOST_CHARACTERS = 80


def argument_changes(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(subject, rest), so that the caller says of which container: (`argument --log-verbose`, `: 0 -> 1`).

    A flag's values are compared as a set: their order means nothing to Triton. Only values of long flags are told, as Triton's all
    are, and none that may be a secret; what is no flag is only said to have changed."""
    old, new = _flags(before), _flags(after)
    for flag in dict.fromkeys((*new, *old)):
        gone = [value for value in old.get(flag, ()) if value not in new.get(flag, ())]
        come = [value for value in new.get(flag, ()) if value not in old.get(flag, ())]
        if not flag:
            if old.get("") != new.get(""):
                yield "command", " changed"
        elif (gone or come) and _is_private(flag, (*gone, *come)):
            change = "changed" if flag in old and flag in new else "added" if flag in new else "removed"
            yield f"{'value of ' if change == 'changed' else ''}argument {flag}", f" {change}"
        elif len(gone) == len(come) == 1:
            yield f"argument {flag}", f": {_told(gone[0])} -> {_told(come[0])}"
        else:
            yield from ((f"argument {_whole(flag, value)}", " removed") for value in gone)
            yield from ((f"argument {_whole(flag, value)}", " added") for value in come)


def _flags(words: Sequence[str]) -> dict[str, list[str]]:
    """Values by flag; what is no flag under the empty name. A script (`sh -c "..."`) is read word by word."""
    split = [word for each in words for word in each.split() if word != "\\"]
    found: dict[str, list[str]] = {}
    takes_value = ""
    for word in split:
        if word.startswith("-"):
            flag, equals, value = word.partition("=")
            takes_value = "" if equals else flag
            found.setdefault(flag, []).append(value)
        elif takes_value:
            found[takes_value][-1] = word
            takes_value = ""
        else:
            found.setdefault("", []).append(word)
    return found


def _is_private(flag: str, values: Sequence[str]) -> bool:
    if not flag.startswith("--") and any(values):
        return True
    said = " ".join((flag, *values))
    return _SECRET.search(said) is not None or _SECRET_FLAG.search(flag) is not None


def _whole(flag: str, value: str) -> str:
    return f"{flag}={_told(value)}" if value else flag


def _told(value: str) -> str:
    if not value:
        return "set"
    return value if len(value) <= _MOST_CHARACTERS else f"{value[:_MOST_CHARACTERS]}..."
