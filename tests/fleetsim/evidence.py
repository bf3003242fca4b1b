"""Evidence as a probe would have brought it."""

from datetime import UTC, datetime

from tests.fleetsim.fleet import Fleet
from tests.fleetsim.hosts import Pod
from triage.evidence import Evidence, Facts


def evidence_of(
    id: str, probe: str, source: str, facts: Facts, fleet: Fleet, pod: Pod | None = None
) -> Evidence:
    return Evidence(
        id=id,
        probe=probe,
        source=source,
        query=id,
        command=f"ask {id}",
        fetched_at=utc(fleet.end),
        subject=pod.name if pod else "",
        facts=facts,
    )


def utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
