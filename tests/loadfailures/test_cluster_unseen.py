"""Each source of a load failure taken away in each way that it can go, on a real API server where that can be had: the report says
which and why, and the verdict is never surer than with it, and never another cause."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kubelet import crash_loop, running, terminated
from tests.loadfailures.cluster_failures import CLUSTER_FAILURES, FETCHED, FROM_MODELS, ClusterFailure
from tests.loadfailures.cluster_pods import ALL, RULES, be_failing, look_at, reader
from triage.build_report import build_report
from triage.evidence import Evidence, LogExcerpt, Missing, MissingReason, Snapshot
from triage.report import VerdictView
from triage.walk import BANDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "cluster-unseen"
RIGHTS = {
    "logs": "pods/log",
    "events": "[events]",
    "proxy": "pods/proxy",
    "metrics": "metrics.k8s.io",
}
"""The name of the account that lacks it -> what its rule names."""
LOG = """I1130 12:00:00.000000 1 model_lifecycle.cc:472] loading: ranker:1
E1130 12:00:01.000000 1 model_lifecycle.cc:641] failed to load 'ranker' version 1: Internal: failed to load model 'ranker': \
onnx runtime error 7: Load model from /models/ranker/1/model.onnx failed:Protobuf parsing failed.
error: creating server: Internal - failed to load all models
"""
BROKEN_FILE = ClusterFailure(
    id="broken-file",
    broken="The file is cut short; the checksum was looked at and did not stop the start.",
    category="artifact_integrity",
    confidence="confirmed",
    action=("copy",),
    reports=[terminated("fetch", exit_code=0, reason="Completed"), crash_loop("triton")],
    spec=FETCHED,
    triton=FROM_MODELS,
    logs={
        ("triton", True): LOG,
        ("triton", False): LOG,
        ("fetch", False): "sha256sum: WARNING: 1 computed checksum did NOT match\n",
    },
    events=[("BackOff", "Back-off restarting failed container triton in pod broken-file")],
    shows=[
        'Container fetch, which did not fail of it, said "sha256sum: WARNING: 1 computed checksum did NOT match"'
    ],
)
ONES = [
    each
    for each in CLUSTER_FAILURES
    if each.id in ("init-download-refused", "oom-killed", "mount-without-its-secret")
]
REASONS: tuple[MissingReason, ...] = (
    "forbidden",
    "timeout",
    "not_found",
    "expired",
    "unreachable",
    "truncated",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(reader(NAMESPACE))
    await control_plane.api.apply(reader(NAMESPACE, name="nodes", nodes=False))
    for name, told in RIGHTS.items():
        await control_plane.api.apply(
            reader(NAMESPACE, [rule for rule in ALL if told not in rule], name=name)
        )
    for broken in (BROKEN_FILE, *ONES):
        await be_failing(control_plane, NAMESPACE, broken)
    without_pods = [rule for rule in ALL if "resources: [pods]" not in rule]
    await control_plane.api.apply(reader(NAMESPACE, without_pods, name="pods"))
    yield control_plane
    await control_plane.delete_namespace(NAMESPACE)


async def test_a_warning_of_an_init_container_is_told_beside_what_triton_says(plane: ControlPlane) -> None:
    report = build_report(await seen(plane, BROKEN_FILE), RULES)
    assert (report.verdict.category, report.verdict.confidence, report.verdict.model) == (
        "artifact_integrity",
        "confirmed",
        "ranker",
    ), report
    told = [fact.text for fact in report.why]
    assert all(any(shown in text for text in told) for shown in BROKEN_FILE.shows), told


@pytest.mark.parametrize("who", [*RIGHTS, "nodes"])
@pytest.mark.parametrize("broken", [BROKEN_FILE, *ONES], ids=str)
async def test_without_a_right_the_report_names_it_and_is_no_surer(
    broken: ClusterFailure, who: str, plane: ControlPlane
) -> None:
    whole = await seen(plane, broken)
    snapshot = await seen(plane, broken, who)
    report = build_report(snapshot, RULES)
    refused = {e.source for e in snapshot.evidence if e.missing and e.missing.reason == "forbidden"}
    told = {one.what for one in report.unseen if one.reason == "forbidden"}
    assert refused == told
    asked = {"logs": "log", "events": "events", "nodes": "node"}.get(who)
    if asked is not None:
        assert any(asked in source for source in refused), snapshot.evidence
        assert all("add to the" in one.remedy for one in report.unseen if one.reason == "forbidden")
    assert_no_surer(report.verdict, build_report(whole, RULES).verdict)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("broken", [BROKEN_FILE, *ONES], ids=str)
async def test_each_source_gone_in_each_way_is_told_as_such(
    broken: ClusterFailure, reason: MissingReason, plane: ControlPlane
) -> None:
    """What was really read, with one source after the other taken out of it; a log that was cut keeps its first half."""
    whole = await seen(plane, broken)
    best = build_report(whole, RULES).verdict
    for snapshot, gone in without_each(whole, reason):
        report = build_report(snapshot, RULES)
        assert reason in {one.reason for one in report.unseen if one.what == gone.source}, gone.id
        assert_no_surer(report.verdict, best)


async def test_without_the_right_to_pods_nothing_is_told_but_that(plane: ControlPlane) -> None:
    report = build_report(await seen(plane, BROKEN_FILE, "pods"), RULES)
    assert report.verdict.category == "cannot_tell"
    [unseen] = report.unseen
    assert (unseen.what, unseen.reason) == (f"pods of pod/{BROKEN_FILE.id}", "forbidden")
    assert 'apiGroups: [""], resources: [pods], verbs: [get]' in unseen.remedy


async def test_a_running_pod_without_the_rights_to_its_port_and_its_cpu(plane: ControlPlane) -> None:
    """What its log says stays; that nobody may ask its port is not that the port is closed."""
    log = "I1130 12:00:00.000000 1 model_lifecycle.cc:472] loading: ranker:1\n"
    runs = ClusterFailure(
        id="runs",
        broken="",
        category="",
        confidence="",
        action=(),
        reports=[running("triton", ready=False)],
        logs={("triton", False): log},
    )
    await be_failing(plane, NAMESPACE, runs)
    for who, what, right in (
        ("proxy", "port 8000 of pod runs", "resources: [pods/proxy], verbs: [create]"),
        ("metrics", "CPU and memory that pod runs uses", "resources: [pods], verbs: [get]"),
    ):
        report = build_report(await seen(plane, runs, who), RULES)
        told = {one.what: one for one in report.unseen if one.reason == "forbidden"}
        assert right in " ".join(one.remedy for one in report.unseen if one.what == what), told
        assert report.verdict.leaf == "hangs"
        assert not any("nobody listens" in fact.text for fact in report.why)


async def test_a_pod_that_goes_meanwhile_is_not_found_and_no_verdict(plane: ControlPlane) -> None:
    name = "goes"
    gone = ClusterFailure(
        id=name, broken="", category="", confidence="", action=(), reports=[crash_loop("triton")]
    )
    await be_failing(plane, NAMESPACE, gone)
    await plane.api.delete("v1", "Pod", name, NAMESPACE)
    report = build_report(await seen(plane, gone), RULES)
    assert report.verdict.category == "cannot_tell"
    assert [(one.what, one.reason) for one in report.unseen] == [(f"pods of pod/{name}", "not_found")]


def without_each(whole: Snapshot, reason: MissingReason) -> Iterator[tuple[Snapshot, Evidence]]:
    for number, evidence in enumerate(whole.evidence):
        if evidence.facts is None or evidence.id == "pods":
            continue
        if reason == "truncated":
            if not isinstance(evidence.facts, LogExcerpt):
                continue
            half = evidence.facts.lines[: len(evidence.facts.lines) // 2]
            facts = msgspec.structs.replace(evidence.facts, lines=half, cut=True)
            changed = msgspec.structs.replace(evidence, facts=facts)
        else:
            changed = msgspec.structs.replace(
                evidence, facts=None, missing=Missing(reason, "gone", "ask again")
            )
        kept = (*whole.evidence[:number], changed, *whole.evidence[number + 1 :])
        yield msgspec.structs.replace(whole, evidence=kept), evidence


def assert_no_surer(got: VerdictView, whole: VerdictView) -> None:
    assert BANDS.index(got.confidence) >= BANDS.index(whole.confidence), got
    assert got.category in (whole.category, "cannot_tell"), got


async def seen(plane: ControlPlane, broken: ClusterFailure, who: str = "on-call") -> Snapshot:
    kubeconfig: Path = await plane.service_account_kubeconfig(NAMESPACE, who)
    return await look_at(kubeconfig, NAMESPACE, f"pod/{broken.id}")
