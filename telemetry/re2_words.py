"""What RE2 says against a pattern."""


def said_by_re2(error: Exception) -> str:
    """The words of an `re2.error`, which the library gives as bytes; of another error its own."""
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
