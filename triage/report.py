"""The report: one model that the terminal, JSON and whatever comes later render. Built by a pure function of a snapshot and
the rules, so that a saved bundle gives the same bytes again.

Order, for a person woken at 3 a.m.: what to do, what it hits, why, what speaks against it, what could not be seen, the
mitigations, the timeline, the path through the tree, the evidence."""

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from triage.answers import View, view_of
from triage.case import Case, ModelCase, blamed_by, make_case, primary
from triage.evidence import Evidence, LogExcerpt, PodView, RepositoryIndex, Snapshot
from triage.seal import printable
from triage.signatures import Signatures
from triage.tree import Action, Confidence, Leaf, Tree
from triage.walk import BANDS, Verdict, walk

SCHEMA = "triton-ops/triage-report/v1"
_MAX_LINE = 500
_MAX_NAME = 255
"""A model is a directory, and no file system has a longer name."""
_MAX_MODELS = 50
_MAX_TIMELINE = 20


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    category: str
    confidence: Confidence
    leaf: str
    model: str | None = None
    version: str | None = None
    root_line: str | None = None
    action: str = ""
    signature: str | None = None


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    evidence: tuple[str, ...] = ()
    quote: str | None = None


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    reason: str
    detail: str
    remedy: str


class Mitigation(msgspec.Struct, frozen=True, kw_only=True):
    do: str
    command: str | None
    undo: str
    blast_radius: str
    verify: str
    not_if: str


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    version: str
    state: str
    category: str | None
    line: str | None
    blames: str | None = None
    fix: str | None = None
    subject: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    at: str
    what: str
    evidence: str


