"""The rules of one tree, out of a folder or out of a saved bundle."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from telemetry.located_yaml import InvalidFileError, Problem, read_text
from triage.redact import Redactor, load_redaction
from triage.seal import Seal
from triage.signatures import Signatures, parse_signatures
from triage.tree import Tree, parse_tree
from triage.xids import FILE as XIDS
from triage.xids import Xids, parse_xids

_MOST_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Rules:
    """The knowledge that a report is made by, with the texts it came from."""

    tree: Tree
    signatures: Signatures
    tree_text: str
    signature_texts: Mapping[str, str]
    """And of the XID errors, by the files' names."""
    xids: Xids

    @property
    def tree_sha256(self) -> str:
        return hashlib.sha256(self.tree_text.encode()).hexdigest()

    @property
    def signatures_sha256(self) -> str:
        joined = "\0".join(f"{name}\0{text}" for name, text in sorted(self.signature_texts.items()))
        return hashlib.sha256(joined.encode()).hexdigest()


def rules_from_folder(folder: Path, tree: str, *, decided: bool = False) -> Rules:
    """`folder` is `rules/`; `decided` as for `parse_signatures`. Raises InvalidFileError with the mistakes of all files."""
    problems: list[Problem] = []
    texts: dict[str, str] = {}
    if not re.fullmatch(r"[a-z0-9-]{1,80}", tree):  # it may come out of a bundle, and names a file
        raise InvalidFileError([Problem(str(folder), 1, 1, f"{tree!r:.100} is no name of a tree")])
    # A folder of somebody's own may have no XID errors: they are told by their numbers then.
    named = sorted(folder.glob(XIDS))
    first, others = folder / "trees" / f"{tree}.yaml", sorted((folder / "signatures").glob("*.yaml"))
    files = [first, *named, *others]
    for file in files:
        try:
            texts[str(file)] = read_text(file)
        except InvalidFileError as error:
            problems += error.problems
    if problems:
        raise InvalidFileError(problems)
    try:
        judged = parse_tree(texts[str(first)], str(first))
    except InvalidFileError as error:
        problems += error.problems
    try:
        xids = {code: xid for file in named for code, xid in parse_xids(texts[str(file)], str(file)).items()}
    except InvalidFileError as error:
        problems += error.problems
    try:
        known = parse_signatures(
            {str(file): texts[str(file)] for file in others}, str(folder / "signatures"), decided=decided
        )
    except InvalidFileError as error:
        problems += error.problems
    if problems:
        raise InvalidFileError(problems)
    saved = {file.name: texts[str(file)] for file in files[1:]}
    return Rules(judged, known, texts[str(first)], saved, xids)


def rules_from_texts(tree: str, signatures: Mapping[str, str], where: str) -> Rules:
    """The rules in these texts, by file name. Raises InvalidFileError; `where` is what the mistakes are told about."""
    for name, text in (("tree", tree), *signatures.items()):
        refuse_depth(text, f"{where}: {name}")
    rows = {f"{where}: {name}": text for name, text in signatures.items() if name != XIDS}
    judged, known = parse_tree(tree, f"{where}: tree"), parse_signatures(rows, where, decided=True)
    xids = (
        parse_xids(signatures[XIDS], f"{where}: {XIDS}") if XIDS in signatures else {}
    )  # an older bundle has none
    return Rules(judged, known, tree, signatures, xids)


def refuse_depth(text: str, file: str) -> None:
    """libyaml composes by recursion in C: text of anybody's that is nested deeply enough would end the process."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                raise InvalidFileError([Problem(file, 1, 1, "nested too deeply to be a file of ours")])
    except yaml.YAMLError:
        return  # told with its place when the text is read


def seals_from_folder(folder: Path) -> Callable[[], Seal]:
    """Makes the seal of each piece of evidence, by the secrets that `redaction.yaml` knows. Raises InvalidFileError: without
    these rules nothing may be stored or shown."""
    redaction = load_redaction(folder / "redaction.yaml")

    def make_seal() -> Seal:
        redactor = Redactor(redaction)
        return Seal(redactor, redactor.is_clean)

    return make_seal
