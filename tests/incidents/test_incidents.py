"""The incidents' harness: schedules, what is read back from a run, and that each cause really happens."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.incidents.catalogue import INCIDENTS
from tests.incidents.client import Answer, body
from tests.incidents.evidence import Evidence, Phase
from tests.incidents.exporters import plain_number
from tests.incidents.history import openmetrics
from tests.incidents.incident import RealIncident
from tests.incidents.queues import TOO_FEW_INSTANCES
from tests.incidents.run_incident import CannotRunIncident, run_incident
from tests.incidents.traffic import Arrivals, Stream, schedule
from tests.tritons.install import TritonInstall

DESIGN = Path(__file__).parents[2] / "docs/design/p99.md"


def test_a_schedule_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    streams = [Stream(20), Stream(5, heavy_share=0.5, heavy_ms=300)]
    assert schedule(streams, 10, seed="a") == schedule(streams, 10, seed="a")
    assert schedule(streams, 10, seed="a") != schedule(streams, 10, seed="b")


@pytest.mark.parametrize(
    ("stream", "first"),
    [
        (Stream(4, arrivals=Arrivals.EVEN), [0.0, 0.25, 0.5, 0.75]),
        (Stream(4, arrivals=Arrivals.BURSTS, burst=2), [0.0, 0.0, 0.5, 0.5]),
    ],
)
def test_bursts_have_the_same_rate_as_even_arrivals(stream: Stream, first: list[float]) -> None:
    dues = schedule([stream], 10, seed="a")
    assert (len(dues), [due.at for due in dues[:4]]) == (40, first)


def test_independent_arrivals_keep_their_rate() -> None:
    assert 900 < len(schedule([Stream(10)], 100, seed="a")) < 1100


@pytest.mark.parametrize(
    ("ends", "flags"),
    [
        (True, [(True, False), (False, False), (False, True)]),
        (False, [(True, False), (False, False), (False, False)]),
    ],
)
def test_a_sequence_starts_and_ends_unless_its_client_leaves(
    ends: bool, flags: list[tuple[bool, bool]]
) -> None:
    stream = Stream(3, arrivals=Arrivals.EVEN, sequence_length=3, sequences_end=ends)
    sent = [json.loads(body(due))["parameters"] for due in schedule([stream], 1, seed="a")]
    assert [(each["sequence_start"], each["sequence_end"]) for each in sent] == flags
    assert len({each["sequence_id"] for each in sent}) == 1


def test_a_request_that_is_given_up_counts_with_all_its_waiting(tmp_path: Path) -> None:
    evidence = _evidence(tmp_path, [_answer(due, 0.1) for due in range(8)] + [_answer(8, 5.0, status=None)])
    assert evidence.latency_ms(evidence.baseline, 0.99) == 5000
    assert evidence.latency_ms(evidence.baseline, 0.5) == pytest.approx(100)
    assert evidence.error_share(evidence.baseline) == pytest.approx(1 / 9)


@pytest.mark.parametrize(
    ("values", "increase"),
    [((10, 14, 19), 9), ((10, 14, 3, 5), 9), ((10, None, 19), 9), ((10,), 0)],
    ids=["grows", "restarts at zero", "a scrape fails", "one scrape"],
)
def test_a_counter_that_restarts_never_shrinks(
    tmp_path: Path, values: Sequence[int | None], increase: float
) -> None:
    pages = [
        {"at": at, "error": "refused"}
        if value is None
        else {"at": at, "text": f'a_total{{model="m"}} {value}\n'}
        for at, value in enumerate(values)
    ]
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/web-1.jsonl").write_text("\n".join(map(json.dumps, pages)))
    evidence = _evidence(tmp_path, [])
    assert evidence.increase("a_total", evidence.baseline, model="m") == increase
    assert evidence.increase("a_total", evidence.baseline, model="other") == 0


def test_an_earlier_run_is_the_same_hour_of_a_day_and_of_a_week_ago(tmp_path: Path) -> None:
    """Its first second lies whole days before the first second of this one; what is no number is left out."""
    (tmp_path / "result.json").write_text(json.dumps({"baseline": {"start": 1000.0}}))
    (tmp_path / "placements.json").write_text(json.dumps([{"pod": "web-1", "node": "node-a"}]))
    (tmp_path / "pages").mkdir()
    text = 'nv_inference_count{model="m"} 7\nnv_inference_request_summary_us{model="m",quantile="0.99"} Nan\n'
    (tmp_path / "pages/web-1.jsonl").write_text(json.dumps({"at": 1002.5, "text": text}))
    day, series = 86_400, 'nv_inference_count{model="m",pod="web-1",namespace="incidents",node="node-a"} 7'
    assert openmetrics(tmp_path, 1_000_000.0).splitlines() == [
        f"{series} {1_000_002.5 - day:.3f}",
        f"{series} {1_000_002.5 - 7 * day:.3f}",
        "# EOF",
    ]


@pytest.mark.parametrize(
    ("quantity", "number"), [("600M", 6e8), ("500m", 0.5), ("2", 2.0)], ids=["bytes", "cores", "plain"]
)
def test_limits_are_told_as_numbers(quantity: str, number: float) -> None:
    assert plain_number(quantity) == pytest.approx(number)


def test_ids_are_unique_and_every_label_is_a_leaf() -> None:
    leaves = DESIGN.read_text().split("## Leaves")[1]
    assert len({incident.id for incident in INCIDENTS}) == len(INCIDENTS)
    assert [incident.id for incident in INCIDENTS if f"`{incident.label}`" not in leaves] == []


@pytest.mark.accuracy
@pytest.mark.timeout(180)
async def test_too_few_instances_let_requests_wait(triton_install: TritonInstall, tmp_path: Path) -> None:
    _, result = await run_incident(
        TOO_FEW_INSTANCES, triton_install, tmp_path / "run", baseline_seconds=8, incident_seconds=12
    )
    assert result["proven"], json.dumps(result["checks"], indent=1)


@pytest.mark.accuracy
@pytest.mark.timeout(400)
@pytest.mark.parametrize("incident", INCIDENTS, ids=str)
async def test_the_cause_really_happened(
    incident: RealIncident, triton_install: TritonInstall, tmp_path: Path
) -> None:
    try:
        _, result = await run_incident(incident, triton_install, tmp_path / "run")
    except CannotRunIncident as problem:
        pytest.skip(str(problem))
    assert result["proven"], json.dumps(result["checks"], indent=1)


def _answer(due: float, latency: float, status: int | None = 200) -> Answer:
    return Answer("user", due, due + latency, status)


def _evidence(folder: Path, answers: list[Answer]) -> Evidence:
    return Evidence(folder, Phase(0, 10), Phase(10, 20), tuple(answers), (), (), (), 10)
