"""Who held a GPU's memory when a load found too little: each answer, and what it takes to know it."""

from pathlib import Path

import msgspec
import pytest

from tests.triage.snapshots import (
    RULES,
    container,
    evidence,
    failed,
    log,
    own,
    pod,
    previous_log,
    report,
    snapshot,
)
from triage.bundle import load_bundle, save_bundle
from triage.case import make_case, primary
from triage.evidence import Evidence, GpuMemory, GpuUse, LogExcerpt, Missing, PodView
from triage.gpu_load import Held, who_held
from triage.latency.facts import Ranges, Series
from triage.report_of import report_of

GIB = float(2**30)
START, STEP = 1_785_239_100.0, 30.0
"""2026-07-28 11:45:00 UTC; the server began at 11:58, the load at 12:00."""
SERVER = container(began_at="2026-07-28T11:58:00Z", limits={"nvidia.com/gpu": "1"})
MEMORY = "device memory ran out"
LABELS = {"gpu": "GPU-1", "gpu_index": "0", "node": "n1"}


def told(measure: str, *series: Series) -> Evidence:
    steps = len(series[0].values)
    facts = Ranges(measure, START, STEP, steps, 0.0, series)
    return msgspec.structs.replace(
        evidence(f"gpu/{measure}:web-1", "gpu_history", facts, pod="web-1"), source="Prometheus at http://p"
    )


def used(
    before: float | None, server: float, load: float, labels: dict[str, str] | None = None
) -> list[Evidence]:
    """GiB in use before the server began at step 26, until the load began at step 30, both inclusive, and after that; of 16."""
    values = [before] * 27 + [server] * 4 + [load] * 3
    sizes = [None if value is None else value * GIB for value in values]
    free = [None if value is None else (16 - value) * GIB for value in values]
    at = labels or LABELS
    return [
        told("gpu_device_memory_used", Series(at, tuple(sizes))),
        told("gpu_device_memory_free", Series(at, tuple(free))),
    ]


def held_by(*pods: tuple[str, str], watched: bool = True) -> list[Evidence]:
    holders = [Series({**LABELS, "namespace": space, "pod": name}, (1.0,) * 34) for space, name in pods]
    seen = [told("gpu_xid_watched", Series(LABELS, (1.0,) * 34))] if watched else []
    return [told("gpu_holders", *holders), *seen]


ALONE = [("prod", "web-1")]
SHARED = [("prod", "web-1"), ("data", "notebook-0")]


def failing(*before: str) -> list[Evidence]:
    """What loads first, and then the load of m, which finds no memory."""
    lines = [*before, own("loading: m:1", "I"), own(MEMORY), failed("m", MEMORY)]
    return [pod("web-1", SERVER), log(*lines, pod="web-1")]


def loaded_first(*models: str) -> list[str]:
    begun = [own(f"loading: {model}:1", "I") for model in models]
    return [*begun, *(own(f"successfully loaded '{model}' version 1", "I") for model in models)]


def at(time: str, *lines: str) -> list[str]:
    return [line.replace("12:00:00", time) for line in lines]


BEGAN = "when the load of m began,"
OF = "of 16.0 GiB of GPU 0 of node n1 (GPU-1)"