class PathStep(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    ask: str
    answer: str
    because: str
    evidence: tuple[str, ...]


class EvidenceLine(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    source: str
    query: str
    command: str
    fetched_at: str
    got: str
    masked: int
    sha256: str


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    category: str
    confidence: Confidence
    leaf: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    tree: str
    tree_sha256: str
    signatures_sha256: str
    asked: Mapping[str, str]
    collected_at: str
    took_seconds: float
    headline: str
    verdict: VerdictView
    impact: tuple[str, ...]
    why: tuple[Fact, ...]
    against: tuple[Fact, ...]
    alternatives: tuple[Alternative, ...]
    unseen: tuple[Unseen, ...]
    actions: tuple[Mitigation, ...]
    models: tuple[ModelLine, ...]
    timeline: tuple[Moment, ...]
    path: tuple[PathStep, ...]
    evidence: tuple[EvidenceLine, ...]
    masked: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The knowledge that a report is made by, with the texts it came from."""

    tree: Tree
    signatures: Signatures
    tree_text: str
    signature_texts: Mapping[str, str]

    @property
    def tree_sha256(self) -> str:
        return hashlib.sha256(self.tree_text.encode()).hexdigest()

    @property
    def signatures_sha256(self) -> str:
        joined = "\0".join(f"{name}\0{text}" for name, text in sorted(self.signature_texts.items()))
        return hashlib.sha256(joined.encode()).hexdigest()


def build_report(snapshot: Snapshot, rules: Rules) -> Report:
    """The report on this snapshot by these rules."""
    cases = [make_case(subject, evidence, rules.signatures) for subject, evidence in _by_subject(snapshot)]
    judged = [_Judged.of(case, snapshot.asked.model, rules.tree) for case in cases]
    chosen = min(judged, key=lambda one: one.urgency)
    # What is saved in a bundle, or stood in a JSON string of a log, did not pass the seal in this form.
    return msgspec.convert(
        clean(msgspec.to_builtins(_Writer(snapshot, rules, cases, chosen).report())), Report
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    case: Case
    model: ModelCase | None
    view: View
    verdicts: Sequence[Verdict]

    @classmethod
    def of(cls, case: Case, model: str, tree: Tree) -> "_Judged":
        chosen = primary(case, model)
        view = view_of(case, chosen, model)
        return cls(case, chosen, view, walk(tree, view))

    @property
    def urgency(self) -> tuple[int, int, str]:
        """A named cause before an unnamed one, a failure before health, the surest first. Where what is beside the pods and is no
        log tells nothing, such as the list of the pods, it hides nothing that they tell."""
        first = self.verdicts[0]
        kind = {"cannot_tell": 1, "not_a_load_failure": 2}.get(first.leaf.category, 0)
        if kind == 1 and not self.case.subject and not self.case.logs:
            kind = 3
        return kind, BANDS.index(first.confidence), self.case.subject


def _by_subject(snapshot: Snapshot) -> list[tuple[str, tuple[Evidence, ...]]]:
    """Evidence by pod. What was given by hand belongs to the pod where there is just one."""
    subjects = list(dict.fromkeys(e.subject for e in snapshot.evidence))
    pods = [subject for subject in subjects if subject]
    if len(pods) == 1:
        return [(pods[0], snapshot.evidence)]
    return [(s, tuple(e for e in snapshot.evidence if e.subject == s)) for s in subjects] or [("", ())]


class _Writer:
    def __init__(self, snapshot: Snapshot, rules: Rules, cases: Sequence[Case], chosen: _Judged) -> None:
        self._snapshot = snapshot
        self._rules = rules
        self._cases = cases
        self._case = chosen.case
        self._model = chosen.model
        self._view = chosen.view
        self._verdict = chosen.verdicts[0]
        self._others = chosen.verdicts[1:]
        root = chosen.view.root
        self._root = root if root and root.category == self._verdict.leaf.category else None

    def report(self) -> Report:
        snapshot, leaf = self._snapshot, self._verdict.leaf
        actions = tuple(self._actions(leaf))
        return Report(
            schema=SCHEMA,
            tree=self._rules.tree.tree,
            tree_sha256=self._rules.tree_sha256,
            signatures_sha256=self._rules.signatures_sha256,
            asked={k: v for k, v in msgspec.to_builtins(snapshot.asked).items() if v},
            collected_at=snapshot.collected_at,
            took_seconds=snapshot.took_seconds,
            headline=self._headline(actions[0].do),
            verdict=VerdictView(
                category=leaf.category,
                confidence=self._verdict.confidence,
                leaf=leaf.id,
                model=self._name,
                version=(self._model.version or None) if self._model else None,
                root_line=_short(self._root.line, 4000) if self._root else None,
                action=actions[0].do,
                signature=self._root.signature.id if self._root else None,
            ),
            impact=tuple(self._impact()),
            why=tuple(self._why())[:3],
            against=tuple(
                Fact(text=_short(c.answer.because), evidence=c.answer.evidence) for c in self._verdict.against
            ),
            alternatives=tuple(
                Alternative(category=v.leaf.category, confidence=v.confidence, leaf=v.leaf.id)
                for v in self._others
            ),
            unseen=tuple(self._unseen()),
            actions=actions,
            models=tuple(self._models()),
            timeline=tuple(self._timeline())[-_MAX_TIMELINE:],
            path=tuple(
                PathStep(
                    node=step.node,
                    ask=step.ask,
                    answer=step.answer.value,
                    because=_short(step.answer.because),
                    evidence=step.answer.evidence,
                )
                for step in self._verdict.path
            ),
            evidence=tuple(_evidence_line(e) for e in snapshot.evidence),
            masked=sum(e.masked for e in snapshot.evidence),
        )

    @property
    def _name(self) -> str | None:
        if self._model is not None:
            return self._model.name
        return self._root.model if self._root else self._snapshot.asked.model or None

    def _headline(self, action: str) -> str:
        leaf = self._verdict.leaf
        first = action.split(". ")[0].rstrip(".")
        where = f" {_short(self._name, _MAX_NAME)}" if self._name else ""
        match leaf.category:
            case "cannot_tell":
                return f"CANNOT TELL{where}: {leaf.title}. {first}."
            case "not_a_load_failure":
                said = (
                    self._root.signature.says
                    if self._root
                    else _short(self._verdict.path[-1].answer.because) + "."
                )
                word = self._verdict.confidence.upper()
                return f"DO NOTHING about model loading: {said} {word}."
            case _:
                return f"FIX{where or ' the server'} ({leaf.title}): {first}. {self._verdict.confidence.upper()}."

    def _impact(self) -> Iterator[str]:
        failing = [model.name for model in self._case.failing]
        well = [model.name for model in self._case.models.values() if model.loaded]
        if self._case.subject:
            pods = [case.pod for case in self._cases if case.pod]
            unready = [pod.name for pod in pods if not pod.ready]
            if unready:
                yield f"{len(unready)} of {len(pods)} pods looked at are not ready: {_names(unready)}"
            elif pods:
                yield f"{len(pods)} of {len(pods)} pods looked at are ready"
        if failing:
            yield f"failed to load: {_names(failing)}"
        if self._model and (parents := blamed_by(self._case, self._model.name)):
            yield f"fails with it: {_names(parents)}"
        if self._model and self._model.loaded_before:
            yield f"{_names([self._model.name])} had loaded before: the earlier version may still serve"
        if well:
            yield f"loaded: {_names(well)}"
        if self._case.no_server:
            yield "the server did not start, so no model of this server is served"

    def _why(self) -> Iterator[Fact]:
        if self._root:
            yield Fact(
                text=self._root.signature.says, evidence=(self._root.evidence,), quote=_short(self._root.line)
            )
        failed = next((s for s in self._verdict.path if s.node == "failed"), None)
        if failed and (self._root is None or failed.answer.because != self._root.signature.says):
            yield Fact(
                text=_sentence(_short(failed.answer.because)),
                evidence=failed.answer.evidence,
                quote=self._outcome_quote(),
            )
        for checked in self._verdict.requires:
            if checked.answer.value == "yes":
                yield Fact(text=_sentence(_short(checked.answer.because)), evidence=checked.answer.evidence)

    def _outcome_quote(self) -> str | None:
        for reading in self._case.logs:
            attempt = reading.log.attempts.get(self._model.name) if self._model else None
            if attempt and attempt.last and attempt.outcome == "failed":
                line = attempt.last.lines[0]
                return None if self._root and self._root.line == line else _short(line)
        return None

    def _unseen(self) -> Iterator[Unseen]:
        for evidence in self._snapshot.evidence:
            if evidence.missing:
                gone = evidence.missing
                yield Unseen(what=evidence.source, reason=gone.reason, detail=gone.detail, remedy=gone.remedy)
            elif isinstance(evidence.facts, LogExcerpt) and evidence.facts.cut:
                yield Unseen(
                    what=evidence.source,
                    reason="truncated",
                    detail=f"{evidence.facts.bytes_read} bytes of the log were read, and not the rest",
                    remedy="give the part between the start of the server and the failure as --log FILE",
                )
        for gap in self._verdict.gaps:
            if gap.startswith("not seen: "):
                yield Unseen(
                    what=gap.removeprefix("not seen: "),
                    reason="not_given",
                    detail=f"the verdict stays at {self._verdict.confidence.replace('_', ' ')} without it",
                    remedy="ask again with the pod, or with --triton URL",
                )

    def _actions(self, leaf: Leaf) -> Iterator[Mitigation]:
        known = self._known()
        for number, action in enumerate(leaf.actions):
            do = _fill(action.do, known)
            if number == 0 and self._root and self._root.signature.fix:
                groups = {**self._root.match.groups, **({"model": self._name} if self._name else {})}
                do = _fill(self._root.signature.fix, {**known, **groups})
            yield Mitigation(
                do=do,
                command=_command(action, known),
                undo=_fill(action.undo, known),
                blast_radius=_fill(action.blast_radius, known),
                verify=_fill(action.verify, known),
                not_if=_fill(action.not_if, known),
            )

    def _known(self) -> dict[str, str]:
        pod = self._case.pod
        known = {
            "model": self._name or "",
            "version": self._model.version if self._model else "",
            "namespace": pod.namespace if pod else self._snapshot.asked.namespace,
            "pod": pod.name if pod else "",
            "workload": pod.owner if pod else "",
            "container": next((c.name for c in pod.containers if not c.ready and not c.init), "")
            if pod
            else "",
            "triton": next((e.source.removeprefix("Triton at ") for e in self._case.of_probe("index")), ""),
        }
        return {key: value for key, value in known.items() if value}

    def _models(self) -> Iterator[ModelLine]:
        rows = [(case, model) for case in self._cases for model in case.models.values()]
        rows.sort(key=lambda row: (not row[1].failed, not row[1].loading, row[1].order, row[1].name))
        for case, model in rows[:_MAX_MODELS]:
            root = model.root if model.failed else None
            state = (
                "failed"
                if model.failed
                else "loading"
                if model.loading
                else "loaded"
                if model.loaded
                else "unloaded"
            )
            yield ModelLine(
                model=_short(model.name, _MAX_NAME),
                version=_short(model.version, _MAX_NAME),
                state=state,
                category=str(root.category) if root else None,
                line=_short(root.line, 200) if root else _first_line(model),
                blames=_short(root.child, _MAX_NAME) if root and root.child else None,
                fix=_fill(root.signature.fix, {"model": model.name, **root.match.groups}) or None
                if root
                else None,
                subject=case.subject,
            )

    def _timeline(self) -> Iterator[Moment]:
        """In the order of the log, an earlier life first: a time of day alone does not know of midnight."""
        for reading in sorted(self._case.logs, key=lambda reading: reading.evidence.probe != "previous_log"):
            ends = [(attempt, attempt.last) for attempt in reading.log.attempts.values() if attempt.last]
            for attempt, last in sorted(ends, key=lambda end: end[1].number):
                if last.at:
                    what = f"{_short(attempt.model, _MAX_NAME)} {attempt.outcome}"
                    yield Moment(at=last.at, what=what, evidence=reading.evidence.id)


def _evidence_line(evidence: Evidence) -> EvidenceLine:
    match evidence.facts:
        case None:
            got = f"nothing: {evidence.missing.reason.replace('_', ' ')}" if evidence.missing else "nothing"
        case LogExcerpt(lines=lines, lines_read=read):
            got = f"{read} lines" if len(lines) == read else f"{len(lines)} of {read} lines kept"
        case RepositoryIndex(rows=rows):
            got = f"{len(rows)} rows"
        case PodView(phase=phase):
            got = phase
        case facts:
            got = type(facts).__name__
    return EvidenceLine(
        id=evidence.id,
        source=evidence.source,
        query=evidence.query,
        command=evidence.command,
        fetched_at=evidence.fetched_at,
        got=got,
        masked=evidence.masked,
        sha256=evidence.sha256,
    )


def _fill(text: str, known: Mapping[str, str]) -> str:
    """The text with what is known; what is not stands as a word of its own, such as MODEL. Between backquotes stands what is
    pasted into a shell, so values are quoted there."""
    parts = text.split("`")
    return "`".join(_put(part, known, quoted=index % 2 == 1) for index, part in enumerate(parts))


def _put(text: str, known: Mapping[str, str], *, quoted: bool) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in known:
            return name.upper()
        said = _short(" ".join(known[name].split()), 200)
        return shlex.quote(said) if quoted else said

    return re.sub(r"\{(\w+)\}", value, text)


def _command(action: Action, known: Mapping[str, str]) -> str | None:
    """The command to paste; None where it names something that is not known."""
    if not action.command or not set(re.findall(r"\{(\w+)\}", action.command)) <= known.keys():
        return None
    return _put(action.command, known, quoted=True)


def _first_line(model: ModelCase) -> str | None:
    reason = next(iter(model.reasons.values()), "")
    return _short(reason.partition("\n")[0], 200) or None


def clean(value: Any) -> Any:
    """The JSON-like value with every text printable, and a question mark for half a character."""
    if isinstance(value, str):
        return printable(value if value.isascii() else value.encode(errors="replace").decode())
    if isinstance(value, dict):
        return {clean(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return value


def _short(text: str, most: int = _MAX_LINE) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(_short(name, _MAX_NAME) for name in names[:6])
    return f"{shown} and {len(names) - 6} more" if len(names) > 6 else shown


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
