"""Rules for tests: the tree that ships, with deadlines that a test can wait for, and signatures written here."""

import re
import shutil
from functools import cache
from pathlib import Path

from telemetry.rules_dir import rules_dir
from triage.rules import Rules, rules_from_texts

LAYOUT = """
area: what a test needs
signatures:
  - id: no-version
    role: cause
    category: repository_layout
    origin: triton
    pattern: "at least one version must be available"
    says: The model has no version directory.
    fix: Make a version directory for {model}.
    cites: [here]
    matches: ["at least one version must be available under the version policy of model 'm'"]
"""


def tree_text(budget: str = "10s", **deadlines: str) -> str:
    """The shipped tree, with these deadlines of probes."""
    text = (rules_dir() / "trees" / "load-failure.yaml").read_text()
    text = re.sub(r"^budget: .*$", f"budget: {budget}", text, flags=re.MULTILINE)
    for probe, deadline in deadlines.items():
        text, found = re.subn(
            rf"^(  {probe}: .*deadline: )\w+", rf"\g<1>{deadline}", text, flags=re.MULTILINE
        )
        assert found == 1
    return text


@cache
def small_rules(budget: str = "10s", **deadlines: str) -> Rules:
    return rules_from_texts(tree_text(budget, **deadlines), {"layout.yaml": LAYOUT}, "test")


def write_rules(folder: Path, budget: str = "10s", **deadlines: str) -> Path:
    """The small rules as a folder for --rules, which masks what the program masks."""
    (folder / "trees").mkdir(parents=True)
    (folder / "trees" / "load-failure.yaml").write_text(tree_text(budget, **deadlines))
    (folder / "signatures").mkdir()
    (folder / "signatures" / "layout.yaml").write_text(LAYOUT)
    shutil.copy(rules_dir() / "redaction.yaml", folder)
    return folder