@pytest.mark.parametrize(
    ("parts", "by", "said"),
    [
        ([*failing(), *used(0.3, 0.4, 15.9), *held_by(*ALONE)], "empty",
         "{began} 0.4 {of} were in use, and nothing else was loading: m does not fit the empty GPU"),
        ([*failing(), *used(0.3, 0.4, 15.9), *held_by(*SHARED)], "unknown",
         "{began} 0.4 {of} were in use; data/notebook-0 may have taken more since: it is shared"),
        ([*failing(), *used(11, 11.4, 15.9), *held_by(*SHARED)], "others",
         "before this server began, 11.0 {of} were in use: by data/notebook-0"),
        ([*failing(), *used(11, 11.4, 15.9), *held_by(*ALONE)], "others",
         "before this server began, 11.0 {of} were in use: by a process of no pod (left behind, or outside of Kubernetes)"),
        ([*failing(), *used(11, 11.4, 15.9), *held_by(*ALONE, watched=False)], "others",
         "before this server began, 11.0 {of} were in use: by somebody whom no exporter names"),
        ([*failing(*loaded_first("a", "b")), *used(0.3, 12, 15.9), *held_by(*ALONE)], "own",
         "{began} 12.0 {of} were in use, 11.7 GiB of it since the server began: by a, b"),
        ([*failing(*loaded_first("a")), *used(None, 12, 15.9), *held_by(*ALONE)], "unknown",
         "{began} 12.0 {of} were in use; whose it was is not known, for nothing was measured just before the server began"),
        ([*failing(*loaded_first("a")), *used(4, 14, 15.9), *held_by(*ALONE)], "own",
         "{began} 14.0 {of} were in use, 10.0 GiB of it since the server began: by a; 4.0 GiB were others'"),
        ([*failing(*loaded_first("a")), *used(4, 14, 15.9), *held_by(*SHARED)], "unknown",
         "{began} 14.0 {of} were in use, 10.0 GiB of it since the server began:"
         " by what it loaded or by data/notebook-0; it is shared"),
        ([*failing(), *used(14, 3, 15.9), *held_by(*ALONE)], "unknown",
         "{began} 3.0 {of} were in use; before this server began it was 14.0 GiB, and somebody let go of it since:"
         " whose it was is not known"),
        ([*failing(own("loading: big:1", "I")), *used(0.3, 0.4, 15.9), *held_by(*ALONE)], "own",
         "{began} 0.4 {of} were in use, and big was loading at the same time"),
        ([*failing(), *used(None, 12, 15.9), *held_by(*SHARED)], "unknown",
         "{began} 12.0 {of} were in use; how much of it is of data/notebook-0 is not known,"
         " for nothing was measured just before the server began"),
        ([pod("web-1", SERVER), log(own(MEMORY), failed("m", MEMORY), pod="web-1"), *used(0.3, 0.4, 15.9), *held_by(*ALONE)],
         "unknown",
         "15.9 {of} are in use now; how much it was when the load began is not known"),
        ([pod("web-1", SERVER), log(own(MEMORY), failed("m", MEMORY), pod="web-1"), *used(11, 11.4, 15.9), *held_by(*SHARED)],
         "unknown",
         "15.9 {of} are in use now; how much it was when the load began is not known;"
         " before this server began it was 11.0 GiB, by data/notebook-0"),
        ([*failing(*loaded_first("a")), *used(0.3, 0.4, 15.9), *held_by(*ALONE)], "unknown",
         "{began} 0.4 {of} were in use when it was last measured; a may have been loaded since"),
        ([*failing(*at("11:58:20", *loaded_first("a"))), *used(0.3, 0.4, 15.9), *held_by(*ALONE)], "empty",
         "{began} 0.4 {of} were in use, and nothing else was loading: m does not fit the empty GPU"),
    ],
    ids=["does not fit", "shared", "another pod", "no pod", "not named", "own models", "own, not measured", "mostly own",
         "a neighbour grows", "freed", "at once", "whose", "no begin", "no begin, others before", "loaded since",
         "loaded long before"],
)  # fmt: skip
def test_who_held_it_is_told_by_what_was_measured_then(parts: list[Evidence], by: str, said: str) -> None:
    case = make_case("web-1", tuple(parts), RULES.signatures)
    held = who_held(case, "m")
    assert held is not None
    assert (held.by, held.said) == (by, said.replace("{of}", OF).replace("{began}", BEGAN))
    assert primary(case) is case.models["m"]


def test_a_second_gpu_that_was_not_measured_is_not_taken_for_empty() -> None:
    other = {**LABELS, "gpu": "GPU-2", "gpu_index": "1"}
    late = [None] * 32 + [12 * GIB] * 2
    parts = [*failing(), *used(0.3, 0.4, 15.9), *held_by(*ALONE)]
    for measure, place in (("gpu_device_memory_used", 2), ("gpu_device_memory_free", 3)):
        facts = parts[place].facts
        assert isinstance(facts, Ranges)
        parts[place] = told(measure, *facts.series, Series(other, tuple(late)))
    facts = parts[4].facts
    assert isinstance(facts, Ranges)
    parts[4] = told(
        "gpu_holders", *facts.series, Series({**other, "namespace": "prod", "pod": "web-1"}, (1.0,) * 34)
    )
    held = who_held(make_case("web-1", tuple(parts), RULES.signatures), "m")
    assert held is not None
    assert held.by == "unknown"
    assert held.said.endswith("how much it was of GPU 1 of node n1 (GPU-2) is not known")


