"""Builds the report: a pure function of a snapshot and the rules, so that a saved bundle gives the same bytes again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from triage.answers import View, said_while_serving, view_of
from triage.case import Case, ModelCase, blamed_by, is_serving, make_case, primary
from triage.case_gpus import gpu_ranges, gpus_of
from triage.cluster_views import Canary, PodPlacements, Rollouts
from triage.evidence import (
    Evidence,
    LogExcerpt,
    PodList,
    RepositoryView,
    Snapshot,
)
from triage.evidence_lines import evidence_line
from triage.gpu_errors import device_notes
from triage.gpu_map import gpu_map
from triage.gpus import Device, Key
from triage.latency.changes import rolled_out_at
from triage.load_figures import load_figures, who_serves
from triage.model_store import model_stores
from triage.report import (
    SCHEMA,
    Alternative,
    Fact,
    GpuMap,
    Mitigation,
    ModelLine,
    Moment,
    PathStep,
    Report,
    Unseen,
    VerdictView,
)
from triage.rollout_state import RolloutState, rollout_state
from triage.rules import Rules
from triage.same_cluster import for_the_same_cluster
from triage.tree import Leaf, Tree
from triage.unseen import missing_evidence, unread_files
from triage.walk import BANDS, Verdict, walk
from triage.wording import MAX_NAME, capital, clean, command, count, fill, names, sentence, short
from triage.xids import told_xid

_Facts = TypeVar("_Facts")
_MAX_MODELS = 50
_MAX_TIMELINE = 20
_WHO_HELD = "who held the GPU's memory when the load began"
"""As the tree's check says it."""


def build_report(snapshot: Snapshot, rules: Rules) -> Report:
    """The report on this snapshot by these rules."""
    return report_on(cases_of(snapshot, rules), snapshot, rules)


def cases_of(snapshot: Snapshot, rules: Rules) -> Sequence[Case]:
    """One for each pod, and one for what was given by hand."""
    return [
        make_case(subject, evidence, rules.signatures, rules.xids)
        for subject, evidence in _by_subject(snapshot)
    ]


def report_on(cases: Sequence[Case], snapshot: Snapshot, rules: Rules) -> Report:
    """The report, where the cases of the snapshot are there already: who asks about each of its models reads its logs once."""
    judged = [_Judged.of(case, snapshot.asked.model, rules.tree) for case in cases]
    chosen = min(judged, key=lambda one: one.urgency)
    report = for_the_same_cluster(_Writer(snapshot, rules, judged, chosen).report(), snapshot.asked)
    # What is saved in a bundle, or stood in a JSON string of a log, did not pass the seal in this form.
    return msgspec.convert(clean(msgspec.to_builtins(report)), Report)


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
        return cls(case, view.model, view, walk(tree, view))

    @property
    def failed(self) -> bool:
        """Whether this pod has a load that failed."""
        return self.verdicts[0].leaf.category != "not_a_load_failure" and any(
            step.node == "failed" and step.answer.value == "yes" for step in self.verdicts[0].path
        )

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
    """Evidence by pod. What was given by hand belongs to the pod where there is just one; a repository to each of several."""
    subjects = list(dict.fromkeys(e.subject for e in snapshot.evidence))
    pods = [subject for subject in subjects if subject]
    if len(pods) == 1:
        return [(pods[0], snapshot.evidence)]
    shared = tuple(e for e in snapshot.evidence if pods and e.probe == "repository")
    rest = [e for e in snapshot.evidence if e not in shared]
    return [(s, (*(e for e in rest if e.subject == s), *(shared if s else ()))) for s in subjects] or [
        ("", ())
    ]


