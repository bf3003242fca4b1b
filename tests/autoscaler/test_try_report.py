"""What a look ends with: sentences that say what a target rests on, a manifest that can be applied, the evidence as JSON."""

import json
from dataclasses import replace
from io import StringIO

import pytest
import yaml
from rich.console import Console

from autoscaler.answer import NoData, Reason, Value
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.trial.decide import decide
from autoscaler.trial.limits import ModelLimits
from autoscaler.trial.manifest import manifest
from autoscaler.trial.points import Part, Point, points_of
from autoscaler.trial.reasons import what_it_says, what_was_seen
from autoscaler.trial.report import as_document, as_text, signal_lines
from autoscaler.trial.seen import SCALED_ON, Fleet, Look, Seen, Shown
from autoscaler.trial.view import one_line, screen
from autoscaler.trial.watch import MOST_PODS, evenly
from telemetry.target import PodKey, Workload
from tests.autoscaler.fleet import CONCURRENCY, NOW, SIGNALS, WINDOW, pod, row

EVIL = "m\x1b[2J\n\u202e: #"
UNITS = {name: signal.unit for name, signal in SIGNALS.items()}


def seen(
    *points: Point,
    limits: dict[str, ModelLimits] | None = None,
    pods: int = 3,
    total: float | None = 6.0,
    kind: str = "Deployment",
) -> Seen:
    known = {"m": ModelLimits(2)} if limits is None else limits
    return Seen(
        fleet=Fleet("prod", Workload(kind, "triton"), pods, pods, pods, {}),
        triton="2.51.0",
        seconds=60.0,
        ended_early=False,
        units=UNITS,
        signals={SCALED_ON: Shown(Value(6.0, 1.0, 30), 30.0)},
        limits=known,
        points=points,
        most_total=total,
        decision=decide(points, known),
        why_none="",
    )


def at(concurrency: float, waiting: float = 0.0, *, pod: str = "a", model: str = "m") -> Point:
    """A hundred requests; half of their time was waiting where any waited."""
    queue = 5.0 if waiting else 0.0
    return Point(pod, 0.0, {model: Part(concurrency, waiting, queue, 5.0, 100.0, bearable_seconds=1.0)})


