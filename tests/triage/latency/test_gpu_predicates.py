"""Which GPU became slower, why and since when; its errors; whose it is; and what is said where that is not known."""

import msgspec
import pytest

from tests.triage.latency.evidence import (
    Part,
    incident,
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
from triage.cluster_views import PodPlacement
from triage.latency.figures import figures
from triage.latency.incident import Incident
from triage.latency.predicates.computing import gpu_busier
from triage.latency.predicates.failing import a_gpu_is_full
from triage.latency.predicates.gpu_errors import gpu_errors_seen
from triage.latency.predicates.gpus import a_clock_fell, gpu_held_down
from triage.latency.predicates.neighbours import gpu_neighbour_seen
from triage.oncall.shorten import shorten
from triage.render_html import render_html
from triage.render_text import render_text
from triage.report_of import report_of

SLOW: list[Part] = [
    served(pod="a", infer=stepped(8, 30)),
    served(pod="b"),
    placed(PodPlacement("a", "n1"), PodPlacement("b", "n2")),
]
"""Pod a, on node n1, became slow at step 80."""


def gpu(number: int, **more: str) -> dict[str, str]:
    return {"gpu": f"GPU-{number}", "gpu_index": str(number), "node": f"n{number}", **more}


def holds(number: int, pod: str, namespace: str = "prod", **more: str) -> Part:
    return platform("gpu_holders", steady(1, 120), **gpu(number, namespace=namespace, pod=pod, **more))


def clock(number: int, before: float, during: float, at: int = 80, **more: str) -> Part:
    return platform("gpu_clock", steady(before, at) + steady(during, 120 - at), **gpu(number, **more))


def told(*parts: Part) -> Incident:
    return incident(*SLOW, *parts, namespace="prod")


OURS = [holds(1, "a"), holds(2, "b")]
FELL = [*OURS, clock(1, 1980, 900), clock(2, 1980, 1980)]


def test_the_gpu_whose_clock_fell_is_named_with_the_time_though_the_mean_of_all_hardly_moved() -> None:
    answer = a_clock_fell(told(*FELL, *(clock(n, 1980, 1980) for n in range(3, 12))))
    assert (answer.value, answer.because) == (
        "yes",
        "GPU 1 of node n1 (GPU-1): 1980 MHz before, 900 MHz during, since 11:46:40",
    )
    assert figures(told(*FELL))["slow_gpu"] == "GPU 1 of node n1 (GPU-1)"
    assert figures(told(*FELL))["gpu_node"] == "n1"


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([*OURS, clock(1, 1980, 1980), clock(2, 1980, 1980)], "no", "the GPU's clock: 1980 MHz before, 1980 MHz during"),
        ([*OURS, clock(1, 1980, 900, at=100), clock(2, 1980, 1980)], "no", "the clock fell only when it was slow already: "),
        ([*OURS, clock(1, 1980, 1980), clock(2, 1980, 900)], "no", "the GPU's clock: "),  # b on it is as fast as it was
        ([*OURS, clock(1, 1980, 1980), holds(3, "c"), clock(3, 1980, 900)], "no", "the GPU's clock: "),  # c serves another
        ([clock(1, 1980, 900), clock(2, 1980, 1980)], "unknown", "the GPU's clock: "),  # whose they are, nobody tells
        ([clock(1, 1980, 900), clock(2, 1980, 800)], "yes", "GPU 1 of node n1"),  # all of the nodes'
        ([*OURS, clock(2, 1980, 1980)], "unknown",
         "the GPU's clock: 1980 MHz before, 1980 MHz during; of what a runs on, no source tells it"),
        ([clock(2, 1980, 1980)], "unknown", "the GPU's clock: 1980 MHz before, 1980 MHz during; of what a runs on"),  # on n1
        ([], "unknown", "no source tells the clock of the GPU's SMs"),
        ([nothing_of("platform/gpu_clock")], "unknown", "source of platform/gpu_clock: timeout"),
    ],
    ids=["none", "too late", "others' pods", "another model's", "whose", "all", "not of the slow pod",
         "not of its node", "not asked", "no answer"],
)  # fmt: skip
def test_a_clock_that_fell_counts_before_the_onset_and_under_pods_of_ours_that_became_slow(
    parts: list[Part], value: str, because: str
) -> None:
    answer = a_clock_fell(told(*parts))
    assert answer.value == value
    assert answer.because.startswith(because)


