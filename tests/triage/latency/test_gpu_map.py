"""Who holds which GPU, who shares it and since when; the map of it in the report."""

import msgspec
import pytest

from tests.triage.latency.evidence import (
    Part,
    measured,
    nothing_of,
    placed,
    platform,
    rules,
    served,
    snapshot,
    steady,
    stepped,
    triton,
)
from tests.triage.latency.gpus import (
    FELL,
    OURS,
    SLOW,
    clock,
    counted,
    gpu,
    held_down,
    holds,
    lost,
    reason,
    told,
    watched,
)
from triage.cluster_views import PodPlacement
from triage.latency.figures import figures
from triage.latency.predicates.gpu_errors import gpu_errors_seen
from triage.latency.predicates.gpus import a_clock_fell
from triage.latency.predicates.neighbours import gpu_neighbour_seen
from triage.oncall.shorten import shorten
from triage.render_html import render_html
from triage.render_text import render_text
from triage.report_of import report_of


def test_nobody_else_holds_it_only_where_the_agent_sees_all_holders() -> None:
    assert gpu_neighbour_seen(told(*OURS)).value == "unknown"
    by_memory = platform("gpu_device_memory_used", steady(1, 120), **gpu(1, namespace="prod", pod="a"))
    unread = nothing_of("platform/gpu_holders")
    assert gpu_neighbour_seen(told(by_memory, watched(1), unread)).value == "unknown"
    answer = gpu_neighbour_seen(told(*OURS, watched(1), watched(2)))
    assert (answer.value, answer.because) == (
        "no",
        "nobody else holds GPU 1 of node n1 (GPU-1), GPU 2 of node n2 (GPU-2)",
    )


ENDED = platform("gpu_holders", steady(1, 90) + steady(None, 30), **gpu(1, namespace="prod", pod="a"))


@pytest.mark.parametrize(
    "parts",
    [
        [*OURS, watched(1), watched(2), lost("n1", "", "pod_resources_unreachable")],
        [ENDED, holds(2, "b"), watched(1), watched(2)],
    ],
    ids=["no kubelet", "no agent"],
)
def test_that_nobody_else_holds_it_is_not_said_of_what_the_agent_could_not_see(parts: list[Part]) -> None:
    assert gpu_neighbour_seen(told(*parts)).value == "unknown"


def test_a_neighbour_is_not_said_to_have_come_where_nobody_looked_before() -> None:
    def since(first: int, namespace: str, pod: str) -> Part:
        values = steady(None, first) + steady(1, 120 - first)
        return platform("gpu_holders", values, **gpu(1, namespace=namespace, pod=pod))

    came = gpu_neighbour_seen(told(holds(1, "a"), since(81, "data", "job-7")))
    assert came.because == "data/job-7 holds GPU 1 of node n1 (GPU-1) too, and did not before"
    seen_first = gpu_neighbour_seen(told(since(81, "prod", "a"), since(81, "data", "job-7")))
    assert seen_first.because == "data/job-7 holds GPU 1 of node n1 (GPU-1) too"


@pytest.mark.parametrize(
    ("ours", "theirs", "smear", "value", "others"),
    [
        ((0, 60), (70, 120), 0.0, "no", ()),
        ((20, 120), (0, 19), 0.0, "no", ()),
        ((0, 84), (82, 120), 120.0, "no", ()),  # which is the window of a value, and no time together
        ((0, 90), (82, 120), 120.0, "yes", ("data/job-7",)),
    ],
    ids=["taken after", "given before", "still told of", "together"],
)
def test_who_held_the_gpu_at_another_time_does_not_share_it(
    ours: tuple[int, int], theirs: tuple[int, int], smear: float, value: str, others: tuple[str, ...]
) -> None:
    def held(place: tuple[int, int], namespace: str, pod: str) -> Part:
        values = [1.0 if place[0] <= step < place[1] else None for step in range(120)]
        return measured("platform/gpu_holders", values, gpu(1, namespace=namespace, pod=pod), smear=smear)

    parts = [held(ours, "prod", "a"), held(theirs, "data", "job-7"), watched(1)]
    answer = gpu_neighbour_seen(told(*parts))
    assert ("gpu_neighbour" in figures(told(*parts))) == (value == "yes")
    assert answer.value == value
    if value == "no":
        assert (answer.value, answer.because) == (
            "no",
            "nobody else held GPU 1 of node n1 (GPU-1) while these pods did",
        )
    report = report_of(snapshot(*SLOW, *parts, namespace="prod"), rules())
    assert report.gpus is not None
    (row,) = report.gpus.rows
    assert row.others == others
    assert any("data/job-7" in note and "not surely at the same time" in note for note in row.notes) == (
        not others
    )


