"""What was changed, and between which times: from each source that tells of changes."""

from datetime import UTC, datetime

import msgspec
import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    evidence,
    happened,
    incident,
    log,
    measured,
    placed,
    recorded,
    rollouts,
    steady,
    triton,
)
from triage.cluster_views import Nodes, NodeView, PodPlacement, Revision
from triage.evidence import Evidence
from triage.latency.change import Change


def of(*parts: Part) -> list[Change]:
    return list(incident(*parts).changes)


def told(*parts: Part) -> list[tuple[str, float, float, str]]:
    return [(c.kind, c.earliest, c.at, c.what) for c in of(*parts)]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_first_revision_is_no_change_and_the_next_says_what_it_changed() -> None:
    found = told(rollouts(Revision(1, "aa", 100.0), Revision(2, "bb", 200.0, changes=("image: a -> b",))))
    assert found == [("rollout", 200, 200, "deployment/llm revision 2: image: a -> b")]


def test_a_revision_that_was_returned_to_is_dated_by_its_return_and_not_by_its_birth() -> None:
    back = Revision(3, "aa", 100.0, rolled_out_at=300.0, earlier_numbers=(1,))
    assert told(rollouts(Revision(2, "bb", 200.0), back)) == [
        ("rollout", 200, 300, "deployment/llm revision 3")
    ]


def test_a_return_that_nothing_dates_is_no_change_at_some_other_time() -> None:
    undated = Revision(3, "aa", 100.0, earlier_numbers=(1,))
    older = Revision(3, "aa", 100.0)  # its number is newer than its birthday: it was returned to
    assert (
        of(rollouts(Revision(2, "bb", 200.0), undated)),
        of(rollouts(Revision(2, "bb", 200.0), older)),
    ) == (
        [],
        [],
    )


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("SuccessfulRescale", "scale"),
        ("ScalingReplicaSet", "scale"),
        ("NodeNotReady", "node"),
        ("Unhealthy", "readiness"),
        ("Pulled", None),
    ],
)
def test_events_are_changes_where_they_tell_of_one(reason: str, kind: str | None) -> None:
    assert [(c.kind, c.at) for c in of(happened(reason, 500.0))] == ([(kind, 500.0)] if kind else [])


def test_a_triton_that_was_killed_for_memory_ended_and_says_why() -> None:
    found = told(
        placed(PodPlacement("a", ended_by="OOMKilled", ended_at=500.0), PodPlacement("b", ready=True))
    )
    assert found == [("restart", 500, 500, "Triton in pod a ended (OOMKilled)")]


def test_a_pod_that_still_starts_did_not_become_unready() -> None:
    starting = PodPlacement("new", created_at=490.0, started_at=500.0, ready=False, ready_since=495.0)
    fell = PodPlacement("old", created_at=10.0, started_at=20.0, ready=False, ready_since=500.0)
    crashed = PodPlacement(
        "hit", created_at=10.0, started_at=510.0, ready=False, ready_since=500.0, ended_at=500.0
    )
    assert [c.what for c in of(placed(starting, fell, crashed)) if c.kind == "readiness"] == [
        "pod hit became not ready",
        "pod old became not ready",
    ]


def test_a_node_that_is_not_ready_is_a_change_and_one_that_is_ready_is_none() -> None:
    nodes = Nodes((NodeView("n1", ready=False, since=500.0), NodeView("n2", ready=True, since=400.0)))
    assert told(evidence("nodes", "nodes", nodes)) == [("node", 500, 500, "node n1 is not ready")]


def test_a_pressure_is_a_change_where_it_is_told_since_when() -> None:
    pressures = ("DiskPressure", "PIDPressure")
    node = NodeView(
        "n1", ready=True, since=400.0, pressures=pressures, pressures_since={"PIDPressure": 500.0}
    )
    assert told(evidence("nodes", "nodes", Nodes((node,)))) == [
        ("node", 500, 500, "node n1 reports PIDPressure")
    ]


def test_what_a_recorder_saw_lies_between_its_two_looks() -> None:
    assert told(recorded("m", 400.0, 430.0)) == [("repository", 400, 430, "m: config changed")]


GLOG = "I1118 11:30:00.500000 1 model_lifecycle.cc:472] loading: m:3"
TIME = seconds("2026-11-18T11:30:00.5")


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (GLOG, TIME),
        ('I1118 11:30:00.500000 1 model_lifecycle.cc:472] "loading: m:3"', TIME),
        (f"2026-11-18T11:30:00.500000000Z {GLOG}", TIME),
        (f"2026-11-18T13:30:00.500000000+02:00 stdout F {GLOG}", TIME),
        (
            r'{"log":"I1118 11:30:00.500000 1 model_lifecycle.cc:472] \"loading: m:3\"\n","stream":"stdout"}',
            TIME,
        ),
        (
            r'{"log":"I1118 09:00:00.0 1 a.cc:4] \"loading: m:3\"\n","time":"2026-11-18T11:30:00.5Z"}',
            TIME,
        ),
        ("I1119 11:30:00.500000 1 model_lifecycle.cc:472] loading: m:3", seconds("2026-11-19T11:30:00.5")),
        ("I1231 23:59:59.000000 1 model_lifecycle.cc:472] loading: m:3", seconds("2025-12-31T23:59:59")),
    ],
    ids=["bare", "quoted", "prefix", "zone", "json", "json-time", "slow clock", "last year"],
)
def test_a_line_of_the_log_is_dated_by_whatever_stamp_it_has(line: str, at: float) -> None:
    assert told(log(line)) == [("load", at, at, "m version 3 begins to load in a")]


