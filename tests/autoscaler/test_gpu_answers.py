"""Answers of GPU signals: a pod whose GPU nobody tells is missing, never 0 and never left out; a shared device counts once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.value_view import render_trace
from telemetry.gpu_exporters.devices import Device, DeviceKey, MemoryPoint
from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.pod_state import PodState
from telemetry.prometheus_pages import PodName
from telemetry.rules_dir import rules_dir
from telemetry.target import Phase
from tests.autoscaler.fleet import MEMORY_SIGNAL, NOW, SIGNALS, gpus, pod, row

UTILIZATION = "triton_gpu_utilization"
REMEDIES = {each.name: each.remedies for each in load_gpu_exporters(rules_dir() / "gpu_exporters")}
GIB = float(1 << 30)


def gpu(
    uuid: str,
    *pods: str,
    used: float | None = 1.0,
    usable: float = 4.0,
    busy: float | None = 0.5,
    age: float = 1.0,
    exporter: str = "dcgm-exporter",
    instance: str = "",
    in_parts: bool = False,
    cluster: str = "",
) -> Device:
    """A device that these pods of prod hold, with one sample; `used` and `usable` in GiB."""
    at = NOW - age
    memory = () if used is None else (MemoryPoint(at, used * GIB, usable * GIB),)
    utilization = () if busy is None else ((at, busy),)
    owners = frozenset(PodName("prod", name) for name in pods)
    key = DeviceKey(uuid, instance)
    return Device(key, exporter, "", "n1", cluster, at, owners, in_parts, memory, utilization)


def snapshot(*devices: Device, failure: str | None = None) -> GpuSnapshot:
    return GpuSnapshot(devices, failure, 60.0, REMEDIES)


def held(name: str, limit: int | None = 1, state: PodState | None = None) -> PodState:
    told = state or pod(name, row())
    return replace(told, target=replace(told.target, gpus=limit))


def ask(
    signal: str, found: GpuSnapshot | None, *pods: PodState, selector: str = "", explain: bool = False
) -> Answer:
    asked = parse_selector(selector)
    return evaluate(SIGNALS[signal], pods, asked, Settings(), NOW, gpus=found, explain=explain)


def value(answer: Answer) -> float:
    assert isinstance(answer, Value), answer
    return answer.value


def no_data(answer: Answer) -> tuple[Reason, str]:
    assert isinstance(answer, NoData), answer
    assert len(answer.message) <= 300
    return answer.reason, answer.message


def test_memory_is_a_ratio_of_sums_and_utilisation_a_mean_over_devices() -> None:
    found = snapshot(gpu("g1", "a", used=1, usable=4, busy=0.2), gpu("g2", "b", used=11, usable=12, busy=1.0))
    fleet = held("a"), held("b")
    assert value(ask(MEMORY_SIGNAL, found, *fleet)) == 0.75
    assert value(ask(UTILIZATION, found, *fleet)) == pytest.approx(0.6)
    assert value(ask(UTILIZATION, found, *fleet, selector="workload=w")) == pytest.approx(0.6)


def test_without_the_section_gpu_all_is_as_it_was() -> None:
    """Memory by Triton's own page; utilisation says what would be needed."""
    fleet = pod("a", row(), gpu=gpus(x=(6, 10))), pod("b", row(), gpu=gpus(x=(6, 10), y=(0, 20)))
    assert ask(MEMORY_SIGNAL, None, *fleet) == Value(0.2, 1.0, 30)
    reason, message = no_data(ask(UTILIZATION, None, *fleet))
    assert reason == Reason.FAMILY_ABSENT
    assert "sections prometheus and gpu" in message


def test_a_shared_device_counts_once_and_the_answer_says_so() -> None:
    found = snapshot(gpu("g1", "a", "b", busy=0.8), gpu("g2", "c", busy=0.2))
    answer = ask(UTILIZATION, found, held("a"), held("b"), held("c"))
    assert isinstance(answer, Value)
    assert answer.value == 0.5
    assert answer.labels == {"gpu_exporter": "dcgm-exporter", "gpus": "2", "gpus_shared": "1"}


def test_one_number_is_never_made_of_two_exporters() -> None:
    """Of a MIG instance DCGM may tell no memory, and NVML no utilisation: each signal from who tells all of it."""
    found = snapshot(
        gpu("g1", "a", instance="3", used=None, busy=0.7),
        gpu("g1", "a", instance="3", used=3, busy=None, exporter="triton-gpu-agent"),
    )
    memory, utilization = (ask(signal, found, held("a")) for signal in (MEMORY_SIGNAL, UTILIZATION))
    assert isinstance(memory, Value)
    assert isinstance(utilization, Value)
    assert (memory.value, memory.labels["gpu_exporter"]) == (0.75, "triton-gpu-agent")
    assert (utilization.value, utilization.labels["gpu_exporter"]) == (0.7, "dcgm-exporter")