class _Writer:
    def __init__(self, snapshot: Snapshot, rules: Rules, judged: Sequence[_Judged], chosen: _Judged) -> None:
        self._snapshot = snapshot
        self._rules = rules
        self._cases = [one.case for one in judged]
        self._case = chosen.case
        self._model = chosen.model
        self._view = chosen.view
        self._verdict = chosen.verdicts[0]
        self._others = chosen.verdicts[1:]
        root = chosen.view.root
        self._root = root if root and root.category == self._verdict.leaf.category else None
        failing = [one.case.subject for one in judged if one.failed]
        self._rollout = rollout_state(
            self._fact(Rollouts), self._fact(Canary), self._fact(PodPlacements), failing
        )
        self._known = self._figures()

    def _fact(self, kind: type[_Facts]) -> _Facts | None:
        return next((e.facts for e in self._snapshot.evidence if isinstance(e.facts, kind)), None)

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
            headline=self._headline(self._own_action(leaf)),
            verdict=VerdictView(
                category=leaf.category,
                confidence=self._verdict.confidence,
                leaf=leaf.id,
                model=self._name,
                version=(self._model.version or None) if self._model else None,
                root_line=short(self._root.line, 4000) if self._root else None,
                action=actions[0].do,
                signature=self._root.signature.id if self._root else None,
            ),
            impact=tuple(self._impact()),
            why=(*tuple(self._why())[:3], *self._shown()),
            against=tuple(
                Fact(text=short(c.answer.because), evidence=c.answer.evidence) for c in self._verdict.against
            ),
            alternatives=tuple(
                Alternative(category=v.leaf.category, confidence=v.confidence, leaf=v.leaf.id)
                for v in self._others
            ),
            unseen=tuple(self._unseen()),
            actions=actions,
            models=tuple(self._models()),
            timeline=self._timeline(),
            path=tuple(
                PathStep(
                    node=step.node,
                    ask=step.ask,
                    answer=step.answer.value,
                    because=short(step.answer.because),
                    evidence=step.answer.evidence,
                )
                for step in self._verdict.path
            ),
            evidence=tuple(evidence_line(e) for e in snapshot.evidence),
            masked=sum(e.masked for e in snapshot.evidence),
            gpus=self._gpus(),
        )

    def _gpus(self) -> GpuMap | None:
        """Of all pods that were looked at; the one that the report is about first."""
        own = {case.subject for case in self._cases if case.subject}
        namespace = self._case.pod.namespace if self._case.pod else self._snapshot.asked.namespace
        devices: dict[Key, Device] = {}
        notes: dict[Key, list[str]] = {}
        for case in self._cases:
            for device in (held := gpus_of(case)):
                known = devices.setdefault(device.key, device)
                known.held |= {
                    holder: max(at, known.held.get(holder, at)) for holder, at in device.held.items()
                }
                known.since |= {
                    holder: min(at, known.since.get(holder, at)) for holder, at in device.since.items()
                }
                known.smear, known.grain = max(known.smear, device.smear), max(known.grain, device.grain)
            notes |= device_notes(
                held,
                gpu_ranges(case),
                lambda seen: seen.says(told_xid(seen.code, self._rules.xids), own, namespace),
            )
        ordered = sorted(devices.values(), key=lambda d: (d.node, len(d.index), d.index, d.key))
        return gpu_map(ordered, own, namespace, notes, [self._case.subject])

    @property
    def _name(self) -> str | None:
        if self._model is not None:
            return self._model.name
        return self._root.model if self._root else self._snapshot.asked.model or None

    def _headline(self, action: str) -> str:
        leaf = self._verdict.leaf
        first = action.split(". ")[0].rstrip(".")
        where = f" {short(self._name, MAX_NAME)}" if self._name else ""
        stop = (
            f"STOP THE ROLLOUT of {self._known['workload']}, then " if "stop_rollout" in self._known else ""
        )
        match leaf.category:
            case "cannot_tell":
                gone = next((e.missing for e in self._snapshot.evidence if e.missing), None)
                if leaf.id == "nothing-seen" and gone:
                    return f"CANNOT TELL{where}: {short(gone.detail)}; {gone.remedy}."
                asked, told = self._snapshot.asked.model, list(self._case.models)
                if asked and told and asked not in told:
                    return (
                        f"CANNOT TELL{where}: no source names it. Is --model right? They name {names(told)}."
                    )
                title = leaf.title
                if leaf.id == "repository-read-in-part":
                    title = short(self._verdict.path[-1].answer.because)
                return f"{stop}{'look: ' if stop else ''}CANNOT TELL{where}: {title}. {first}."
            case "not_a_load_failure":
                said = (
                    self._root.signature.says
                    if self._root
                    else short(self._verdict.path[-1].answer.because) + "."
                )
                word = self._verdict.confidence.upper()
                return f"DO NOTHING about model loading: {said} {word}."
            case _:
                word = self._verdict.confidence.upper()
                return f"{stop}FIX{where or ' the server'} ({leaf.title}): {first}. {word}."

    def _impact(self) -> Iterator[str]:
        failing = [model.name for model in self._case.failing]
        well = [model.name for model in self._case.models.values() if model.loaded]
        for evidence in self._snapshot.evidence:
            if isinstance(evidence.facts, PodList):
                yield _readiness(evidence.facts)
        if self._rollout:
            yield from _rollout_lines(self._rollout)
        if failing:
            yield f"failed to load: {names(failing)}"
        if doomed := [m.name for m in self._case.models.values() if m.would_fail and not m.failed]:
            yield f"would fail at the next load, by what lies in the repository: {names(doomed)}"
        if self._model and (parents := blamed_by(self._case, self._model.name)):
            yield f"fails with it: {names(parents)}"
        if (
            self._model
            and self._model.failed
            and self._model.loaded_before
            and is_serving(self._case, self._model.name)
        ):
            yield f"{names([self._model.name])} serves all the same, as it was loaded before: the index has it READY"
        elif self._model and self._serves_another_version(self._model):
            yield f"{names([self._model.name])} serves all the same, by another version: Triton says that the model is ready"
        elif self._model and self._model.loaded_before:
            yield f"{names([self._model.name])} had loaded before: the earlier version may still serve"
        if well:
            yield f"loaded: {names(well)}"
        if self._case.no_server:
            yield "the server did not start, so no model of this server is served"
        if (pod := self._case.pod) and self._verdict.leaf.category != "not_a_load_failure":
            yield from (f"model repository {store.says}" for store in model_stores(pod))

    def _serves_another_version(self, model: ModelCase) -> bool:
        """Ready as a model, and not in the version that failed."""
        failed = bool(model.version) and not is_serving(self._case, model.name, model.version)
        return model.failed and failed and is_serving(self._case, model.name)

    def _why(self) -> Iterator[Fact]:
        if self._root:
            yield Fact(
                text=self._root.signature.says, evidence=(self._root.evidence,), quote=short(self._root.line)
            )
        calm = self._verdict.leaf.category == "not_a_load_failure"
        if calm and (later := said_while_serving(self._view)):
            yield Fact(
                text="This was said after the models had loaded and the ports were open, so by a request and not by a load.",
                evidence=(later.evidence,),
                quote=short(later.line),
            )
        failed = next((s for s in self._verdict.path if s.node == "failed"), None)
        if failed and (self._root is None or failed.answer.because != self._root.signature.says):
            yield Fact(
                text=sentence(short(failed.answer.because)),
                evidence=failed.answer.evidence,
                quote=self._outcome_quote(),
            )
        for checked in self._verdict.requires:
            if checked.answer.value == "yes":
                yield Fact(text=sentence(short(checked.answer.because)), evidence=checked.answer.evidence)

    def _shown(self) -> Iterator[Fact]:
        for check in self._verdict.shows:
            if check.answer.value == "yes":
                yield Fact(
                    text=sentence(capital(short(check.answer.because))), evidence=check.answer.evidence
                )

    def _outcome_quote(self) -> str | None:
        # The root's own log first: another life of the container may have failed otherwise.
        told = self._root.evidence if self._root else ""
        for reading in sorted(self._case.logs, key=lambda reading: reading.evidence.id != told):
            attempt = reading.log.attempts.get(self._model.name) if self._model else None
            if attempt and attempt.last and attempt.outcome == "failed":
                line = attempt.last.lines[0]
                return None if self._root and self._root.line == line else short(line, 240)
        return None

    def _unseen(self) -> Iterator[Unseen]:
        yield from missing_evidence(self._snapshot.evidence)
        for evidence in self._snapshot.evidence:
            if isinstance(evidence.facts, LogExcerpt) and evidence.facts.cut:
                yield Unseen(
                    what=evidence.source,
                    reason="truncated",
                    detail=f"{evidence.facts.bytes_read} bytes of the log were read, and not the rest",
                    remedy="give the part between the start of the server and the failure as --log FILE",
                )
            elif isinstance(evidence.facts, RepositoryView):
                yield from unread_files(evidence.source, evidence.facts.unread)
        for gap in self._verdict.gaps:
            if gap.startswith("not seen: "):
                yield Unseen(
                    what=gap.removeprefix("not seen: "),
                    reason="not_given",
                    detail=f"the verdict stays at {self._verdict.confidence.replace('_', ' ')} without it",
                    remedy="ask again with the pod, or with --triton URL",
                )
        yield from self._unseen_gpus()

    def _unseen_gpus(self) -> Iterator[Unseen]:
        for check in self._verdict.shows:
            if check.says == _WHO_HELD and check.answer.value == "unknown":
                remedy = (
                    "give --prometheus URL of one that scrapes triton-gpu-agent or dcgm-exporter, and TARGET"
                )
                if gpu_ranges(self._case):
                    remedy = "scrape the GPU nodes from before a server begins; triton-gpu-agent names all who hold a GPU"
                yield Unseen(what=_WHO_HELD, reason="not_given", detail=check.answer.because, remedy=remedy)

    def _actions(self, leaf: Leaf) -> Iterator[Mitigation]:
        own = next(action for action in leaf.actions if action.fits(self._known))
        for action in self._rules.tree.actions(leaf):
            if not action.fits(self._known):
                continue
            yield Mitigation(
                do=self._own_action(leaf) if action is own else fill(action.do, self._known),
                command=command(action.command, self._known),
                undo=fill(action.undo, self._known),
                blast_radius=fill(action.blast_radius, self._known),
                verify=fill(action.verify, self._known),
                not_if=fill(action.not_if, self._known),
            )

    def _own_action(self, leaf: Leaf) -> str:
        """What to do about the cause: the telling line's own remedy, else the leaf's first."""
        first = next(action for action in leaf.actions if action.fits(self._known))
        if (
            self._root and self._root.signature.fix and not first.needs
        ):  # which knows more of this failure than a line
            groups = {**self._root.match.groups, **({"model": self._name} if self._name else {})}
            return fill(self._root.signature.fix, {**self._known, **groups})
        return fill(first.do, self._known)

    def _figures(self) -> Mapping[str, str]:
        why = self._root.signature.says if self._root else self._verdict.leaf.title
        namespace = self._snapshot.asked.namespace
        return load_figures(self._case, self._model, self._name or "", namespace, self._rollout, why)

    def _models(self) -> Iterator[ModelLine]:
        rows = [(case, model) for case in self._cases for model in case.models.values()]
        rows.sort(key=lambda row: (not row[1].failed, not row[1].loading, row[1].order, row[1].name))
        for case, model in rows[:_MAX_MODELS]:
            root = model.root if model.failed or model.would_fail else None
            state = (
                "failed"
                if model.failed
                else "loading"
                if model.loading
                else "would fail"
                if model.would_fail
                else "loaded"
                if model.loaded
                else "unloaded"
            )
            yield ModelLine(
                model=short(model.name, MAX_NAME),
                version=short(model.version, MAX_NAME),
                state=state,
                category=str(root.category) if root else None,
                line=short(root.line, 200) if root else _first_line(model),
                blames=short(root.child, MAX_NAME) if root and root.child else None,
                fix=fill(root.signature.fix, {"model": model.name, **root.match.groups}) or None
                if root
                else None,
                subject=case.subject,
            )

    def _timeline(self) -> tuple[Moment, ...]:
        return (*self._rolled_out(), *tuple(self._ends())[1 - _MAX_TIMELINE :])

    def _rolled_out(self) -> Iterator[Moment]:
        rollouts = next((e for e in self._snapshot.evidence if isinstance(e.facts, Rollouts)), None)
        if self._rollout and rollouts and (at := rolled_out_at(self._rollout.rollouts.revisions, -1)):
            when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            yield Moment(at=when, what=_rolled_out(self._rollout), evidence=rollouts.id)

    def _ends(self) -> Iterator[Moment]:
        """In the order of the log, an earlier life first: a time of day alone does not know of midnight."""
        for reading in sorted(self._case.logs, key=lambda reading: reading.evidence.probe != "previous_log"):
            ends = [(attempt, attempt.last) for attempt in reading.log.attempts.values() if attempt.last]
            for attempt, last in sorted(ends, key=lambda end: end[1].number):
                if last.at:
                    what = f"{short(attempt.model, MAX_NAME)} {attempt.outcome}"
                    yield Moment(at=last.at, what=what, evidence=reading.evidence.id)