def test_a_gpu_that_was_given_up_is_not_waited_for() -> None:
    used = platform("gpu_device_memory_used", steady(2**30, 120), **gpu(1))
    assert gpu_neighbour_seen(told(ENDED, used, holds(2, "b"), watched(1), watched(2))).value == "no"


def test_a_gpu_that_was_split_within_the_window_was_held_as_a_whole_before() -> None:
    split = {"gpu_instance": "7", "mig_profile": "1g.10gb"}
    whole = platform("gpu_holders", steady(1, 60) + steady(None, 60), **gpu(1, namespace="prod", pod="a"))
    report = report_of(snapshot(*SLOW, whole, holds(1, "b", **split), namespace="prod"), rules())
    assert report.gpus is not None
    assert [(row.instance, row.pods) for row in report.gpus.rows] == [("", ("a",)), ("7", ("b",))]


def test_who_left_the_gpu_is_told_with_the_time() -> None:
    left = platform("gpu_holders", steady(1, 20) + steady(None, 100), **gpu(1, namespace="data", pod="job-7"))
    report = report_of(snapshot(*SLOW, *OURS, left, namespace="prod"), rules())
    assert report.gpus is not None
    assert report.gpus.rows[0].others == ("data/job-7 until 11:16:10 UTC",)


def test_the_report_names_gpu_reason_time_and_map() -> None:
    found = snapshot(
        *SLOW,
        *FELL,
        held_down(1, 0, 0.9),
        reason(1, "hw_thermal_slowdown", 0, 0.9),
        holds(1, "notebook-0", "data"),
        *counted(1, 79, 79),
        platform("gpu_device_memory_used", steady(70 * 2**30, 120), **gpu(1)),
        platform("gpu_device_memory_free", steady(10 * 2**30, 120), **gpu(1)),
        namespace="prod",
        target="deploy/web",
    )
    report = report_of(found, rules())
    assert report.verdict.category == "gpu_clocks"
    assert report.actions[0].do.startswith("Move the pods off GPU 1 of node n1 (GPU-1)")
    assert report.actions[0].command == "kubectl cordon n1"
    assert any("hw_thermal_slowdown 90 %" in fact.text for fact in report.why)
    drawn = {chart.title: [curve.label for curve in chart.curves] for chart in report.charts}
    assert drawn["the GPU's clock"] == ["GPU 1 of node n1 (GPU-1)"]
    assert report.gpus is not None
    first, second = report.gpus.rows
    assert (first.pods, first.others, first.used_bytes, first.total_bytes) == (
        ("a",),
        ("data/notebook-0",),
        70 * 2**30,
        80 * 2**30,
    )
    assert first.notes == (
        "its clock fell: 1980 MHz before, 900 MHz during",
        "XID 79 (GPU has fallen off the bus) at 11:46:10 UTC",
    )
    assert (second.pods, second.used_bytes) == (("b",), None)
    line = "n1, GPU 1 (GPU-1): a; shared with data/notebook-0; 70.0 of 80.0 GiB used; its clock fell:"
    assert line in " ".join(render_text(report, width=400).split())
    assert "70.0 of 80.0 GiB used" in render_html(report)


def test_of_two_hundred_pods_the_gpus_in_question_are_shown_and_the_others_counted() -> None:
    many = [holds(n, f"p{n}") for n in range(1, 201)]
    pods = [served(pod=f"p{n}", infer=stepped(8, 30) if n >= 150 else 8.0) for n in range(1, 201)]
    report = report_of(snapshot(*pods, *many, clock(160, 1980, 900), namespace="prod"), rules())
    assert report.gpus is not None
    assert (len(report.gpus.rows), report.gpus.more, report.gpus.pods) == (8, 192, 200)
    assert [row.pods for row in report.gpus.rows[:2]] == [
        ("p160",),
        ("p150",),
    ]  # with a note, then those that became slow
    assert "192 more GPUs left out; 200 pods hold 200 GPUs" in render_text(report)


