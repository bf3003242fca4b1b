"""Text of anybody's on one line of ours."""


def bounded(text: str, limit: int) -> str:
    """At most `limit` characters of one line, control characters escaped."""
    printable = "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
        for character in text[:limit]
    )
    return printable if len(printable) <= limit and len(text) <= limit else printable[: limit - 3] + "..."
