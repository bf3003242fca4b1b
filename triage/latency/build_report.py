"""Builds the report on slow requests: a pure function of a snapshot and the rules."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

import msgspec

from triage.cluster_views import Rollouts
from triage.evidence import Evidence, LogExcerpt, Snapshot
from triage.evidence_lines import evidence_line
from triage.gpu_map import gpu_map
from triage.latency.charts import charts
from triage.latency.facts import Ranges
from triage.latency.figures import figures
from triage.latency.incident import Incident
from triage.latency.number import amount
from triage.latency.predicates.gpu_devices import devices, has_gpus, own_pods, unmapped_pods
from triage.latency.predicates.gpus import gpu_notes
from triage.latency.rules import LatencyRules
from triage.latency.walk import Candidate, Walk, walk
from triage.owner import freeze_command
from triage.report import (
    CALM,
    SCHEMA,
    Alternative,
    Fact,
    GpuMap,
    Mitigation,
    Moment,
    Onset,
    PathStep,
    Report,
    Unseen,
    VerdictView,
)
from triage.same_cluster import for_the_same_cluster
from triage.tree import Leaf
from triage.walk import BANDS
from triage.wording import MAX_NAME, capital, clean, command, fill, names, sentence, short

_MAX_TIMELINE = 20
_MAX_FACTS = 3
_MAX_ALTERNATIVES = 5


def build_latency_report(snapshot: Snapshot, rules: LatencyRules) -> Report:
    """The report on this snapshot by these rules."""
    incident = Incident(snapshot, rules.measures, rules.quantities, rules.xids)
    found = walk(rules.tree, incident)
    report = for_the_same_cluster(_Writer(snapshot, rules, incident, found).report(), snapshot.asked)
    return msgspec.convert(clean(msgspec.to_builtins(report)), Report)


class _Writer:
    def __init__(self, snapshot: Snapshot, rules: LatencyRules, incident: Incident, found: Walk) -> None:
        self._snapshot = snapshot
        self._rules = rules
        self._incident = incident
        self._walk = found
        self._first = found.candidates[0]
        self._figures = figures(incident)
        self._model = short(incident.model, MAX_NAME)

    def report(self) -> Report:
        first, leaf = self._first, self._first.leaf
        also = tuple(self._also())
        actions = tuple(self._actions(leaf))
        return Report(
            schema=SCHEMA,
            tree=self._rules.tree.tree,
            tree_sha256=self._rules.tree_sha256,
            signatures_sha256=self._rules.knowledge_sha256,
            asked=self._asked(),
            collected_at=self._snapshot.collected_at,
            took_seconds=self._snapshot.took_seconds,
            headline=self._headline(actions[0].do),
            verdict=VerdictView(
                category=leaf.category,
                confidence=first.confidence,
                leaf=leaf.id,
                model=self._model or None,
                title=leaf.title,
                action=actions[0].do,
                also=also,
            ),
            impact=tuple(self._impact()),
            why=tuple(self._why()),
            against=tuple(self._against()),
            alternatives=tuple(self._alternatives())[:_MAX_ALTERNATIVES],
            unseen=tuple(self._unseen()),
            actions=actions,
            models=(),
            timeline=tuple(self._timeline()),
            path=tuple(
                PathStep(
                    node=step.node,
                    ask=step.ask,
                    answer=step.answer.value,
                    because=short(step.answer.because),
                    evidence=step.answer.evidence[:6],
                )
                for step in self._walk.path
            ),
            evidence=tuple(evidence_line(one) for one in self._snapshot.evidence),
            masked=sum(one.masked for one in self._snapshot.evidence),
            freeze=self._freeze(),
            onset=self._onset(),
            charts=charts(self._incident, first),
            gpus=self._gpus,
        )

    @cached_property
    def _gpus(self) -> GpuMap | None:
        incident = self._incident
        slow = [
            pod
            for pod in incident.history.groups("infer", "pod", incident.who())
            if incident.movement("infer", by="pod", group=pod).up(1.3, 0.5) == "yes"
        ]
        namespace = self._snapshot.asked.namespace
        return gpu_map(devices(incident), own_pods(incident), namespace, gpu_notes(incident), slow)

    def _asked(self) -> Mapping[str, str]:
        asked = self._snapshot.asked
        told = {k: short(v) for k, v in msgspec.to_builtins(asked).items() if isinstance(v, str) and v}
        for name, value in (("start", asked.start), ("end", asked.end)):
            if value is not None:
                told[name] = clock(value)
        return told

    def _headline(self, do: str) -> str:
        leaf, word = self._first.leaf, self._first.confidence.replace("_", " ").upper()
        whose = f" of {self._model}" if self._model else ""
        if leaf.category == "cannot_tell":
            where = self._where_the_time_went()
            return sentence(
                f"CANNOT TELL why requests{whose} are slow{where}: {leaf.means.rstrip('.').lower()}"
            )
        if leaf.category in CALM:
            return f"{sentence(do)} {capital(leaf.title)}. {word}."
        return f"FIX requests{whose} ({leaf.title}): {sentence(do)} {word}."

    def _where_the_time_went(self) -> str:
        shares = [
            (share, q)
            for q in ("queue", "compute", "residual")
            if (share := self._incident.part(q)[0]) is not None
        ]
        if not shares:
            return ""
        share, quantity = max(shares)
        return (
            f" ({share:.0%} of the increase is {self._incident.quantities[quantity].says})"
            if share > 0
            else ""
        )

    def _impact(self) -> Iterator[str]:
        incident = self._incident
        onset = self._onset()
        if onset:
            ended = incident.onset.ended if incident.onset else None
            until = f", until {clock(ended.at)}" if ended else ""
            yield f"since {clock(onset.at)} (between {clock(onset.earliest)} and {clock(onset.latest)}){until}: {onset.of}"
        elif incident.no_onset:
            yield f"when it began is not known: {incident.no_onset}"
        for name in ("gateway_tail", "gateway_tail_p95", "p99", "latency"):
            moved = incident.movement(name)
            if moved.known:
                yield f"{moved.quantity.says}{self._of_model(name)}: {moved.from_to}"
            elif moved.during is not None:
                yield f"{moved.quantity.says}{self._of_model(name)}: {amount(moved.during, moved.quantity.unit)} now"
        share = incident.movement("failure_share")
        if share.during:
            yield f"{amount(share.during, 'share')} of the requests fail in Triton"
        parts = [(q, *incident.part(q)) for q in ("queue", "input", "infer", "output", "residual")]
        told = [
            f"{share:.0%} {self._incident.quantities[q].says.removesuffix(' per request')}"
            for q, share, _ in parts
            if share and share > 0.03
        ]
        if told:
            yield f"of the increase per request: {', '.join(told)}"

    def _of_model(self, quantity: str) -> str:
        return f" of {self._model}" if self._model and not quantity.startswith("gateway") else ""

    def _why(self) -> Iterator[Fact]:
        first = self._first
        seen = [c for c in (*first.mechanism, *first.requires) if c.answer.value == "yes"]
        told = [check for check in first.shows if check.answer.value == "yes"]
        for check in (*seen[:_MAX_FACTS], *told):
            yield Fact(
                text=sentence(short(f"{capital(check.says)}: {check.answer.because}")),
                evidence=check.answer.evidence[:6],
            )
        if not seen:
            yield Fact(text=first.leaf.means, evidence=())

    def _against(self) -> Iterator[Fact]:
        for check in self._first.against:
            yield Fact(
                text=sentence(short(f"{capital(check.says)}: {check.answer.because}")),
                evidence=check.answer.evidence[:6],
            )

    def _also(self) -> Iterator[str]:
        """Those that fit as well: in the same band, and not a consequence."""
        for other in self._walk.candidates[1:]:
            if (
                other.confidence == self._first.confidence
                and other.leaf.category != "cannot_tell"
                and not other.consequence_of
            ):
                yield other.leaf.category

    def _alternatives(self) -> Iterator[Alternative]:
        """What else fits. Beside a verdict that is likely or surer, what is merely possible for want of evidence is no help."""
        bold = BANDS.index(self._first.confidence) <= BANDS.index("likely")
        for other in self._walk.candidates[1:]:
            if other.leaf.category == "cannot_tell" or (
                bold
                and other.confidence == "possible"
                and other.lacks_evidence
                and other.leaf.id not in self._first.rivals
            ):
                continue
            yield Alternative(
                category=other.leaf.category,
                confidence=other.confidence,
                leaf=other.leaf.id,
                title=other.leaf.title,
                separate=self._separate(other),
            )

    def _separate(self, other: Candidate) -> str | None:
        """What would tell both apart: as the leaves say, else the first thing that one of them still lacks."""
        mine, theirs = self._first.leaf, other.leaf
        told = mine.separate.get(theirs.id) or theirs.separate.get(mine.id)
        if told:
            return fill(told, self._figures)
        lacking = [c for c in (*other.mechanism, *other.requires) if c.answer.value != "yes"]
        return f"whether {lacking[0].says}" if lacking else None

    def _unseen(self) -> Iterator[Unseen]:
        """One row for what one probe misses for one reason: forty measures that a Prometheus lacks are one thing to mend."""
        rows: dict[tuple[str, str], list[Evidence]] = {}
        for one in self._snapshot.evidence:
            if one.missing:
                where = one.probe if one.missing.reason != "forbidden" else one.missing.detail
                rows.setdefault((where, one.missing.reason), []).append(one)
        for (_, reason), gone in rows.items():
            first = gone[0]
            detail = first.missing.detail if first.missing else ""
            where = first.source
            if len(gone) > 1 and reason == "forbidden":
                where = names(list(dict.fromkeys(one.source for one in gone)))
            elif len(gone) > 1:
                detail = names(list(dict.fromkeys(self._told(one.id) for one in gone)))
                where = f"{first.source} ({first.probe.replace('_', ' ')})"
            remedies = list(dict.fromkeys(one.missing.remedy for one in gone if one.missing))
            more = f"; and {len(remedies) - 2} more" if len(remedies) > 2 else ""
            yield Unseen(
                what=where, reason=reason, detail=short(detail), remedy=f"{'; '.join(remedies[:2])}{more}"
            )
        yield from self._warnings()
        yield from self._cut_logs()
        yield from self._unmapped_gpus()
        asked = {one.probe for one in self._snapshot.evidence}
        if any(one.source.startswith("Prometheus") for one in self._snapshot.evidence):
            asked |= {"triton", "gateway"}  # they are asked there, and why they did not answer is told above
        for name, remedy in _REMEDIES.items():
            if name in self._rules.tree.probes and not asked & {name, *_STANDS_IN.get(name, ())}:
                what = self._rules.tree.probes[name].asks.rstrip(".")
                yield Unseen(what=what, reason="not_given", detail="nothing was given to ask", remedy=remedy)
        for check in (*self._first.mechanism, *self._first.requires):
            if check.answer.value == "unknown":
                word = self._first.confidence.replace("_", " ")
                yield Unseen(
                    what=f"whether {check.says}",
                    reason="not_given",
                    detail=f"the verdict stays at {word} without it",
                    remedy=short(check.answer.because),
                )
        for check in self._first.shows:
            if check.answer.value == "unknown":
                yield Unseen(
                    what=check.says,
                    reason="not_given",
                    detail="the verdict stands without it",
                    remedy=short(check.answer.because),
                )

    def _unmapped_gpus(self) -> Iterator[Unseen]:
        """Where there are GPUs and nobody tells whose, or not all."""
        if self._gpus is None and has_gpus(self._incident):
            gone = next((e.missing for e in self._snapshot.evidence if e.id == "platform/gpu_holders"), None)
            yield Unseen(
                what="which pod holds which GPU",
                reason=gone.reason if gone else "not_given",
                detail=short(gone.detail) if gone else "no source tells it of these pods",
                remedy=gone.remedy
                if gone
                else "give --prometheus URL of one that scrapes triton-gpu-agent or dcgm-exporter",
            )
        elif self._gpus is not None and (pods := unmapped_pods(self._incident)):
            yield Unseen(
                what=f"which GPU {names(pods)} {'holds' if len(pods) == 1 else 'hold'}",
                reason="no_series",
                detail="no source tells it, and of others it is told",
                remedy="run triton-gpu-agent, or dcgm-exporter with --kubernetes, on all GPU nodes, and scrape it",
            )

    def _warnings(self) -> Iterator[Unseen]:
        warned = {
            facts.warnings[0]: evidence.source
            for evidence, facts in self._incident.facts(Ranges)
            if facts.warnings
        }
        for warning, source in warned.items():
            yield Unseen(
                what=source,
                reason="truncated",
                detail=short(warning),
                remedy="the answer may be partial: look at what the source says of its stores",
            )

    def _cut_logs(self) -> Iterator[Unseen]:
        cut = [one.source for one, log in self._incident.facts(LogExcerpt) if log.cut]
        if cut:
            yield Unseen(
                what=names(cut),
                reason="truncated",
                detail="more was written since the window began than was read: loads may be missing",
                remedy="ask with a shorter --window, or read the log where it is archived and give it as --log FILE",
            )

    def _told(self, evidence_id: str) -> str:
        measure = evidence_id.partition("/")[2].partition("/")[0].partition(":")[0]
        row = self._rules.measures.get(measure)
        return row.says if row else evidence_id

    def _actions(self, leaf: Leaf) -> Iterator[Mitigation]:
        for action in leaf.actions:
            if not action.fits(self._figures):
                continue
            yield Mitigation(
                do=fill(action.do, self._figures),
                command=command(action.command, self._figures),
                undo=fill(action.undo, self._figures),
                blast_radius=fill(action.blast_radius, self._figures),
                verify=fill(action.verify, self._figures),
                not_if=fill(action.not_if, self._figures),
            )

    def _timeline(self) -> Iterator[Moment]:
        moments = [(c.at, c.what, c.evidence[0]) for c in self._incident.changes]
        if self._incident.onset and self._incident.onset.ended:
            source = self._incident.read(self._incident.symptom).evidence
            moments.append((self._incident.onset.ended.at, "it falls back", source[0]))
        moments.sort()
        for at, what, source_id in _nearest(
            moments, self._incident.onset.onset.at if self._incident.onset else None
        ):
            yield Moment(at=clock(at), what=short(what, 200), evidence=source_id)

    def _freeze(self) -> str | None:
        for _, rollouts in self._incident.facts(Rollouts):
            return freeze_command(rollouts, self._snapshot.asked.namespace) or None
        return None

    def _onset(self) -> Onset | None:
        found = self._incident.onset
        if found is None:
            return None
        says = self._incident.quantities[self._incident.symptom].says
        return Onset(
            at=found.onset.at, earliest=found.onset.earliest, latest=found.onset.latest, of=f"{says} rose"
        )


_STANDS_IN = {"triton": ("capture", "triton_pods"), "capture": ("triton",), "placements": ("pod",)}
_REMEDIES = {
    "triton": "give --prometheus URL: it has the history",
    "gateway": "give --prometheus URL of a Prometheus that scrapes the gateway",
    "placements": "give deploy/NAME or -l SELECTOR, and rights to list pods",
    "rollouts": "give deploy/NAME, and rights to list replicasets",
    "log": "give deploy/NAME, and rights to read pods' logs; or the server's log as --log FILE",
    "settings": "give --triton URL of a live server",
    "statistics": "give --triton URL of a live server",
}


def clock(at: float) -> str:
    """UTC, to the second; a number that is no time of ours as it is."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at:g} s"


def _nearest(moments: Sequence[tuple[float, str, str]], onset: float | None) -> list[tuple[float, str, str]]:
    if len(moments) <= _MAX_TIMELINE:
        return list(moments)
    middle = onset if onset is not None else moments[-1][0]
    return sorted(sorted(moments, key=lambda moment: abs(moment[0] - middle))[:_MAX_TIMELINE])