def test_where_nobody_tells_whose_a_gpu_is_that_is_one_line_of_what_could_not_be_seen() -> None:
    report = report_of(snapshot(*SLOW, clock(1, 1980, 1980), nothing_of("platform/gpu_holders")), rules())
    assert report.gpus is None
    assert [one.what for one in report.unseen].count("which pod holds which GPU") == 1
    without = report_of(snapshot(*SLOW), rules())
    assert "which pod holds which GPU" not in {one.what for one in without.unseen}


def test_pods_that_no_exporter_names_are_missing_from_the_map_with_a_word() -> None:
    asks = [PodPlacement(pod, "n1", gpus=1, started_at=1.0) for pod in ("a", "b", "c")]
    waits = PodPlacement("d", gpus=1)  # for a node
    report = report_of(snapshot(*SLOW[:2], placed(*asks, waits), holds(1, "a"), namespace="prod"), rules())
    assert report.gpus is not None
    assert "which GPU b, c hold" in {one.what for one in report.unseen}


def test_a_lost_gpu_is_marked_in_the_map() -> None:
    report = report_of(snapshot(*SLOW, *OURS, lost("n1", "1"), namespace="prod"), rules())
    assert report.gpus is not None
    assert [row.notes for row in report.gpus.rows] == [("triton-gpu-agent reports gpu_lost",), ()]


def test_without_an_exporter_the_tritons_own_pages_tell_which_gpu_a_pod_sees() -> None:
    used = triton("gpu_memory_used", steady(3 * 2**30, 120), gpu="GPU-1", pod="a")
    total = triton("gpu_memory_total", steady(16 * 2**30, 120), gpu="GPU-1", pod="a")
    report = report_of(snapshot(*SLOW, used, total, namespace="prod"), rules())
    assert report.gpus is not None
    (row,) = report.gpus.rows
    assert (row.uuid, row.pods, row.used_bytes, row.total_bytes) == ("GPU-1", ("a",), 3 * 2**30, 16 * 2**30)
    assert row.evidence == ("triton/gpu_memory_used",)
    assert "3.0 of 16.0 GiB used" in render_text(report)


def test_a_server_whose_own_page_ended_holds_its_gpu_as_long_as_the_exporter_says() -> None:
    page = triton("gpu_memory_used", steady(2**30, 90) + steady(None, 30), gpu="GPU-1", pod="a")
    report = report_of(snapshot(*SLOW, holds(1, "a"), page, namespace="prod"), rules())
    assert report.gpus is not None
    assert report.gpus.rows[0].pods == ("a",)


def test_a_hostile_name_stays_text() -> None:
    name = '<img src=x>"; rm -rf / `id` \x1b[31m'
    found = snapshot(*SLOW, holds(1, "a"), holds(1, name, name), clock(1, 1980, 900), namespace="prod")
    report = report_of(found, rules())
    assert report.gpus is not None
    assert "<img" not in render_html(report)
    assert "\x1b[31m" not in render_text(report)
    assert all(name not in (action.command or "") for action in report.actions)


def test_a_pod_of_another_namespace_and_the_same_name_is_another() -> None:
    """Pod a of namespace dev holds GPU 2 beside b, which stayed fast; and nobody tells where a of prod is."""
    parts = [holds(2, "b"), holds(2, "a", "dev"), clock(2, 1980, 900)]
    answer = a_clock_fell(told(*parts))
    assert answer.value == "unknown"
    assert answer.because.endswith("of what a runs on, no source tells it")
    errors = platform("gpu_xid_count", stepped(0, 1), **gpu(2, xid="31", namespace="dev", pod="a"))
    seen = gpu_errors_seen(told(*parts, watched(2), errors))
    assert seen.because.endswith(", while dev/a held it")


def test_the_map_is_cut_before_a_record_is_too_large() -> None:
    """It does not fit with the map and fits without it, so that no text of it need be cut."""
    most = 6000
    others = [holds(n, f"{'long' * 50}-{n}-{m}", "else") for n in range(1, 9) for m in range(6)]
    own = [holds(n, pod) for n in range(1, 9) for pod in ("a", "b")]
    report = report_of(snapshot(*SLOW, *own, *others, namespace="prod"), rules())
    assert report.gpus is not None
    told = shorten(report, most)
    assert told.gpus is None
    assert (told.why, told.verdict) == (report.why, report.verdict)
    assert len(msgspec.json.encode(told)) <= most
    assert len(msgspec.json.encode(msgspec.structs.replace(told, gpus=report.gpus))) > most