def test_a_gpu_of_whose_memory_nobody_tells_is_not_taken_for_empty() -> None:
    other = {**LABELS, "gpu": "GPU-2", "gpu_index": "1"}
    holders = told(
        "gpu_holders", while_held("web-1", "prod", 0, 33), while_held("web-1", "prod", 0, 33, other)
    )
    held = judged(*failing(), *used(0.3, 0.4, 15.9), holders)
    assert (held.by, held.said) == (
        "unknown",
        f"{BEGAN} 0.4 {OF} were in use; how much it was of GPU 1 of node n1 (GPU-2) is not known",
    )
    full = judged(*failing(), *used(11, 11.4, 15.9), holders)
    assert full.by == "unknown"


def test_of_a_pod_with_more_gpus_than_are_told_of_none_is_taken_for_empty() -> None:
    """An exporter leaves out what the driver does not tell it."""
    two = msgspec.structs.replace(SERVER, limits={"nvidia.com/gpu": "2"})
    parts = [pod("web-1", two), failing()[1]]
    held = judged(*parts, *used(0.3, 0.4, 15.9), *held_by(*ALONE))
    assert (held.by, held.said) == (
        "unknown",
        f"{BEGAN} 0.4 {OF} were in use; how much it was of 1 more GPU is not known",
    )
    assert judged(*parts, page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB))).by == "unknown"


def test_a_gpu_that_its_triton_cannot_read_is_not_taken_for_empty() -> None:
    """It shows 0 of 0 bytes of it."""
    held = judged(*failing(), page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB), GpuUse("GPU-2", 0.0, 0.0)))
    assert held.by == "unknown"
    made = report(*failing(), page(GpuUse("GPU-2", 0.0, 0.0)))
    assert made.gpus is not None
    assert (made.gpus.rows[0].used_bytes, made.gpus.rows[0].total_bytes) == (None, None)


def test_a_pod_that_is_known_by_its_own_page_alone_is_not_said_to_have_left() -> None:
    """Two pods share a GPU, and of one of them the exporters could not be asked."""
    second = [
        msgspec.structs.replace(one, id=one.id.replace("web-1", "web-2"), subject="web-2")
        for one in (*used(0.3, 0.4, 15.9), told("gpu_holders", while_held("web-2", "prod", 0, 33)))
    ]
    first = page(GpuUse("GPU-1", 12 * GIB, 16 * GIB), read="12:01:40")
    made = report(*failing(), first, pod("web-2", SERVER), *second)
    assert made.gpus is not None
    assert [row.pods for row in made.gpus.rows] == [("web-1", "web-2")]


def test_what_was_measured_long_ago_is_not_told_as_of_now() -> None:
    ended = []
    for one in used(11, 11.4, 15.9):
        assert isinstance(one.facts, Ranges)
        ended.append(
            told(one.facts.measure, Series(LABELS, (*one.facts.series[0].values[:20], *[None] * 14)))
        )
    parts = [*failing(), *ended, *held_by(*ALONE)]
    held = judged(*parts)
    assert held.said.startswith(
        "11.0 of 16.0 GiB of GPU 0 of node n1 (GPU-1) were in use at 11:54:30 UTC, when it was"
    )
    made = report(*parts)
    assert made.gpus is not None
    assert made.gpus.rows[0].notes == ("its memory was told last at 11:54:30 UTC",)


def while_held(pod: str, space: str, since: int, until: int, labels: dict[str, str] = LABELS) -> Series:
    values = [1.0 if since <= step <= until else None for step in range(34)]
    return Series({**labels, "namespace": space, "pod": pod}, tuple(values))


def judged(*parts: Evidence) -> Held:
    held = who_held(make_case("web-1", parts, RULES.signatures), "m")
    assert held is not None
    return held


