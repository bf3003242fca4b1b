"""Incidents and reports as values for tests."""

import msgspec

from triage.oncall.incident import Alert, Incident
from triage.report import (
    Alternative,
    Chart,
    Curve,
    EvidenceLine,
    Fact,
    Mitigation,
    Moment,
    PathStep,
    Report,
    Unseen,
    VerdictView,
)

NOW = 1_796_000_000.0


def report(
    category: str = "runtime_version",
    confidence: str = "likely",
    *,
    leaf: str = "runtime-version",
    headline: str = "",
) -> Report:
    """With one of everything."""
    return msgspec.convert(
        Report(
            schema="triton-ops/triage-report/v1",
            tree="load-failure",
            tree_sha256="0" * 64,
            signatures_sha256="1" * 64,
            asked={"tree": "load-failure", "target": "deployment/web", "namespace": "prod"},
            collected_at="2026-11-30T02:41:00Z",
            took_seconds=1.5,
            headline=headline or "FIX resnet50 (a version does not fit): Install torch. LIKELY.",
            verdict=VerdictView(
                category=category,
                confidence=confidence,  # type: ignore[arg-type]
                leaf=leaf,
                model="resnet50",
                action="Install torch",
                signature="python-module-missing",
            ),
            impact=("2 of 2 pods not ready: web-1, web-2",),
            why=(Fact(text="No module of that name.", evidence=("index",), quote="No module named 'torch'"),),
            against=(),
            alternatives=(),
            unseen=(Unseen(what="events", reason="expired", detail="none", remedy="look in the archive"),),
            actions=(
                Mitigation(
                    do="Install torch",
                    command="kubectl -n prod get pods",
                    undo="",
                    blast_radius="",
                    verify="",
                    not_if="",
                ),
            ),
            models=(),
            timeline=(),
            path=(
                PathStep(
                    node="seen",
                    ask="Did any?",
                    answer="yes",
                    because="1 source answered",
                    evidence=("index",),
                ),
            ),
            evidence=(
                EvidenceLine(
                    id="index",
                    source="Triton",
                    query="POST",
                    command="curl",
                    fetched_at="",
                    got="2 rows",
                    masked=0,
                    sha256="",
                ),
            ),
            masked=0,
        ),
        Report,
        from_attributes=True,
    )


def large_report() -> Report:
    """As a fleet of hundreds of pods and hostile texts could make it."""
    text = "x" * 4000
    small = report()
    return msgspec.structs.replace(
        small,
        impact=(text,) * 40,
        why=tuple(Fact(text=text, evidence=(f"log:{n}",), quote=text) for n in range(3)),
        against=tuple(Fact(text=text) for n in range(30)),
        alternatives=tuple(Alternative(category=f"c{n}", confidence="possible", leaf="l") for n in range(50)),
        unseen=tuple(Unseen(what=f"w{n}", reason="timeout", detail=text, remedy=text) for n in range(300)),
        actions=small.actions * 12,
        timeline=tuple(Moment(at="02:41", what=text, evidence="log") for n in range(20)),
        path=small.path * 200,
        evidence=tuple(msgspec.structs.replace(small.evidence[0], id=f"log:{n}") for n in range(800)),
        charts=tuple(
            Chart(
                title=f"t{n}",
                unit="ms",
                start=NOW,
                step=15.0,
                curves=tuple(
                    Curve(label=f"c{m}", values=tuple(float(v) for v in range(480))) for m in range(6)
                ),
            )
            for n in range(5)
        ),
    )


INCIDENT = Incident(
    name="prod-web-load-failure-1130-0241-4f2a9c",
    namespace="prod",
    workload="deployment/web",
    tree="load-failure",
    model="resnet50",
    opened_at=NOW,
    first_severity="critical",
    alerts=(
        Alert(
            fingerprint="f1",
            name="TritonModelUnavailable",
            severity="critical",
            starts_at=NOW - 60,
            summary="resnet50 is away",
        ),
    ),
    work="done",
    report=report(),
    report_at=NOW + 2.5,
)