@pytest.mark.parametrize(
    ("found", "reason", "says"),
    [
        (snapshot(), Reason.FAMILY_ABSENT, "let it scrape one of them"),
        (snapshot(failure="Prometheus does not answer: timed out"), Reason.NOT_ANSWERING, "timed out"),
        (snapshot(gpu("g9")), Reason.FAMILY_ABSENT, "--kubernetes"),
        (snapshot(gpu("g9", "other")), Reason.FAMILY_ABSENT, "no exporter names it; see that dcgm-exporter runs"),
        (snapshot(gpu("g1", "a", busy=None)), Reason.FAMILY_ABSENT, "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
        (snapshot(gpu("g1", "a", age=61)), Reason.NOT_ANSWERING, "too old"),
        (snapshot(gpu("g1", "a", age=61), failure="Prometheus does not answer: x"), Reason.NOT_ANSWERING, "answer: x"),
        (snapshot(gpu("g1", "a", cluster="eu1"), gpu("g2", "a", cluster="eu2")), Reason.NOT_ANSWERING, "more than one cluster"),
    ],
)  # fmt: skip
def test_an_error_names_the_cause_and_stays_as_it_is_while_the_cause_does(
    found: GpuSnapshot, reason: Reason, says: str
) -> None:
    told = no_data(ask(UTILIZATION, found, held("a")))
    assert told[0] == reason
    assert says in told[1]
    later = evaluate(SIGNALS[UTILIZATION], [held("a")], parse_selector(""), Settings(), NOW + 5, gpus=found)
    assert no_data(later) == told


def test_a_pod_with_fewer_devices_than_its_limits_is_missing_unless_it_may_hold_parts_of_one() -> None:
    one = gpu("g1", "a", busy=0.5)
    reason, message = no_data(ask(UTILIZATION, snapshot(one), held("a", 2)))
    assert (reason, "exporters tell of fewer GPUs than its limits give it" in message) == (
        Reason.FAMILY_ABSENT,
        True,
    )
    assert value(ask(UTILIZATION, snapshot(replace(one, in_parts=True)), held("a", 2))) == 0.5
    shared = gpu("g1", "a", "b", busy=0.5)
    assert value(ask(UTILIZATION, snapshot(shared), held("a", 2))) == 0.5


def test_the_error_of_a_pod_that_is_told_in_part_is_the_same_however_much_is_told() -> None:
    """It is in the HPA's status, and each change of it is a write."""
    name = "triton-" + "x" * 56
    told = [gpu(f"GPU-{n}", name) for n in range(4)]
    messages = {no_data(ask(UTILIZATION, snapshot(*told[:n]), held(name, 4))) for n in (1, 2, 3)}
    assert len(messages) == 1
    fleet = held("a"), held(name, 4)
    reason, message = no_data(ask(UTILIZATION, snapshot(gpu("g", "a"), *told[:1]), *fleet))
    assert (reason, message.endswith("else one pod alone is named")) == (Reason.COVERAGE, True), message


def test_what_an_earlier_pod_of_the_name_held_is_not_this_ones() -> None:
    """A StatefulSet's pod that came up on another node, and the node that died says nothing newer."""
    before, now = gpu("g1", "a", busy=1.0, age=40), gpu("g2", "a", busy=0.25, age=1)
    assert value(ask(UTILIZATION, snapshot(before, now), held("a", 1))) == 0.25
    assert value(ask(UTILIZATION, snapshot(replace(before, at=NOW - 70), now), held("a", None))) == 0.25


def test_what_a_silent_exporter_said_of_a_pod_does_not_give_it_anothers_gpu() -> None:
    """The agent fell silent; since then g1 went from pod a to pod b, as dcgm-exporter tells, and a came back on g2."""
    found = snapshot(
        gpu("g1", "b", busy=1.0, age=1),
        gpu("g2", "a", busy=0.25, age=2),
        gpu("g1", "a", busy=1.0, age=70, exporter="triton-gpu-agent"),
    )
    assert value(ask(UTILIZATION, found, held("a", 1))) == 0.25
    assert value(ask(UTILIZATION, found, held("a", None))) == 0.25


def test_what_is_told_at_once_is_held_at_once_whatever_the_limits_say() -> None:
    """A claim (dynamic resource allocation) gave it one more, which limits do not count."""
    found = snapshot(gpu("g1", "a", busy=1.0), gpu("g2", "a", busy=0.0))
    assert value(ask(UTILIZATION, found, held("a", 1))) == 0.5


def test_a_pod_without_a_gpu_lacks_none() -> None:
    found = snapshot(gpu("g1", "a", busy=0.5))
    assert value(ask(UTILIZATION, found, held("a"), held("cpu", 0))) == 0.5
    reason, message = no_data(ask(UTILIZATION, found, held("cpu", 0)))
    assert (reason, "no selected pod holds a GPU" in message) == (Reason.FAMILY_ABSENT, True)


def test_that_no_pod_holds_a_gpu_is_said_by_who_was_asked() -> None:
    """Exporters that do not answer tell nothing, and a pod alone is not several."""
    fleet = held("a", 0), held("b", 0)
    by_both = "by its limits and by what exporters tell"
    reason, message = no_data(ask(UTILIZATION, snapshot(), fleet[0]))
    assert (reason, message) == (Reason.FAMILY_ABSENT, f"no selected pod holds a GPU, {by_both}: a")
    assert no_data(ask(UTILIZATION, snapshot(), *fleet))[1].endswith(f"{by_both}: a and others")
    silent = no_data(ask(UTILIZATION, snapshot(failure="Prometheus does not answer"), fleet[0]))
    lacking = "what exporters tell is lacking (Prometheus does not answer)"
    assert silent == (Reason.FAMILY_ABSENT, f"no selected pod holds a GPU by its limits, and {lacking}: a")


def test_a_pod_of_which_nobody_knows_whether_it_holds_one_is_missing() -> None:
    """A static target, or a pod with a resource claim."""
    found = snapshot(gpu("g1", "a", busy=0.5))
    assert no_data(ask(UTILIZATION, found, held("a"), held("claims", None)))[0] == Reason.COVERAGE


def test_under_four_fifths_of_the_pods_there_is_no_number() -> None:
    found = snapshot(*(gpu(f"g{n}", f"p{n}", busy=0.5) for n in range(4)))
    fleet = [held(f"p{n}") for n in range(4)]
    assert value(ask(UTILIZATION, found, *fleet, held("untold"))) == 0.5
    reason, message = no_data(ask(UTILIZATION, found, *fleet, held("untold"), held("untold2")))
    assert reason == Reason.COVERAGE
    assert message.startswith("the GPUs of too few pods are told; pod untold: ")


def test_a_pod_just_started_is_new_and_not_missing() -> None:
    found = snapshot(gpu("g1", "a", busy=0.5))
    young = held("young", state=pod("young", None, known=5.0, born=True))
    starting = held("starting", state=pod("starting", None, phase=Phase.STARTING, ready=False))
    assert value(ask(UTILIZATION, found, held("a"), young, starting)) == 0.5
    assert no_data(ask(UTILIZATION, found, young))[0] == Reason.STARTING
    old = held("young", state=pod("young", None, known=500.0, born=True))
    assert no_data(ask(UTILIZATION, found, held("a"), old))[0] == Reason.COVERAGE


def test_a_pod_that_ran_before_we_began_is_missing_at_once() -> None:
    """After a restart every pod is known since then; exporters had all the time before to tell of it."""
    found = snapshot(gpu("g1", "a", busy=0.1))
    untold = [held(name, state=pod(name, None, known=2.0)) for name in ("b", "c", "d")]
    reason, message = no_data(ask(UTILIZATION, found, held("a"), *untold))
    assert (reason, message.startswith("the GPUs of too few pods are told; pod b: ")) == (
        Reason.COVERAGE,
        True,
    )
    unasked = snapshot(failure="Prometheus was not asked for them yet")
    assert no_data(ask(UTILIZATION, unasked, *untold)) == (
        Reason.NOT_ANSWERING,
        "pod b: Prometheus was not asked for them yet",
    )


def test_terminating_pods_hold_nothing_any_more() -> None:
    found = snapshot(gpu("g1", "a", busy=0.2), gpu("g2", "b", busy=1.0))
    leaving = held("b", state=pod("b", row(), phase=Phase.TERMINATING))
    assert value(ask(UTILIZATION, found, held("a"), leaving)) == 0.2


def test_memory_of_a_pod_that_no_exporter_tells_is_that_of_its_own_page() -> None:
    own = held("b", state=pod("b", row(), gpu=gpus(g2=(3 * GIB, 4 * GIB))))
    answer = ask(MEMORY_SIGNAL, snapshot(gpu("g1", "a", used=1, usable=4)), held("a"), own)
    assert isinstance(answer, Value)
    assert (answer.value, answer.labels["gpu_exporter"]) == (0.5, "dcgm-exporter,triton")
    silent = held("b", state=pod("b", row(), gpu=gpus(g2=(3, 4)), failure="timed out"))
    assert isinstance(ask(MEMORY_SIGNAL, snapshot(gpu("g1", "a")), silent), NoData)
    assert isinstance(ask(UTILIZATION, snapshot(gpu("g1", "a")), own), NoData), "its utilisation is not read"


def test_a_gpu_whose_memory_a_triton_could_not_read_is_missing_and_not_left_out() -> None:
    """Triton sets both numbers to 0 on a read error (triton-inference-server/core: src/metrics.cc)."""
    own = held("b", 2, state=pod("b", row(), gpu=gpus(g2=(1 * GIB, 4 * GIB), g3=(0, 0))))
    reason, _ = no_data(ask(MEMORY_SIGNAL, snapshot(gpu("g1", "a")), own))
    assert reason == Reason.FAMILY_ABSENT


def test_a_device_on_a_pods_own_page_is_held_by_it_and_read_from_the_exporter() -> None:
    """Time-slicing without KUBERNETES_VIRTUAL_GPUS names one pod of several; the others' own pages name the device."""
    found = snapshot(gpu("g1", "a", busy=0.9, used=2, usable=4))
    other = held("b", state=pod("b", row(), gpu=gpus(g1=(0, 1))))
    assert value(ask(UTILIZATION, found, other)) == 0.9
    both = ask(UTILIZATION, found, held("a"), other)
    assert isinstance(both, Value)
    assert both.labels == {"gpu_exporter": "dcgm-exporter", "gpus": "1", "gpus_shared": "1"}
    assert value(ask(MEMORY_SIGNAL, found, other)) == 0.5
    more = held("b", None, state=pod("b", row(), gpu=gpus(g1=(0, 1), g2=(0, 1))))
    assert isinstance(ask(UTILIZATION, found, more), NoData), "of its second device nobody tells"


def test_a_model_does_not_select_a_gpu() -> None:
    reason, message = no_data(ask(UTILIZATION, snapshot(gpu("g1", "a")), held("a"), selector="model=m"))
    assert (reason, "select by workload" in message) == (Reason.UNKNOWN_LABEL, True)


@given(st.integers(1, 6), st.integers(0, 6), st.floats(0, 1))
def test_missing_pods_never_change_the_number_they_make_it_an_error(
    told: int, untold: int, busy: float
) -> None:
    found = snapshot(*(gpu(f"g{n}", f"p{n}", busy=busy) for n in range(told)))
    fleet = [held(f"p{n}") for n in range(told)] + [held(f"u{n}") for n in range(untold)]
    answer = ask(UTILIZATION, found, *fleet)
    if told >= 0.8 * (told + untold):
        assert value(answer) == pytest.approx(busy)
    else:
        assert no_data(answer)[0] == Reason.COVERAGE


def test_explaining_shows_the_device_behind_the_number() -> None:
    found = snapshot(gpu("GPU-1", "a", "b", used=1, usable=4))
    answer = ask(MEMORY_SIGNAL, found, held("a"), held("untold"), explain=True)
    rows = answer.trace
    assert [(r["pod"], r["standing"], r["counted"]) for r in rows] == [
        ("a", "answered", True),
        ("untold", "silent", False),
    ]
    assert rows[0]["gpu"] == "GPU-1"
    assert (rows[0]["gpu_exporter"], rows[0]["held_by"]) == ("dcgm-exporter", ["prod/a", "prod/b"])
    assert (rows[0]["above"], rows[0]["below"], rows[0]["contribution"]) == (GIB, 4 * GIB, 0.25)
    assert "KUBERNETES_VIRTUAL_GPUS" in rows[1]["failure"]
    assert isinstance(answer, NoData)
    shown = render_trace({"signal": MEMORY_SIGNAL, "state": "no_data", "pods": rows})
    heading, first, *_ = shown.splitlines()[2:]
    assert heading.split()[:3] == ["POD", "GPU", "STANDING"]
    assert heading.endswith("TOLD BY        HELD BY")
    assert first.split()[:2] == ["a", "GPU-1"]
    assert first.endswith("dcgm-exporter  prod/a, prod/b")
    assert "KUBERNETES_VIRTUAL_GPUS" in shown
