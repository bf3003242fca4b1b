"""`triton-triage load-failure -A` on a real control plane: failures of real Tritons in several namespaces, and missing rights."""

import asyncio
import json
import os
import shlex
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.loadfailures.failing_cluster import FailingCluster, Workload
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Seen, start
from tests.tritons.install import TritonInstall

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOP, ADS, VISION, SECRET = "failing-shop", "failing-ads", "failing-vision", "failing-secret"
NAMESPACES = (SHOP, ADS, VISION, SECRET)
HOW = ("DOWN", "PARTLY", "OLD")
LOGS = (
    "initialize-raises",
    "healthy",
    "new-version-of-broken-code",
    "initialize-raises-and-the-server-exits",
    "weights-are-a-pointer",
)
GATEWAY = {
    "name": "triton",
    "image": "registry.example/envoy:1.31",
    "args": ["--upstream=triton:8000"],
    "ports": [{"containerPort": 8000}],
}
"""No Triton, though it names one and has one of its ports."""
PENDING = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


@dataclass(frozen=True)
class Cluster:
    whole: Path
    """Of who may see everything that is asked for."""
    part: Path
    """Of who may list the cluster's namespaces, the pods of all but one, and may not ask pods."""
    none: Path
    """Of who may do nothing."""
    asked: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("failing-models")
    tasks = start([f for f in FAILURES if f.id in LOGS], triton_install, folder)
    seen = {name: await task for name, task in tasks.items()}
    for namespace in NAMESPACES:
        await control_plane.create_namespace(namespace)
    async with FailingCluster(control_plane) as failing:
        for workload in workloads(seen):
            await failing.add(workload)
        await failing.add_pending(ADS, "translator-0", PENDING)
        await control_plane.api.apply([account(name) for name in ("whole", "part", "none")])
        await control_plane.api.apply(rights())
        whole, part, none = [
            await control_plane.service_account_kubeconfig(SHOP, name) for name in ("whole", "part", "none")
        ]
        yield Cluster(whole, part, none, failing.asked)
    for name in ("whole", "part-namespaces"):
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            await control_plane.api.delete("rbac.authorization.k8s.io/v1", kind, f"failing-{name}")
    for namespace in NAMESPACES:
        await control_plane.delete_namespace(namespace)


def workloads(seen: Mapping[str, Seen]) -> list[Workload]:
    raises, healthy = seen["initialize-raises"], seen["healthy"]
    exits, pointer = seen["initialize-raises-and-the-server-exits"], seen["weights-are-a-pointer"]
    return [
        Workload(SHOP, "all-down", [("unready", raises)] * 3),
        Workload(SHOP, "one-of-three", [("ready", healthy), ("ready", healthy), ("unready", raises)]),
        Workload(SHOP, "well", [("ready", healthy)] * 2),
        Workload(ADS, "ended", [("crash_loop", exits)]),
        Workload(ADS, "no-image", [("image", None)] * 2),
        Workload(VISION, "old-serves", [("ready", seen["new-version-of-broken-code"])] * 2),
        Workload(SECRET, "hidden", [("unready", pointer)]),
        Workload(VISION, "gateway", [("unready", None)], GATEWAY),
    ]


async def test_every_failing_model_is_one_line_and_the_worst_comes_first(cluster: Cluster) -> None:
    found = await triage(cluster.whole, "-A", "-o", "json")
    told = json.loads(found.out)
    assert told["schema"] == "triton-ops/failing-models/v1"
    assert [summary(line) for line in told["lines"] if line["namespace"] in NAMESPACES] == [
        ("nobody", "shop deployment/all-down", "ranker:1", "model_code", "confirmed", "3/3"),
        ("nobody", "ads deployment/ended", "ranker:1", "model_code", "confirmed", "1/1"),
        ("nobody", "ads pod/translator-0", None, "host_resources", "likely", "1/1"),
        ("nobody", "secret deployment/hidden", "embedder:1", "artifact_integrity", "confirmed", "1/1"),
        ("nobody", "ads deployment/no-image", None, "not_a_load_failure", "likely", "2/2"),
        ("some", "shop deployment/one-of-three", "ranker:1", "model_code", "confirmed", "1/3"),
        ("earlier_version", "vision deployment/old-serves", "ranker:2", "model_code", "confirmed", "2/2"),
    ]
    assert (found.code, found.err) == (1, "")
    assert told["unseen"] == []
    assert told["requests"] <= 3 + 3 * told["looked"]["triton"]


async def test_each_line_has_the_command_that_prints_its_whole_report(cluster: Cluster) -> None:
    told = json.loads((await triage(cluster.whole, "-n", SHOP, "-o", "json")).out)
    for line in told["lines"]:
        program, *words = shlex.split(line["report"])
        assert (program, words[0]) == ("triton-triage", "load-failure")
        report = json.loads((await triage(None, *words[1:], "-o", "json")).out)
        verdict = report["verdict"]
        assert (verdict["model"], verdict["category"], verdict["action"]) == (
            line["model"],
            line["category"],
            line["action"],
        )


