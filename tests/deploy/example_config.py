"""What deploy/examples/config.yaml shows of sections that are not there by default."""

import itertools
import re

from tests.deploy.helm import CHECKOUT


def example_block(section: str) -> str:
    """The lines of a section that stands there as a comment, uncommented once."""
    lines = (CHECKOUT / "deploy" / "examples" / "config.yaml").read_text().splitlines()
    begin = lines.index(next(line for line in lines if line.startswith(f"# {section}:")))
    rest = itertools.takewhile(lambda line: line.startswith("#   "), lines[begin + 1 :])
    return "\n".join(re.sub("^# ", "", line) for line in [lines[begin], *rest]) + "\n"