def held_down(number: int, before: float, during: float) -> Part:
    return platform("gpu_throttled", stepped(before, during), **gpu(number))


def reason(number: int, name: str, before: float, during: float) -> Part:
    return platform("gpu_throttle_reasons", stepped(before, during), **gpu(number, reason=name))


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([held_down(1, 0, 0.9), reason(1, "hw_thermal_slowdown", 0, 0.9), reason(1, "gpu_idle", 0.3, 0.1)], "yes",
         "GPU 1 of node n1 (GPU-1): 0 % before, 90 % during of the time (reasons: hw_thermal_slowdown 90 %)"),
        ([held_down(1, 0, 0.9)], "yes", "GPU 1 of node n1 (GPU-1): 0 % before, 90 % during of the time"),
        ([held_down(1, 0, 0), reason(1, "applications_clocks_setting", 0, 1)], "no",
         "share of time in which the GPU was throttled: 0 % before, 0 % during (reasons: applications_clocks_setting 100 %)"),
        ([held_down(2, 0, 0.9)], "unknown", "too few points of the share of time in which"),
        ([], "unknown", "no source tells the share of time in which power or heat held the GPU's clock down"),
    ],
    ids=["reasons", "no reasons", "a setting", "another GPU", "not asked"],
)  # fmt: skip
def test_what_held_the_clock_down_is_told_by_its_reason(parts: list[Part], value: str, because: str) -> None:
    answer = gpu_held_down(told(*FELL, *parts))
    assert answer.value == value
    assert answer.because.startswith(because)


def test_a_gpu_that_idles_since_its_pod_is_asked_for_nothing_made_no_request_slower() -> None:
    unasked = served(pod="a", rate=stepped(20, 0), infer=stepped(8, None))
    parts = [unasked, served(pod="b", infer=stepped(8, 30)), *OURS, clock(1, 1980, 210), clock(2, 1980, 1980)]
    assert a_clock_fell(incident(*parts, namespace="prod")).value == "no"


def test_that_no_gpu_was_throttled_is_not_said_for_the_one_of_the_slow_pod_that_nobody_tells_of() -> None:
    parts = [*OURS, clock(1, 1980, 1980), clock(2, 1980, 1980), held_down(2, 0, 0)]
    assert gpu_held_down(told(*parts)).value == "unknown"


def test_a_split_gpu_s_clock_is_of_the_whole_and_its_holders_are_the_instances() -> None:
    parts = [
        holds(1, "a", gpu_instance="7", mig_profile="1g.10gb"),
        holds(2, "b"),
        clock(1, 1980, 900),
        clock(2, 1980, 1980),
    ]
    assert a_clock_fell(told(*parts)).value == "yes"


NOT_TOLD = "no source tells the XID errors of {} while it lasts: scrape triton-gpu-agent or dcgm-exporter on all GPU nodes"
OF_SECOND = NOT_TOLD.format("GPU 2 of node n2 (GPU-2)")


def counted(number: int, code: int, at: int, **more: str) -> list[Part]:
    values = steady(None, at) + steady(1, 120 - at)
    count = platform("gpu_xid_count", values, **gpu(number, xid=str(code), **more))
    return [count, watched(number)]


def watched(number: int, **more: str) -> Part:
    return platform("gpu_xid_watched", steady(1, 120), **gpu(number, **more))


def lost(node: str, index: str, problem: str = "gpu_lost", until: int = 120) -> Part:
    values = steady(None, 20) + steady(1, until - 20) + steady(None, 120 - until)
    return platform("gpu_agent_problem", values, node=node, problem=problem, gpu_index=index)


