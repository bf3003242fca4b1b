"""Where `rules/` lies: inside this package in a wheel, at the top of a checkout."""

from pathlib import Path


def rules_dir() -> Path:
    """The folder of the knowledge that ships with the programs. Raises FileNotFoundError, naming what was looked for."""
    here = Path(__file__).resolve().parent
    candidates = (here / "rules", here.parent / "rules")
    for candidate in candidates:
        if (candidate / "signals").is_dir():
            return candidate
    raise FileNotFoundError(
        f"no rules folder: looked for {' and '.join(map(str, candidates))}; reinstall triton-ops"
    )


def part_of(own: Path | None, part: str) -> Path:
    """That folder of one's own rules, or of those that ship where these have none. Raises FileNotFoundError."""
    folder = own / part if own is not None else None
    return folder if folder is not None and folder.is_dir() else rules_dir() / part
