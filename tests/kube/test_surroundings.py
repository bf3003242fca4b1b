"""What is read around a pod: CPU and memory of its containers, its node, who has GPUs there; and what each says where it is not."""

from typing import Any

import pytest

from telemetry.gpu_holders import GpuPod, read_gpu_pods
from telemetry.gpu_resources import gpus_of
from telemetry.kubernetes_api import KubernetesError
from telemetry.nodes import read_nodes
from telemetry.pod_metrics import ContainerUsage, parse_amount, read_usage
from tests.kube.canned_api import CannedApi
from tests.triage.snapshots import container
from triage.evidence import ContainerView, Facts, Missing, PodView
from triage.probes.pod_surroundings import surroundings_questions
from triage.seal import Seal

USE = "/apis/metrics.k8s.io/v1beta1/namespaces/prod/pods/web-1"
NODE = "/api/v1/nodes/gpu-1"
ALL_PODS = "/api/v1/pods"
USED = {
    "timestamp": "2026-11-22T12:00:00Z",
    "window": "1m0.5s",
    "containers": [{"name": "triton", "usage": {"cpu": "1250000n", "memory": "312Mi"}}],
}


class Plain:
    masked = 0

    def line(self, line: str, /) -> str:
        return line

    def value(self, value: object, /) -> object:
        return value


@pytest.mark.parametrize(
    ("text", "amount"),
    [("250m", 0.25), ("1250000n", 0.00125), ("12u", 1.2e-05), ("2", 2.0), ("312Mi", 312 * 2**20), ("1k", 1000.0), ("0", 0.0)],
)  # fmt: skip
def test_an_amount_is_read_as_kubernetes_writes_it(text: str, amount: float) -> None:
    assert parse_amount(text) == pytest.approx(amount)


@pytest.mark.parametrize("text", ["", "-1", "1e3", "half", "1 Mi", "1Zi"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        parse_amount(text)


async def test_use_is_read_with_its_window() -> None:
    found = await read_usage(CannedApi({USE: USED}), "prod", "web-1")
    assert found.window_seconds == 60.5
    assert found.containers == (ContainerUsage("triton", 1250000 * 1e-9, 312 * 2**20),)


@pytest.mark.parametrize(
    "answer", [{}, {**USED, "containers": [{"name": "t", "usage": {}}]}, {**USED, "timestamp": "soon"}]
)
async def test_an_answer_that_is_no_measure_is_an_error_and_no_zero(answer: object) -> None:
    with pytest.raises(KubernetesError, match="malformed answer"):
        await read_usage(CannedApi({USE: answer}), "prod", "web-1")


async def test_a_node_tells_its_taints_and_its_gpus() -> None:
    told = {
        "metadata": {"name": "gpu-1"},
        "spec": {"taints": [{"key": "gpu", "value": "true", "effect": "NoSchedule"}, {"key": "k", "effect": "NoExecute"}]},
        "status": {"allocatable": {"cpu": "8", "nvidia.com/gpu": "4", "nvidia.com/mig-1g.5gb": "3", "nvidia.com/gpu.shared": "x"}},
    }  # fmt: skip
    (node,) = await read_nodes(CannedApi({NODE: told}), ["gpu-1"])
    assert (node.taints, node.gpus) == (("gpu=true:NoSchedule", "k:NoExecute"), 7)
    (silent,) = await read_nodes(CannedApi({NODE: {"metadata": {"name": "gpu-1"}}}), ["gpu-1"])
    assert silent.gpus is None


def test_no_gpu_is_none_of_another_kind() -> None:
    assert gpus_of({"amd.com/gpu": "1", "memory": "1Gi"}) == 0


def test_megabytes_and_percent_of_a_shared_gpu_are_no_gpus() -> None:
    """HAMi asks for a part of a GPU so."""
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3000", "nvidia.com/gpumem-percentage": "50"}
    assert gpus_of({**limits, "nvidia.com/gpucores": "30"}) == 1


async def test_who_has_gpus_is_told_by_limits_as_the_scheduler_counts_them() -> None:
    def pod(
        name: str, mains: list[str], inits: tuple[str, ...] = (), **metadata: object
    ) -> dict[str, object]:
        def of(gpus: str) -> dict[str, object]:
            return {"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}}}

        spec = {"containers": [of(gpus) for gpus in mains], "initContainers": [of(gpus) for gpus in inits]}
        return {"metadata": {"name": name, "namespace": "prod", **metadata}, "spec": spec}

    def with_sidecar(name: str, *, then: str) -> dict[str, object]:
        """A sidecar with a GPU, an init container with `then` of them after it, and a container with one."""
        made: dict[str, Any] = pod(name, ["1"], ("1", then))
        made["spec"]["initContainers"][0]["restartPolicy"] = "Always"
        return made

    leaving: dict[str, Any] = {"deletionTimestamp": "2026-11-22T12:00:00Z"}
    pods = [
        with_sidecar("beside", then="0"),
        with_sidecar("beside-init", then="2"),
        pod("two", ["1", "1"]),
        pod("none", ["0"]),
        pod("init", ["1"], ("2",)),
        pod("goes", ["1"], **leaving),
    ]
    api = CannedApi({ALL_PODS: {"items": pods}})
    assert await read_gpu_pods(api, "gpu-1") == [
        GpuPod("prod", "beside", 2, False),
        GpuPod("prod", "beside-init", 3, False),
        GpuPod("prod", "goes", 1, True),
        GpuPod("prod", "init", 2, False),
        GpuPod("prod", "two", 2, False),
    ]


RUNNING = container(limits={"nvidia.com/gpu": "1"})


@pytest.mark.parametrize(
    ("node", "triton", "probes"),
    [
        ("gpu-1", RUNNING, ["node", "use", "gpu_holders"]),
        ("gpu-1", container(), ["node", "use"]),
        ("gpu-1", container("waiting: ContainerCreating"), ["node"]),
        ("", RUNNING, []),
    ],
)
def test_only_what_can_be_told_is_asked(node: str, triton: ContainerView, probes: list[str]) -> None:
    pod = PodView("prod", "web-1", "Running", False, node, containers=(triton,))
    assert [each.probe for each in surroundings_questions(CannedApi({}), pod, "kubectl")] == probes


async def test_what_is_gone_or_forbidden_is_told_as_such() -> None:
    """A pod that metrics-server has not measured yet is not one that uses nothing."""
    told = await answers(CannedApi({}, forbidden=[ALL_PODS]))
    assert {probe: facts.reason for probe, facts in told.items() if isinstance(facts, Missing)} == {
        "node": "not_found",
        "use": "not_found",
        "gpu_holders": "forbidden",
    }
    told = await answers(CannedApi({}, forbidden=[USE, NODE, ALL_PODS]))
    assert {facts.reason for facts in told.values() if isinstance(facts, Missing)} == {"forbidden"}
    assert all(
        facts.remedy.endswith("no verdict needs it") for facts in told.values() if isinstance(facts, Missing)
    )


async def answers(api: CannedApi) -> dict[str, Facts | Missing]:
    pod = PodView("prod", "web-1", "Running", False, "gpu-1", containers=(RUNNING,))
    asked = surroundings_questions(api, pod, "kubectl")
    return {each.probe: (await each.ask(Seal(Plain()))).facts for each in asked}
