"""The knowledge that a report on slow requests is made by: tree, measures and quantities, out of a folder or a bundle."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from telemetry.located_yaml import InvalidFileError, Problem, parse_located, read_text
from triage.latency.kinds import Answered, Level, Part, Predicate, Shift, Skew, Split
from triage.latency.measures import Measure, Source, parse_measures
from triage.latency.predicates import PREDICATES
from triage.latency.quantities import Quantity, QuantityFile
from triage.rules import refuse_depth
from triage.signatures import at_row
from triage.tree import Tree, parse_tree
from triage.xids import FILE as XIDS
from triage.xids import Xids, parse_xids

TREE = "p99"
_QUANTITIES = "quantities.yaml"


@dataclass(frozen=True, slots=True)
class LatencyRules:
    tree: Tree
    measures: Mapping[str, Measure]
    sources: Mapping[Source, tuple[Measure, ...]]
    quantities: Mapping[str, Quantity]
    tree_text: str
    texts: Mapping[str, str]
    """The files of measures, quantities and XID errors, by their names."""
    xids: Xids

    @property
    def tree_sha256(self) -> str:
        return hashlib.sha256(self.tree_text.encode()).hexdigest()

    @property
    def knowledge_sha256(self) -> str:
        joined = "\0".join(f"{name}\0{text}" for name, text in sorted(self.texts.items()))
        return hashlib.sha256(joined.encode()).hexdigest()


def latency_rules_from_folder(folder: Path) -> LatencyRules:
    """`folder` is `rules/`. Raises InvalidFileError with the mistakes of all files."""
    tree = folder / "trees" / f"{TREE}.yaml"
    files = [folder / _QUANTITIES, *folder.glob(XIDS), *sorted((folder / "measures").glob("*.yaml"))]
    texts = {str(file): read_text(file) for file in files}
    return _parse(read_text(tree), str(tree), texts)


def latency_rules_from_texts(tree: str, texts: Mapping[str, str], where: str) -> LatencyRules:
    """The rules in these texts, by file name. Raises InvalidFileError; `where` is what the mistakes are told about."""
    for name, text in (("tree", tree), *texts.items()):
        refuse_depth(text, f"{where}: {name}")
    return _parse(tree, f"{where}: tree", texts, saved=True)


def _parse(tree_text: str, tree_file: str, texts: Mapping[str, str], *, saved: bool = False) -> LatencyRules:
    quantity_file = next((file for file in texts if Path(file).name == _QUANTITIES), "")
    if not quantity_file:
        raise InvalidFileError([Problem(tree_file, 1, 1, f"there is no {_QUANTITIES} beside it")])
    tree = parse_tree(tree_text, tree_file)
    rows = parse_located(QuantityFile, texts[quantity_file], quantity_file).quantities
    xid_file = next((file for file in texts if Path(file).name == XIDS), "")
    xids = parse_xids(texts[xid_file], xid_file) if xid_file else {}  # an older bundle has none
    others = (quantity_file, xid_file)
    sources = parse_measures({f: t for f, t in texts.items() if f not in others}, "measures")
    measures = {one.measure: one for group in sources.values() for one in group}
    quantities = {row.quantity: row for row in rows}
    problems = [
        at_row(quantity_file, texts[quantity_file], name, told) for name, told in _unmeasured(rows, measures)
    ]
    problems += [
        at_row(tree_file, tree_text, name, told) for name, told in _unknown(tree, quantities, saved=saved)
    ]
    if problems:
        raise InvalidFileError(problems)
    return LatencyRules(
        tree,
        measures,
        {source: tuple(group) for source, group in sources.items()},
        quantities,
        tree_text,
        {Path(file).name: text for file, text in texts.items()},
        xids,
    )


def _unmeasured(rows: tuple[Quantity, ...], measures: Mapping[str, Measure]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for row in rows:
        if row.quantity in seen:
            yield row.quantity, f"{row.quantity!r} is given twice"
        seen.add(row.quantity)
        for name in row.measures:
            if name not in measures:
                yield row.quantity, f"{row.quantity!r} needs measure {name!r}, which no file in measures/ has"
        for name in row.optional:
            if name not in row.measures:
                yield row.quantity, f"{row.quantity!r} says that {name!r} is optional, and is not made of it"


def _unknown(tree: Tree, quantities: Mapping[str, Quantity], *, saved: bool) -> Iterator[tuple[str, str]]:
    """`saved`: an older version's rules may ask a predicate that is gone; its answer is unknown then, and the rest stands."""
    if all(leaf.category != "cannot_tell" for leaf in tree.leaves):
        yield "leaves", "no leaf has category 'cannot_tell', which is the verdict where nothing fits"
    tests = [(node.id, node.test) for node in tree.nodes] + [(check.id, check.test) for check in tree.checks]
    for name, test in tests:
        match test:
            case Shift() | Level() | Part() | Split() | Skew() if test.quantity not in quantities:
                yield name, f"{name!r} asks for quantity {test.quantity!r}, which {_QUANTITIES} does not have"
            case Predicate() if test.name not in PREDICATES and not saved:
                yield name, f"{name!r} asks predicate {test.name!r}; known: {', '.join(sorted(PREDICATES))}"
            case Answered():
                for probe in test.probes:
                    if probe not in tree.probes:
                        yield name, f"{name!r} asks probe {probe!r}; known: {', '.join(tree.probes)}"
            case _:
                continue