def _rollout_lines(state: RolloutState) -> Iterator[str]:
    """Who serves meanwhile, and what the latest rollout has to do with it. Timing alone blames nothing."""
    serving = who_serves(state)
    verb = "serves" if state.serving == 1 else "serve"
    yield f"{capital(serving)} still {verb}: {state.fate}" if serving else capital(state.fate)
    newest, changes = state.newest, "; ".join(state.newest.changes[:3])
    changed = f": {changes}" if changes else ""
    match state.scope:
        case "new":
            yield f"only pods of revision {newest.number} fail, the latest{changed}"
        case "both":
            yield f"pods of earlier revisions fail too, so revision {newest.number} is not what broke them{changed}"
        case _ if changes:
            yield f"the latest rollout is revision {newest.number}{changed}"


def _rolled_out(state: RolloutState) -> str:
    changes = f": {'; '.join(state.newest.changes[:3])}" if state.newest.changes else ""
    return f"{state.rollouts.workload} revision {state.newest.number} rolled out{changes}"


def _readiness(pods: PodList) -> str:
    if not pods.unready:
        return f"{len(pods.names)} of {count(len(pods.names), 'pod')} ready"
    looked = "" if set(pods.unready) <= set(pods.looked_at) else f"; looked at {names(pods.looked_at)}"
    return f"{len(pods.unready)} of {count(len(pods.names), 'pod')} not ready: {names(pods.unready)}{looked}"


def _first_line(model: ModelCase) -> str | None:
    reason = next(iter(model.reasons.values()), "")
    return short(reason.partition("\n")[0], 200) or None