def test_the_29th_of_february_is_in_a_leap_year() -> None:
    line = GLOG.replace("I1118", "I0229")
    found = {year: of(log(line, fetched_at=f"{year}-03-05T00:00:00Z")) for year in (2028, 2029, 2030)}
    leap = seconds("2028-02-29T11:30:00.5")
    assert {year: [c.at for c in changes] for year, changes in found.items()} == {
        2028: [leap],
        2029: [leap],
        2030: [],
    }


@pytest.mark.parametrize(
    "line",
    [
        "loading: m:3",
        "2026-13-45T11:30:00Z x.cc:4] loading: m:3",
        "I9999 11:30:00.500000 1 x.cc:4] loading: m:3",
        "I1118 11:30:00.500000 1 python.cc:1] the model said loading: m:3",
    ],
)
def test_a_line_without_a_time_or_of_other_things_is_no_change(line: str) -> None:
    assert of(log(line)) == []


def test_a_fetch_without_a_time_dates_no_stamp_without_a_year() -> None:
    assert of(log(GLOG, fetched_at="\r")) == []


def test_loads_and_unloads_name_their_model_and_pod() -> None:
    found = of(
        log(
            "I1118 11:30:00.5 1 model_lifecycle.cc:839] successfully loaded 'm'",
            "I1118 11:31:00.5 1 model_lifecycle.cc:624] successfully unloaded 'n' version 2",
        )
    )
    assert [(c.kind, c.model, c.pods, c.what) for c in found] == [
        ("load", "m", ("a",), "m is loaded in a"),
        ("unload", "n", ("a",), "n version 2 is unloaded in a"),
    ]


def log_of(pod: str, *lines: str) -> Evidence:
    told = log(*lines)
    return msgspec.structs.replace(told, id=f"log:{pod}/triton", subject=pod)


def test_what_several_pods_tell_at_about_the_same_time_is_told_once() -> None:
    loads = [
        log_of(
            pod,
            f"I1118 11:{minute}.5 1 model_lifecycle.cc:472] loading: m:3",
            f"I1118 11:{minute[:-2]}{int(minute[-2:]) + 9:02}.5 1 model_lifecycle.cc:839] successfully loaded 'm'",
        )
        for pod, minute in (("a", "30:00"), ("b", "30:20"), ("c", "40:00"))
    ]
    found = of(*loads)
    assert [(c.what, c.pods, c.evidence, c.latest - c.at) for c in found] == [
        ("m version 3 loads in a, b, for 29 s", ("a", "b"), ("log:a/triton", "log:b/triton"), 29.0),
        ("m version 3 loads in c, for 9 s", ("c",), ("log:c/triton",), 9.0),
    ]


def test_a_triton_that_begins_to_stop_is_a_change_of_scale_and_no_pod_that_came() -> None:
    line = 'I1118 11:30:00.5 1 server.cc:305] "Waiting for in-flight requests to complete."'
    assert [(c.kind, c.what, c.pods) for c in of(log(line))] == [("scale", "Triton begins to stop in a", ())]


def test_a_pod_whose_series_begins_within_the_window_came_then() -> None:
    found = told(
        triton("success", steady(9, 120), smear=60.0, pod="old", model="m"),
        triton("success", [*steady(None, 50), *steady(9, 70)], smear=60.0, pod="new", model="m"),
    )
    assert found == [("scale", at_step(50) - 90, at_step(50), "pod new begins to answer")]


def test_a_version_that_begins_after_its_pod_was_loaded_then() -> None:
    found = of(
        triton("success", steady(9, 120), pod="a", model="m", version="1"),
        triton("success", [*steady(None, 50), *steady(9, 70)], pod="a", model="m", version="2"),
    )
    assert [(c.kind, c.at, c.what, c.model) for c in found] == [
        ("load", at_step(50), "m version 2 begins to be served", "m")
    ]


@pytest.mark.parametrize(("model", "count"), [("m", 1), ("n", 2)])
def test_a_load_that_a_log_tells_is_not_told_again_by_the_series_that_begin_with_it(
    model: str, count: int
) -> None:
    begin = datetime.fromtimestamp(at_step(49), UTC).strftime("%m%d %H:%M:%S.%f")
    found = of(
        triton("success", steady(9, 120), pod="a", model="m", version="1"),
        triton("success", [*steady(None, 50), *steady(9, 70)], pod="a", model="m", version="2"),
        log(f"I{begin} 1 model_lifecycle.cc:839] successfully loaded '{model}'"),
    )
    assert [c.kind for c in found] == ["load"] * count


def test_a_version_that_came_with_its_pod_was_not_loaded_beside_it() -> None:
    found = of(
        triton("success", steady(9, 120), pod="old", model="m", version="1"),
        triton("success", [*steady(None, 50), *steady(9, 70)], pod="new", model="m", version="2"),
    )
    assert [c.kind for c in found] == ["scale"]


def test_servers_whose_capture_begins_apart_did_not_come_apart() -> None:
    late = measured("capture/success:b", steady(9, 20), {"pod": "b", "model": "m"}, start=103.0, step=1.0)
    early = measured("capture/success:a", steady(9, 20), {"pod": "a", "model": "m"}, start=100.0, step=1.0)
    assert (of(late, early), of(early, late)) == ([], [])


def test_the_first_scrape_that_a_rate_loses_is_no_birth() -> None:
    lost = [None, *steady(9, 119)]
    assert of(triton("success", lost, pod="a", model="m")) == []


def test_changes_stand_in_the_order_of_their_times() -> None:
    found = of(recorded("m", 400.0, 430.0), happened("Unhealthy", 410.0), log(GLOG))
    assert [c.kind for c in found] == ["readiness", "repository", "load"]