def last_code(number: int, before: float, during: float | None) -> Part:
    return platform("gpu_xid", stepped(before, during), **gpu(number))


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        (counted(1, 79, 79), "yes", "GPU 1 of node n1 (GPU-1): XID 79 (GPU has fallen off the bus) at 11:46:10 UTC"),
        ([last_code(1, 0, 31)], "yes",
         "GPU 1 of node n1 (GPU-1): XID 31 (GPU memory page fault, an error of what ran on it) at 11:46:40 UTC"),
        ([watched(1), watched(2), lost("n1", "1")], "yes", "node n1: triton-gpu-agent reports gpu_lost (GPU 1)"),
        ([last_code(1, 999, 999)], "unknown",
         "XID 999 before the first time that it was measured; a last code does not tell whether it came again"),
        ([*counted(1, 79, 0), watched(2)], "no", "no XID error of these GPUs was reported"),  # told by the map
        ([*counted(1, 31, 79, namespace="data", pod="job-7"), watched(2)], "yes",
         "GPU 1 of node n1 (GPU-1): XID 31 (GPU memory page fault, an error of what ran on it) at 11:46:10 UTC,"
         " while data/job-7 held it"),
        ([watched(1), watched(2), lost("n1", "", "pod_resources_forbidden")], "no", "no XID error of these GPUs was reported"),
        ([watched(1), watched(2), *(lost("n1", str(index)) for index in (0, 2, 3))], "no",
         "no XID error of these GPUs was reported"),
        ([watched(1), watched(2), lost("n1", "1", "no_driver", until=40)], "no", "no XID error of these GPUs was reported"),
        ([watched(1), watched(2), lost("n1", "1", "nvml_hangs", until=100)], "yes",
         "node n1: triton-gpu-agent reported nvml_hangs (GPU 1) until 11:56:10 UTC"),
        ([last_code(1, 0, 0), last_code(2, 0, None)], "unknown", OF_SECOND),
        ([watched(1), platform("gpu_xid_watched", stepped(1, 0), **gpu(2))], "unknown", OF_SECOND),
        ([watched(1), platform("gpu_xid_watched", steady(1, 90) + steady(None, 30), **gpu(2))], "unknown",
         OF_SECOND),
        ([watched(1), watched(2), placed(PodPlacement("c", "n9", gpus=1, started_at=1.0))],
         "unknown", NOT_TOLD.format("pod c's GPU")),
        ([watched(1), watched(2)], "no", "no XID error of these GPUs was reported"),
        ([last_code(1, 0, 0), last_code(2, 0, 0)], "no", "no XID error of these GPUs was reported"),
        ([watched(1)], "unknown", OF_SECOND),
        ([last_code(1, 0, 0)], "unknown", OF_SECOND),
    ],
    ids=["counter", "last code", "lost", "before", "counted before", "another's", "the agent's own sight",
         "others lost", "ended before", "ended meanwhile", "dcgm ended", "watch given up", "watch ended", "a pod of no map",
         "none, watched", "none, by dcgm", "half", "half, by dcgm"],
)  # fmt: skip
def test_errors_of_the_driver_are_told_with_what_they_mean(
    parts: list[Part], value: str, because: str
) -> None:
    answer = gpu_errors_seen(told(*OURS, *parts))
    assert (answer.value, answer.because) == (value, because)


def test_an_error_on_one_of_a_node_s_gpus_is_not_ours_where_nobody_tells_whose_they_are() -> None:
    of_nodes = [clock(1, 1980, 1980), clock(2, 1980, 1980)]
    assert gpu_errors_seen(told(*of_nodes, last_code(1, 0, 79))).value == "unknown"
    assert gpu_errors_seen(told(*of_nodes, last_code(1, 0, 79), last_code(2, 0, 79))).value == "yes"


def test_an_error_after_the_agent_began_anew_is_an_error() -> None:
    """Its counters begin at zero then, and 1 after 3 is no fewer than none."""
    values = steady(3, 60) + steady(1, 60)
    count = platform("gpu_xid_count", values, **gpu(1, xid="79"))
    answer = gpu_errors_seen(told(*OURS, count, watched(1), watched(2)))
    assert (answer.value, "XID 79" in answer.because) == ("yes", True)


@pytest.mark.parametrize("code", ["9" * 5000, "\u0663", "79x", ""])
def test_a_label_that_is_no_code_is_no_error(code: str) -> None:
    count = platform("gpu_xid_count", stepped(0, 1), **gpu(1, xid=code))
    assert gpu_errors_seen(told(*OURS, count, watched(1), watched(2))).value == "no"