def test_of_several_gpus_none_is_blamed_where_they_do_not_tell_the_same() -> None:
    """One is full of an earlier model, and the load may have found the empty one too small."""
    other = {**LABELS, "gpu": "GPU-2", "gpu_index": "1"}
    memory = []
    for one, two in zip(used(0.3, 12, 12, other), used(0.3, 0.4, 15.9), strict=True):
        assert isinstance(one.facts, Ranges)
        assert isinstance(two.facts, Ranges)
        memory.append(told(one.facts.measure, *one.facts.series, *two.facts.series))
    holders = told("gpu_holders", *(while_held("web-1", "prod", 0, 33, gpu) for gpu in (LABELS, other)))
    held = judged(*failing(*at("11:58:20", *loaded_first("a"))), *memory, holders)
    assert (held.by, held.said) == (
        "unknown",
        "when the load of m began, 12.0 of 16.0 GiB of GPU 1 of node n1 (GPU-2),"
        " 0.4 of 16.0 GiB of GPU 0 of node n1 (GPU-1) were in use; on which of them it ran out is not known",
    )


def test_who_gave_the_gpu_up_before_the_load_takes_nothing_more_of_it() -> None:
    holders = told("gpu_holders", while_held("web-1", "prod", 0, 33), while_held("job-7", "data", 0, 20))
    assert judged(*failing(), *used(0.3, 0.4, 15.9), holders).by == "empty"


def test_who_gave_it_up_since_the_server_began_had_part_of_what_was_in_use_before() -> None:
    """The old pod of a rollout ends while the new one begins."""
    holders = told("gpu_holders", while_held("web-1", "prod", 20, 33), while_held("web-0", "prod", 0, 27))
    held = judged(*failing(*loaded_first("a")), *used(11, 12, 15.9), holders)
    assert held.by == "unknown"
    assert "before this server began it was 11.0 GiB, when prod/web-0 still held it" in held.said


def test_who_came_to_a_full_gpu_after_the_server_began_did_not_fill_it_before() -> None:
    holders = told("gpu_holders", while_held("web-1", "prod", 0, 33), while_held("job-9", "data", 29, 33))
    held = judged(*failing(), *used(11, 11.4, 15.9), holders)
    assert (held.by, held.who) == ("others", "somebody whom no exporter names")


def test_what_an_earlier_pod_of_the_same_name_held_is_nobody_else_s() -> None:
    """A StatefulSet makes it anew under its name, on the same GPU."""
    view = pod("web-1", SERVER)
    assert isinstance(view.facts, PodView)
    anew = msgspec.structs.replace(
        view, facts=msgspec.structs.replace(view.facts, started_at="2026-07-28T11:57:40Z")
    )
    held = judged(anew, failing()[1], *used(11, 3, 15.9), *held_by(*ALONE))
    assert (held.by, "nothing was measured just before the server began" in held.said) == ("unknown", True)
    first = told("gpu_holders", while_held("web-1", "prod", 26, 33))
    assert judged(anew, failing()[1], *used(11, 11.4, 15.9), first).by == "others"


def test_a_pod_of_the_same_name_in_another_namespace_is_another() -> None:
    held = judged(*failing(), *used(11, 11.4, 15.9), *held_by(("prod", "web-1"), ("dev", "web-1")))
    assert held.who == "dev/web-1"


def test_of_a_pod_that_was_made_anew_on_another_gpu_the_gpu_of_now_counts() -> None:
    other = {**LABELS, "gpu": "GPU-2", "gpu_index": "1"}
    before, since = used(0.3, 15, 15, other), used(0.3, 0.4, 15.9)
    memory = []
    for one, two in zip(before, since, strict=True):
        assert isinstance(one.facts, Ranges)
        assert isinstance(two.facts, Ranges)
        memory.append(told(one.facts.measure, *one.facts.series, *two.facts.series))
    holders = told(
        "gpu_holders",
        while_held("web-1", "prod", 0, 20, other),
        while_held("other", "data", 21, 33, other),
        while_held("web-1", "prod", 22, 33),
    )
    held = judged(*failing(), *memory, holders)
    assert (held.by, held.device) == ("empty", "GPU 0 of node n1 (GPU-1)")


def test_an_exporter_that_goes_on_under_another_name_tells_of_the_same_device() -> None:
    """dcgm-exporter's `Hostname` is its pod's name where it does not share the node's network."""
    parts = []
    for one in used(11, 11.4, 15.9):
        assert isinstance(one.facts, Ranges)
        (series,) = one.facts.series
        first = Series({**LABELS, "node": "exporter-a"}, (*series.values[:28], *[None] * 6))
        second = Series({**LABELS, "node": "exporter-b"}, (*[None] * 28, *series.values[28:]))
        parts.append(told(one.facts.measure, first, second))
    assert judged(*failing(), *parts, *held_by(*SHARED)).by == "others"


