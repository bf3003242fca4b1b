"""A manifest of checksums, as `sha256sum` writes them (GNU coreutils manual, cksum output modes). Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NAMES = ("MANIFEST.sha256", "SHA256SUMS")
SUFFIX = ".sha256"
MAX_ENTRIES = 20_000
_PLAIN = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *]([^\0]+)")
_TAGGED = re.compile(r"(\\?)SHA256 \(([^\0]+)\) = ([0-9a-fA-F]{64})")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True)
class Entry:
    line: int
    path: str
    """As written: from the manifest's own folder."""
    sha256: str


class NoManifest(Exception):
    """A line that sha256sum would not have written; says which, and what is expected."""


def is_manifest(name: str) -> bool:
    return name in NAMES or name.endswith(SUFFIX)


def parse_manifest(text: str) -> Iterator[Entry]:
    """Its entries. Raises NoManifest."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if number > MAX_ENTRIES:
            raise NoManifest(f"line {number}: more than {MAX_ENTRIES} lines are not read")
        if found := _PLAIN.fullmatch(line):
            escaped, digest, path = found.groups()
        elif found := _TAGGED.fullmatch(line):
            escaped, path, digest = found.groups()
        else:
            raise NoManifest(f"line {number}: expected 64 hexadecimal digits, two blanks and a path")
        if escaped:
            path = re.sub(r"\\[\\nr]", lambda sign: _ESCAPES[sign.group()], path)
        yield Entry(number, path.removeprefix("./"), digest.lower())