def test_the_manifest_is_the_example_with_this_fleets_numbers() -> None:
    found = yaml.safe_load(manifest(seen(at(4.0, 2.0))))
    assert found == {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "triton", "namespace": "prod"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "triton"},
            "minReplicas": 2,
            "maxReplicas": 6,
            "metrics": [
                {
                    "type": "External",
                    "external": {
                        "metric": {
                            "name": "triton_inference_concurrency",
                            "selector": {"matchLabels": {"workload": "triton"}},
                        },
                        "target": {"type": "AverageValue", "averageValue": "1600m"},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
        },
    }


def test_a_rollout_is_named_by_its_own_group() -> None:
    found = yaml.safe_load(manifest(seen(at(4.0, 2.0), kind="Rollout")))
    assert found["spec"]["scaleTargetRef"]["apiVersion"] == "argoproj.io/v1alpha1"


@pytest.mark.parametrize(("pods", "replicas"), [(1, (1, 2)), (2, (2, 4)), (3, (2, 6)), (9, (5, 18))])
def test_replicas_are_bounded_by_what_runs_now(pods: int, replicas: tuple[int, int]) -> None:
    assert seen(pods=pods).replicas == replicas


def test_decoupled_models_are_left_out_of_the_metric() -> None:
    limits = {"m": ModelLimits(2), "org/llm:7b": ModelLimits(1, decoupled=True)}
    found = yaml.safe_load(manifest(seen(at(4.0, 2.0), limits=limits)))
    selector = found["spec"]["metrics"][0]["external"]["metric"]["selector"]
    [requirement] = selector["matchExpressions"]
    assert (requirement["key"], requirement["operator"]) == ("model", "NotIn")
    assert requirement["values"][0].startswith("org_llm_7b-")


def test_a_name_that_yaml_would_read_as_a_number_stays_a_name() -> None:
    base = seen(at(4.0, 2.0))
    named = replace(base, fleet=replace(base.fleet, namespace="1e3", workload=Workload("Deployment", "0x1")))
    found = yaml.safe_load(manifest(named))
    assert (found["metadata"]["namespace"], found["metadata"]["name"]) == ("1e3", "0x1")


def test_the_target_says_in_the_manifest_what_it_rests_on() -> None:
    measured, guessed = (
        " ".join(line.strip(" #") for line in manifest(each).splitlines())
        for each in (seen(at(4.0, 2.0)), seen())
    )
    assert "measured at the limit, on 100 requests that ended while others waited" in measured
    assert "a guess from the models' configuration alone" in guessed
    assert "perf_analyzer" in guessed
    assert "guess" not in measured


def test_an_hpa_that_is_there_already_is_told() -> None:
    base = replace(seen(at(4.0, 2.0)), other_scalers=("triton", "web"))
    comments = [line for line in manifest(base).splitlines() if line.startswith("# HPA")]
    assert comments == [
        "# HPA triton scales this workload already: this one takes its place.",
        "# HPA web scales this workload already: delete it first, for two of them stop each other.",
    ]
    assert "HPA web scales this workload already" in as_text(base)


def test_a_models_name_cannot_write_into_the_manifest_or_the_terminal() -> None:
    hostile = seen(at(4.0, 2.0, model=EVIL), limits={EVIL: ModelLimits(2)})
    assert yaml.safe_load(manifest(hostile)) == yaml.safe_load(manifest(seen(at(4.0, 2.0))))
    text = as_text(replace(hostile, signals={SCALED_ON: Shown(NoData(Reason.STALLED, EVIL), 30.0)}))
    assert [line for line in text.splitlines() if not line.isprintable()] == []


def test_what_was_seen_says_load_waiting_and_who_was_not_seen() -> None:
    base = seen(at(1.0), at(4.0, 2.0, pod="b"), at(1.5, pod="c"))
    fleet = replace(base.fleet, answered=2, failures={"d": "timed out"}, asked=100, pods=300)
    said = what_was_seen(replace(base, fleet=fleet, ended_early=True))
    assert said == [
        "deployment/triton in prod, 60 s, ended early: 300 pods, 2 answered, Triton 2.51.0",
        "100 of 300 pods were asked, spread evenly over their names, to spare the API server; totals are scaled up to all of them",
        "not seen: pod d (timed out)",
        "model m: 2 instances",
        "requests at once in a pod, waiting and computed: least 1, median 1.5, most 4 (3 looks of 10 s)",
        "300 requests ended; they waited 25% of their time in Triton; none failed",
        "the load is uneven: more pods help only if your balancer sends requests to them",
    ]


def test_what_it_says_tells_how_many_replicas_the_load_seen_asks_for() -> None:
    says = [what_it_says(seen(at(4.0, 2.0), total=total))[-1] for total in (3.9, 12.0, 1.0)]
    assert says == [
        "at the most load seen, 3.9 at once in the fleet, the HPA asks for 3 replicas (3 now)",
        "at the most load seen, 12 at once in the fleet, the HPA asks for 8 replicas; maxReplicas holds it at 6: raise it if you "
        "have the GPUs (3 now)",
        "at the most load seen, 1 at once in the fleet, the HPA asks for 1 replica; minReplicas holds it at 2 (3 now)",
    ]


def test_computation_that_grows_with_the_load_is_told() -> None:
    """No queue shows it: instances that share a GPU compute each other's requests more slowly."""
    alone, crowded = (
        Part(c, 0.0, 0.0, s, 100.0, bearable_seconds=1.0) for c, s in ((1.0, 10.0), (4.0, 40.0))
    )
    said = what_it_says(
        seen(Point("a", 0.0, {"m": alone}), Point("b", 0.0, {"m": crowded}), limits={"m": ModelLimits(4)})
    )
    assert any("computed for 100 ms with 1 at once and for 400 ms with 4" in line for line in said)


def test_a_backlog_is_called_one() -> None:
    said = what_it_says(seen(at(50.0, 48.0), total=150.0))[-1]
    assert "most of it is a backlog, which goes once there are enough pods" in said


def test_without_a_target_there_is_a_reason_and_no_manifest() -> None:
    none = replace(seen(), decision=None, why_none="no target: because")
    text, document = as_text(none), json.loads(json.dumps(as_document(none)))
    assert "no target: because" in text
    assert "HorizontalPodAutoscaler" not in text
    assert (document["decision"], document["manifest"]) == (None, None)
    with pytest.raises(ValueError, match="no target"):
        manifest(none)


def test_the_document_carries_each_number_and_what_it_rests_on() -> None:
    document = json.loads(json.dumps(as_document(seen(at(4.0, 2.0)))))
    assert document["schema"] == "triton-ops/try/v1"
    assert document["decision"] == {
        "averageValue": 1.6,
        "basis": "limit reached",
        "calmConcurrency": None,
        "computingAtTheLimit": 2.0,
        "configuredLimit": 2.0,
        "configuredLimitBy": "m",
        "requests": 100.0,
        "minReplicas": 2,
        "maxReplicas": 6,
        "wantedAtMostLoad": 4,
    }
    assert document["concurrencyPerPod"] == {"least": 4.0, "median": 4.0, "most": 4.0}


def test_points_are_made_of_pods_that_answer_without_the_delay_that_is_on_purpose() -> None:
    """m waited 100 ms a request, 60 of them on purpose; a pod whose window is not covered has no point, nor one that hangs."""
    limits = {"m": ModelLimits(1, 8, delay_seconds=0.06)}
    moving = row(30, queue_ms=100, compute_s=6.0, pending=0.25)
    states = [
        pod("a", moving),
        pod("b", moving, full=False),
        pod("c", row(30, compute_s=6.0, pending=3.0, stalled=20.0)),
        pod("d"),
        pod("e", moving, failure="timed out"),
    ]
    [found] = points_of(SIGNALS[CONCURRENCY], states, parse_selector(""), Settings(), limits, NOW)
    total = found.total
    assert (found.pod, total.requests, total.waiting) == ("a", 30.0, 0.25)
    assert total.concurrency == pytest.approx(0.25 + 6.0 / WINDOW)
    assert total.computing == pytest.approx(0.2)
    assert total.queue_share == pytest.approx(1.2 / 7.2)
    assert total.waits is False


@pytest.mark.parametrize(("batch", "waits"), [(1, True), (8, False)])
def test_a_request_may_wait_for_the_batch_before_its_own(batch: int, waits: bool) -> None:
    """Half a computation: too long where each request has an instance of its own, and what a batcher does with room to spare."""
    state = pod("a", row(30, queue_ms=100, compute_s=6.0))
    limits = {"m": ModelLimits(1, batch)}
    [found] = points_of(SIGNALS[CONCURRENCY], [state], parse_selector(""), Settings(), limits, NOW)
    assert found.total.waits is waits


def test_a_large_fleet_is_sampled_evenly() -> None:
    keys = [PodKey("prod", f"triton-{number:03d}", "") for number in range(300)]
    names = [key.pod for key in evenly(keys, MOST_PODS)]
    assert (len(names), names[:3], names[-1]) == (
        100,
        ["triton-000", "triton-003", "triton-006"],
        "triton-297",
    )
    assert evenly(keys, 0) == []


def look(second: float, answer: Value | NoData, **fleet: object) -> Look:
    about = replace(Fleet("prod", Workload("Deployment", "triton"), 2, 2, 2, {}), **fleet)  # type: ignore[arg-type]
    return Look(second, about, {SCALED_ON: Shown(answer, 30.0)}, {"a": 1.0, "b": 3.0, EVIL: None})


def test_the_screen_shows_numbers_their_history_pods_and_who_is_missing() -> None:
    looks = [
        look(0.0, NoData(Reason.WARMING_UP, "not yet")),
        look(5.0, Value(2.0, 1.0, 30), answered=1, failures={EVIL: "timed out"}),
        look(10.0, Value(4.0, 1.0, 30), answered=1, failures={EVIL: "timed out"}),
    ]
    out = StringIO()
    Console(file=out, width=80, height=24).print(screen(looks, UNITS, 60.0, 12.0, 79, 23))
    lines = out.getvalue().splitlines()
    shown = next(line for line in lines if line.startswith(SCALED_ON))
    assert shown.split() == [SCALED_ON, "4", "requests", "?▅█"]
    assert [line.split()[0] for line in lines if "█" in line and SCALED_ON not in line] == ["3", "1"]
    assert any(line.startswith(r"not seen: m\x1b[2J\n") for line in lines)
    assert max(map(len, lines)) <= 79
    assert len(lines) <= 23


def test_a_screen_of_a_large_fleet_fits() -> None:
    one = look(10.0, Value(4.0, 1.0, 30))
    many = replace(one, pods={f"triton-{number}": float(number) for number in range(300)})
    lines = screen([many], UNITS, 60.0, 12.0, 79, 23).plain.splitlines()
    assert len(lines) <= 23
    assert any("more" in line for line in lines)


def test_a_line_says_the_same_where_nobody_watches_a_screen() -> None:
    said = one_line(look(10.0, Value(4.0, 1.0, 30), answered=1, failures={"a": "timed out"}), UNITS, 60.0)
    assert said == (
        "10 of 60 s: 1 of 2 pods answer, requests in Triton at once: 4 requests; pod a: timed out"
    )


def test_signals_that_these_tritons_do_not_show_stand_together_at_the_end() -> None:
    absent = NoData(Reason.FAMILY_ABSENT, "pod a does not show vllm:num_requests_waiting")
    signals = {
        "triton_vllm_waiting_requests": Shown(absent, 30.0),
        SCALED_ON: Shown(Value(6.0, 1.0, 30), 30.0),
        "triton_request_rate": Shown(NoData(Reason.STALLED, "it may hang"), 30.0),
    }
    assert signal_lines(replace(seen(), signals=signals)) == [
        "triton_inference_concurrency  6 requests, over 30 s",
        "triton_request_rate           no data: it may hang",
        "not shown by these Tritons (`triton-autoscaler signals` says what each needs):",
        "  triton_vllm_waiting_requests",
    ]


def test_a_small_screen_shows_the_signals_that_have_a_number() -> None:
    """First of all the one that a fleet is scaled on; and the last line says how to end it."""
    pending = NoData(Reason.WARMING_UP, "not yet")
    signals = {name: Shown(pending, 30.0) for name in SIGNALS}
    signals |= {name: Shown(Value(1.0, 1.0, 30), 30.0) for name in ("triton_request_rate", SCALED_ON)}
    one = replace(look(10.0, Value(4.0, 1.0, 30)), signals=signals)
    lines = screen([one], UNITS, 60.0, 12.0, 79, 18).plain.splitlines()
    assert len(lines) <= 18
    told = [name for name in SIGNALS if any(line.split()[:1] == [name] for line in lines)]
    assert {SCALED_ON, "triton_request_rate"} <= set(told)
    assert f"without a number here: {len(SIGNALS) - len(told)} more signals" in lines
    assert lines[-1].startswith("Ctrl-C")