def test_the_runtime_s_stamp_dates_a_load_where_the_container_s_clock_is_another() -> None:
    lines = [own("loading: m:1", "I"), own(MEMORY), failed("m", MEMORY)]
    stamped = [f"2026-07-28T12:00:00.000000000Z {line.replace('12:00:00', '14:00:00')}" for line in lines]
    parts = [pod("web-1", SERVER), log(*stamped, pod="web-1"), *used(0.3, 0.4, 15.9), *held_by(*ALONE)]
    assert judged(*parts).by == "empty"


def test_a_model_that_was_loaded_after_the_failure_took_nothing_before_it() -> None:
    server, read = failing(*at("11:58:20", *loaded_first("a")))
    assert isinstance(read.facts, LogExcerpt)
    after = log(*(line.text for line in read.facts.lines), *loaded_first("later"), pod="web-1")
    held = judged(server, after, *used(0.3, 12, 15.9), *held_by(*ALONE))
    assert (held.by, held.who) == ("own", "a")
    assert judged(server, after, *used(0.3, 0.4, 15.9), *held_by(*ALONE)).by == "empty"


AGAIN = msgspec.structs.replace(SERVER, restarts=3)
LINES = [own("loading: m:1", "I"), own(MEMORY), failed("m", MEMORY)]


def test_in_a_crash_loop_the_memory_of_the_life_before_is_not_taken_for_others() -> None:
    """The sample at a step is of a scrape up to a minute before, and the life before ended that short a time ago."""
    times = {"began_at": "2026-07-28T12:00:20Z", "last_ended_at": "2026-07-28T11:59:20Z"}
    loop = msgspec.structs.replace(AGAIN, **times, last_began_at="2026-07-28T11:58:00Z")
    parts = [pod("web-1", loop), log(*at("12:00:25", *LINES), pod="web-1")]
    assert judged(*parts, *used(15.8, 15.8, 15.8), *held_by(*ALONE)).by == "unknown"


def test_of_a_life_that_has_ended_the_one_before_it_is_not_taken_for_others() -> None:
    loop = msgspec.structs.replace(
        AGAIN, began_at="", last_began_at="2026-07-28T11:58:00Z", last_ended_at="2026-07-28T12:00:10Z"
    )
    parts = [pod("web-1", loop), previous_log(*LINES, pod="web-1"), *held_by(*ALONE)]
    assert judged(*parts, *used(15.8, 12, 15.8)).by == "unknown"
    assert judged(*parts, *used(15.8, 0.4, 15.8)).by == "empty"


def page(*gpus: GpuUse, read: str = "12:00:00") -> Evidence:
    facts = evidence("gpu_memory:web-1", "gpu_memory", GpuMemory(gpus), pod="web-1")
    return msgspec.structs.replace(facts, fetched_at=f"2026-07-28T{read}Z")


@pytest.mark.parametrize(
    ("parts", "by"),
    [
        ([*failing(), page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB))], "empty"),
        ([*failing(), page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB), read="12:04:00")], "empty"),
        ([*failing(), page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB), read="13:00:00")], "unknown"),
        ([*failing(*loaded_first("a")), page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB))], "unknown"),
        ([*failing(), page(GpuUse("GPU-1", 12 * GIB, 16 * GIB))], "unknown"),
        (
            [*failing(), page(GpuUse("GPU-1", 0.5 * GIB, 16 * GIB), GpuUse("GPU-2", 12 * GIB, 16 * GIB))],
            "unknown",
        ),
    ],
)
def test_a_page_of_now_tells_an_empty_gpu_and_nothing_of_whose_a_full_one_was(
    parts: list[Evidence], by: str
) -> None:
    held = who_held(make_case("web-1", tuple(parts), RULES.signatures), "m")
    assert held is not None
    assert held.by == by


def test_without_a_figure_nothing_is_said_of_it() -> None:
    assert who_held(make_case("web-1", tuple(failing()), RULES.signatures), "m") is None