@pytest.mark.parametrize(
    "counted",
    [
        steady(3, 100) + steady(1, 20),
        steady(1, 90) + steady(None, 10) + steady(1, 20),
        steady(2, 90) + steady(None, 10) + steady(1, 20),
    ],
    ids=["at once", "as many", "fewer"],
)
def test_an_error_that_came_after_the_agent_began_anew_is_heard(counted: list[float | None]) -> None:
    xid = platform("gpu_xid_count", counted, **gpu(1, xid="79"))
    answer = gpu_errors_seen(told(*OURS, watched(1), watched(2), xid))
    assert answer.value == "yes"
    assert answer.because.startswith(
        "GPU 1 of node n1 (GPU-1): XID 79 (GPU has fallen off the bus) at 11:56:40"
    )


def test_an_agent_that_is_away_for_a_while_brings_no_error_of_its_own() -> None:
    away = steady(1, 90) + steady(None, 5) + steady(1, 25)
    seen = platform("gpu_xid_watched", away, **gpu(1))
    xid = platform("gpu_xid_count", away, **gpu(1, xid="79"))
    assert gpu_errors_seen(told(*OURS, seen, watched(2), xid)).value != "yes"


def test_an_error_of_another_mig_instance_is_none_of_ours() -> None:
    ours = holds(1, "a", gpu_instance="7", mig_profile="1g.10gb")
    other = counted(1, 31, 79, gpu_instance="8", namespace="data", pod="job-7")
    assert gpu_errors_seen(told(ours, *other)).value == "no"


def test_without_a_cluster_nobody_can_tell_that_there_is_no_gpu() -> None:
    assert gpu_errors_seen(incident(served())).value == "unknown"


def test_a_fleet_without_gpus_is_not_told_of_what_it_cannot_see_of_them() -> None:
    assert gpu_errors_seen(told()).value == "no"


def test_pods_with_a_resource_claim_may_have_a_gpu_that_nobody_tells_of() -> None:
    claims = placed(PodPlacement("a", "n1", gpus=None, started_at=1.0))
    assert gpu_errors_seen(incident(served(pod="a"), claims, namespace="prod")).value == "unknown"


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


def test_of_a_gpu_that_idled_before_it_is_not_said_that_no_source_tells_how_busy_it_is() -> None:
    answer = gpu_busier(told(platform("gpu_sm_busy", stepped(0, 0.9), **gpu(1))))
    assert answer.value == "unknown"
    assert answer.because.startswith("share of time in which the GPU's multiprocessors worked: 0")
    assert gpu_busier(told(platform("gpu_sm_busy", stepped(0.1, 0.9), **gpu(1)))).value == "yes"


def filled(number: int, share: float) -> list[Part]:
    parts = (("used", share), ("free", 1 - share))
    return [platform(f"gpu_device_memory_{name}", steady(part, 120), **gpu(number)) for name, part in parts]


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([*OURS, filled(1, 0.99), filled(2, 0.5)], "yes", "99% of the GPU's memory is in use in GPU 1 of node n1 (GPU-1)"),
        ([*OURS, filled(1, 0.5), filled(2, 0.5)], "no", "every GPU has memory left"),
        ([*OURS, filled(2, 0.5)], "unknown", "no source tells how full GPU 1 of node n1 (GPU-1) is while it lasts"),
        ([filled(1, 0.99), filled(2, 0.5)], "unknown",
         "memory is full in GPU 1 of node n1 (GPU-1); whose GPU that is, no source tells"),
        ([filled(1, 0.99), filled(2, 0.99)], "yes", "99% of the GPU's memory is in use in GPU 1 of node n1 (GPU-1)"),
        ([], "unknown", "no source tells the GPU memory in use"),
    ],
    ids=["full", "none", "one not told", "whose", "all of the nodes'", "not told"],
)  # fmt: skip
def test_that_no_gpu_is_full_is_said_only_where_each_is_known(
    parts: list[Part], value: str, because: str
) -> None:
    answer = a_gpu_is_full(told(*parts))
    assert (answer.value, answer.because) == (value, because)
    assert bool(answer.evidence) == (value != "unknown" or "whose" in because)


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
