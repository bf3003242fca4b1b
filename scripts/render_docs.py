"""Writes docs/reference: a page for each alert, each verdict of both trees and each signal, and their index: `make docs`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from autoscaler.signal import Signal, load_signals
from scripts.reference.alerts import Alert, alert_page, read_alerts, read_runbooks
from scripts.reference.leaves import leaf_page
from scripts.reference.markdown import MADE, cell
from scripts.reference.signals import signal_page
from triage.tree import Tree, parse_tree

CHECKOUT = Path(__file__).parents[1]
RULES = CHECKOUT / "rules"
REFERENCE = CHECKOUT / "docs" / "reference"


def rendered() -> Mapping[Path, str]:
    """The files and their text. Raises InvalidFileError where a row is wrong, KeyError where an alert has no runbook."""
    alerts, runbooks = read_alerts(RULES), read_runbooks(RULES)
    trees = [_tree(file) for file in sorted((RULES / "trees").glob("*.yaml"))]
    signals = load_signals(RULES / "signals")
    pages = {f"alerts/{alert.name}.md": alert_page(alert, runbooks[alert.name]) for alert in alerts}
    pages |= {f"leaves/{leaf.id}.md": leaf_page(tree, leaf) for tree in trees for leaf in tree.leaves}
    pages |= {f"signals/{name.replace(':', '_')}.md": signal_page(signal) for name, signal in signals.items()}
    pages["README.md"] = "\n".join(
        [MADE.format(source="rules/").rstrip(), "", *_index(alerts, trees, signals), ""]
    )
    return {REFERENCE / name: text for name, text in pages.items()}


def _tree(file: Path) -> Tree:
    return parse_tree(file.read_text(), str(file))


def _index(alerts: list[Alert], trees: list[Tree], signals: Mapping[str, Signal]) -> Iterator[str]:
    yield "# Reference\n"
    yield "A page for every alert, every verdict of `triton-triage` and every signal of `triton-autoscaler`.\n"
    yield "## Alerts\n\n| alert | severity | says |\n|---|---|---|"
    for alert in sorted(alerts, key=lambda each: each.name):
        yield f"| [{alert.name}](alerts/{alert.name}.md) | {alert.severity} | {cell(alert.description)} |"
    for tree in trees:
        yield f"\n## Verdicts of {tree.tree}\n\n{tree.about}\n\n| verdict | means |\n|---|---|"
        for leaf in tree.leaves:
            yield f"| [{leaf.id}](leaves/{leaf.id}.md) | {cell(leaf.means)} |"
    yield "\n## Signals\n\n| signal | unit | HPA target |\n|---|---|---|"
    for name, signal in sorted(signals.items()):
        yield f"| [{name}](signals/{name.replace(':', '_')}.md) | {cell(signal.unit)} | {signal.hpa.target} |"


def write() -> None:
    """The pages as they are now; one whose row is gone goes, too."""
    pages = rendered()
    for file in set(REFERENCE.rglob("*.md")) - pages.keys():
        file.unlink()
    for file, text in pages.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    write()
