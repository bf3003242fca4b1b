"""A report of what moved in a few words: charts of a few values, each a minute apart."""

from triage.report import SCHEMA, Chart, Curve, EvidenceLine, Mark, Onset, Report, VerdictView

START = 1785463200.0  # 2026-07-31 02:00:00 UTC
ONSET = Onset(at=START + 190, earliest=START + 160, latest=START + 220, of="time in Triton")


def chart(
    *curves: tuple[float | None, ...], unit: str = "ms", marks: tuple[Mark, ...] = (), **more: object
) -> Chart:
    named = tuple(Curve(label=f"pod-{number}", values=values) for number, values in enumerate(curves, 1))
    told = {
        "title": "Time in Triton",
        "start": START,
        "step": 60.0,
        "evidence": ("triton/request_p99",),
        **more,
    }
    return Chart(unit=unit, curves=named, marks=marks, **told)  # type: ignore[arg-type]


def change(minute: float, what: str) -> Mark:
    return Mark(at=START + 60 * minute, kind="change", what=what)


def source(id: str) -> EvidenceLine:
    return EvidenceLine(
        id=id,
        source="Prometheus",
        query="up",
        command="curl up",
        fetched_at="02:10:00",
        got="1 series",
        masked=0,
        sha256="0" * 64,
    )


def moved(*charts: Chart, **more: object) -> Report:
    told: dict[str, object] = {
        "schema": SCHEMA,
        "tree": "p99",
        "tree_sha256": "1" * 64,
        "signatures_sha256": "2" * 64,
        "asked": {"tree": "p99", "target": "deploy/llm"},
        "collected_at": "2026-07-31T02:10:00Z",
        "took_seconds": 4.0,
        "headline": "SCALE OUT llm: too few instances. LIKELY.",
        "verdict": VerdictView(category="too_few_instances", confidence="likely", leaf="too-few-instances"),
        "evidence": (source("triton/request_p99"),),
        "masked": 0,
        "onset": ONSET,
        "charts": charts,
        **dict.fromkeys(
            ("impact", "why", "against", "alternatives", "unseen", "actions", "models", "timeline", "path"),
            (),
        ),
        **more,
    }
    return Report(**told)  # type: ignore[arg-type]