async def test_what_may_not_be_seen_is_told_with_the_right_that_is_missing(cluster: Cluster) -> None:
    """The cluster's pods may not be listed, those of some namespaces may, and no pod may be asked for its models: verdicts rest on
    the log alone, and nobody is said to serve what nobody was asked about."""
    found = await triage(cluster.part, "-A", "-o", "json")
    told = json.loads(found.out)
    assert [summary(line) for line in told["lines"]] == [
        ("nobody", "shop deployment/all-down", "ranker:1", "model_code", "likely", "3/3"),
        ("nobody", "ads deployment/ended", "ranker:1", "model_code", "confirmed", "1/1"),
        ("nobody", "ads pod/translator-0", None, "host_resources", "likely", "1/1"),
        ("nobody", "ads deployment/no-image", None, "not_a_load_failure", "likely", "2/2"),
        ("some", "shop deployment/one-of-three", "ranker:1", "model_code", "likely", "1/3"),
    ]
    (partly,) = [line["pods"] for line in told["lines"] if line["serving"] == "some"]
    assert (partly["serve"], partly["may_serve"]) == (0, 2)
    assert SECRET in told["unlisted"]
    unseen = {(gap["what"], gap["reason"]): gap for gap in told["unseen"]}
    assert SECRET in unseen["pods", "forbidden"]["namespaces"]
    assert "--verb=get,list --resource=pods,pods/log,events" in unseen["pods", "forbidden"]["remedy"]
    models = unseen["which models Triton has", "forbidden"]
    assert "--verb=create --resource=pods/proxy" in models["remedy"]
    assert told["looked"]["not_asked"] == 6
    assert found.code == 1


async def test_who_may_list_nothing_is_told_which_right_is_missing_and_what_to_ask_instead(
    cluster: Cluster,
) -> None:
    everywhere = await triage(cluster.none, "-A")
    assert everywhere.code == 3
    assert everywhere.out == ""
    assert "grant this identity the right to list pods in all namespaces" in everywhere.err
    assert "-n NAMESPACE" in everywhere.err
    one = await triage(cluster.none, "-n", SHOP)
    assert one.code == 3
    assert f'grant this identity the right to list pods in namespace "{SHOP}"' in one.err


async def test_ready_pods_that_may_not_be_asked_are_no_sign_of_health(cluster: Cluster) -> None:
    """Here a model of theirs does fail."""
    found = await triage(cluster.part, "-n", VISION)
    assert found.code == 3
    assert found.out.startswith("CANNOT TELL: no failing model was seen, and 2 ready pods could not be asked")


async def test_a_namespace_in_which_nothing_fails_is_exit_0(cluster: Cluster) -> None:
    found = await triage(cluster.whole, "-n", SHOP, "-l", "app=well", "-A")
    assert found.code == 2  # one of both
    found = await triage(cluster.whole, "-A", "-l", "app=well")
    assert (found.code, found.out.partition("\n")[0]) == (0, "NOTHING FAILS in 2 Triton pods.")


@pytest.mark.parametrize("columns", [80, 140])
async def test_it_fits_the_width_and_is_the_same_each_time(cluster: Cluster, columns: int) -> None:
    first, second = [
        (await triage(cluster.whole, "-A", columns=str(columns))).out.splitlines() for _ in range(2)
    ]
    assert [line for line in first if len(line) > columns and not line.startswith("  $ ")] == []
    assert all(line.isprintable() for line in first)
    which = [[line.split()[:4] for line in lines if line.startswith(HOW)] for lines in (first, second)]
    assert which[0] == which[1]
    assert len(which[0]) == 7


def summary(line: Mapping[str, Any]) -> tuple[object, ...]:
    pods = line["pods"]
    where = f"{line['namespace'].removeprefix('failing-')} {line['workload']}"
    model = f"{line['model']}:{line['version']}" if line["version"] else line["model"]
    verdict = line["category"], line["confidence"]
    return line["serving"], where, model, *verdict, f"{pods['failing']}/{pods['of']}"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


async def triage(kubeconfig: Path | None, *words: str, columns: str = "") -> Ran:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "triage",
            "load-failure",
            *(("--kubeconfig", str(kubeconfig)) if kubeconfig else ()),
            *words,
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment | ({"COLUMNS": columns} if columns else {}),
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SHOP}}


def rights() -> list[dict[str, Any]]:
    see = {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list"]}
    ask = {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["create"]}
    names = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}
    own = {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get", "list"]}
    found = [*bound("ClusterRole", "failing-whole", "whole", [see, ask, own])]
    found += bound("ClusterRole", "failing-part-namespaces", "part", [names])
    for namespace in (SHOP, ADS, VISION):
        found += bound("Role", "part", "part", [see], namespace)
    return found


def bound(
    kind: str, name: str, account: str, rules: Sequence[Mapping[str, Any]], namespace: str = ""
) -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return [
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "rules": list(rules)},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SHOP}],
        },
    ]
