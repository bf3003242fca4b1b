"""A few pieces of Markdown."""

import re
from collections.abc import Iterable

_ADDRESS = re.compile(r"^(https://\S+?)(?=[,;]?(?:\s|$))")
MADE = "<!-- Rendered from {source} by `make docs`: change the row, not this page. -->\n\n"


def page(title: str, source: str, *sections: tuple[str, str]) -> str:
    """One page; a section without text is left out."""
    body = "\n".join(f"## {name}\n\n{text.rstrip()}\n" for name, text in sections if text.strip())
    return f"{MADE.format(source=source)}# {title}\n\n{body}"


def bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def block(text: str, language: str = "") -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def sources(named: Iterable[str]) -> str:
    """Addresses become links, without what is said of them."""
    return bullets(_ADDRESS.sub(r"<\1>", name) for name in named)


def cell(text: str) -> str:
    """Of a table: one line, no bar."""
    return " ".join(text.split()).replace("|", "\\|")