def test_an_earlier_life_of_the_server_is_not_taken_for_others() -> None:
    """The container began anew a minute after its earlier life, in which it had filled the GPU."""
    began_again = msgspec.structs.replace(
        SERVER, last_ended_at="2026-07-28T11:57:00Z", last_began_at="2026-07-28T11:50:00Z"
    )
    values = [12 * GIB] * 24 + [0.3 * GIB] * 7 + [15.9 * GIB] * 3
    memory = [
        told("gpu_device_memory_used", Series(LABELS, tuple(values))),
        told("gpu_device_memory_free", Series(LABELS, tuple(16 * GIB - value for value in values))),
    ]
    parts = [pod("web-1", began_again), failing()[1], *memory, *held_by(*ALONE)]
    held = who_held(make_case("web-1", tuple(parts), RULES.signatures), "m")
    assert held is not None
    assert held.by == "empty"


@pytest.mark.parametrize(
    ("parts", "action"),
    [
        (used(0.3, 0.4, 15.9), "Make m smaller, or give it a larger GPU: it does not fit an empty one (0.4 of 16.0 GiB"),
        (used(11, 11.4, 15.9), "Let a process of no pod (left behind, or outside of Kubernetes) leave the GPU, or give m another"),
        (used(0.3, 12, 15.9), "Load fewer models or instances on this GPU: 12.0 of 16.0 GiB"),
    ],
    ids=["empty", "others", "own"],
)  # fmt: skip
def test_what_to_do_first_is_of_who_held_it(parts: list[Evidence], action: str) -> None:
    made = report(*failing(), *parts, *held_by(*ALONE))
    assert made.verdict.category == "gpu_memory"
    assert made.actions[0].do.startswith(action)
    assert made.gpus is not None
    (row,) = made.gpus.rows
    assert (row.node, row.gpu, row.pods, row.others) == ("n1", "0", ("web-1",), ())
    assert row.used_bytes == pytest.approx(15.9 * GIB)


def test_where_it_cannot_be_told_the_line_s_own_remedy_stands_and_what_is_missing_is_said() -> None:
    made = report(*failing())
    assert made.actions[0].do == "Free memory for m."
    (gap,) = [one for one in made.unseen if one.what.startswith("who held")]
    assert (
        gap.remedy
        == "give --prometheus URL of one that scrapes triton-gpu-agent or dcgm-exporter, and TARGET"
    )
    assert made.gpus is None


def test_a_prometheus_that_is_away_is_told_and_changes_no_verdict() -> None:
    gone = Missing("unreachable", "connection refused", "is the URL right?")
    away = evidence("gpu/gpu_device_memory_used:web-1", "gpu_history", None, gone, "web-1")
    made, without = report(*failing(), away), report(*failing())
    assert made.verdict == without.verdict
    assert "connection refused" in {one.detail for one in made.unseen}


def test_of_many_lost_gpus_the_pod_s_own_is_told_first() -> None:
    lost = [Series({"node": "n1", "problem": "gpu_lost", "gpu_index": index}, (1.0,) * 34) for index in "321"]
    own_lost = Series({"node": "n1", "problem": "no_driver", "gpu_index": "0"}, (1.0,) * 34)
    made = report(
        *failing(), *used(0.3, 0.4, 15.9), *held_by(*ALONE), told("gpu_agent_problem", *lost, own_lost)
    )
    (fact,) = [one for one in made.why if "triton-gpu-agent" in one.text]
    assert fact.text.startswith("Node n1: triton-gpu-agent reports no_driver (GPU 0); ")


def test_a_lost_gpu_and_an_xid_are_told_beside_the_verdict(tmp_path: Path) -> None:
    xid = told("gpu_xid_count", Series({**LABELS, "xid": "79"}, (None,) * 28 + (1.0,) * 6))
    lost = told(
        "gpu_agent_problem",
        Series({"node": "n1", "problem": "gpu_lost", "gpu_index": "0"}, (0.0,) * 28 + (1.0,) * 6),
    )
    found = snapshot([*failing(), *used(0.3, 0.4, 15.9), *held_by(*ALONE), xid, lost])
    made = report_of(found, RULES)
    (fact,) = [one for one in made.why if "XID" in one.text]
    assert fact.text == (
        "GPU 0 of node n1 (GPU-1): XID 79 at 11:59:00 UTC; node n1: triton-gpu-agent reports gpu_lost (GPU 0)."
    )
    assert made.gpus is not None
    assert made.gpus.rows[0].notes == ("XID 79 at 11:59:00 UTC", "triton-gpu-agent reports gpu_lost")
    file = tmp_path / "bundle.json"
    save_bundle(file, found, RULES)
    assert report_of(*load_bundle(file)) == made
