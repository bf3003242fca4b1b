"""A pod's Triton through the API server's proxy: where its ports are, what its metrics page tells of GPUs, and what stands in for
an answer where there is none: a port that is closed, a right that is missing, a pod that is gone, an answer without end."""

import pytest

from telemetry.kubernetes_api import KubernetesError
from tests.triage.snapshots import container
from triage.collect import Question
from triage.evidence import ContainerView, GpuMemory, GpuUse, Missing, PodView, RepositoryIndex
from triage.probes.pod_triton import gpu_memory, pod_triton_questions
from triage.seal import Seal
from triage.triton_ports import http_port, metrics_port

USED = 'nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 84825604096.000000\n'
TOTAL = 'nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"} 85899345920.000000\n'
UNREAD = "".join(line.replace("GPU-1", "GPU-2").partition(" ")[0] + " 0.000000\n" for line in (USED, TOTAL))
"""Of a GPU that Triton cannot read."""
DENIED = (
    'pods "web-1:8000" is forbidden: User "on-call" cannot create resource "pods/proxy" in API group ""'
    ' in the namespace "prod"'
)


@pytest.mark.parametrize(
    ("page", "found"),
    [
        (USED + TOTAL, GpuMemory((GpuUse("GPU-1", 84825604096.0, 85899345920.0),))),
        ("nv_inference_count 1\n", "no_series"),
        (USED, "no_series"),
        (
            USED + TOTAL + UNREAD,
            GpuMemory((GpuUse("GPU-1", 84825604096.0, 85899345920.0), GpuUse("GPU-2", 0.0, 0.0))),
        ),
        (UNREAD, "no_series"),
        (USED.replace("84825604096.000000", "NaN") + TOTAL, "no_series"),
        (USED + TOTAL.replace("85899345920.000000", "+Inf"), "no_series"),
        (USED.replace(" 8", " -8") + TOTAL, "no_series"),
        ("<html>", "parse_error"),
        ("", "parse_error"),
    ],
)
def test_a_page_without_both_gauges_tells_nothing(page: str, found: GpuMemory | str) -> None:
    got = gpu_memory(page.encode())
    assert (got.reason if isinstance(got, Missing) else got) == found


@pytest.mark.parametrize(
    ("triton", "http", "metrics"),
    [
        (container(), 8000, 8002),
        (container(args=("--http-port=9000", "--metrics-port", "9002")), 9000, 9002),
        (container(command=("sh", "-c"), args=("tritonserver --http-port 9000",)), 9000, 8002),
        (container(ports=(("http", 80), ("metrics", 82))), 80, 82),
        (container(ports=(("http", 80),), args=("--http-port=9000",)), 9000, 8002),
        (container(args=("--reuse-http-port=1",)), 8000, 8002),
    ],
)
def test_the_ports_are_those_of_the_arguments_else_by_name_else_tritons_own(
    triton: ContainerView, http: int, metrics: int
) -> None:
    assert (http_port(triton), metrics_port(triton)) == (http, metrics)


class Answers:
    """What the API server answers to every call."""

    def __init__(self, answer: tuple[int, bytes] | KubernetesError) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def exchange(self, method: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
        assert (body is not None) == (method == "POST")
        self.asked.append((method, path))
        if isinstance(self.answer, KubernetesError):
            raise self.answer
        return self.answer


class Plain:
    masked = 0

    def line(self, line: str, /) -> str:
        return line

    def value(self, value: object, /) -> object:
        return value


@pytest.mark.parametrize(
    ("error", "reason", "follow_ups"),
    [
        (KubernetesError("x", status=403, reason="Forbidden", detail=DENIED), "forbidden", ["readiness:web-1"]),
        (KubernetesError("x", status=404, reason="NotFound", detail='pods "web-1" not found'), "not_found", []),
        (KubernetesError("x", status=503, reason="ServiceUnavailable",
                         detail="error trying to reach service: dial tcp 10.0.0.1:8000: connect: connection refused"),
         "not_started", []),
        (KubernetesError("x", status=503, reason="ServiceUnavailable",
                         detail="error trying to reach service: dial tcp 10.0.0.1:8000: i/o timeout"), "unreachable", []),
        (KubernetesError("x", reason="Timeout"), "timeout", []),
        (KubernetesError("x", reason="TooLarge"), "truncated", []),
    ],
)  # fmt: skip
async def test_why_there_is_no_index_is_said_and_is_never_that_no_model_is_there(
    error: KubernetesError, reason: str, follow_ups: list[str]
) -> None:
    index, *_ = questions(Answers(error))
    found = await index.ask(Seal(Plain()))
    assert isinstance(found.facts, Missing)
    assert (found.facts.reason, [each.id for each in found.then]) == (reason, follow_ups)


async def test_an_index_raises_the_questions_about_its_failing_models() -> None:
    api = Answers(
        (
            200,
            b'[{"name":"m","version":"1","state":"UNAVAILABLE","reason":"x"},{"name":"a/b","state":"LOADING"}]',
        )
    )
    index, *_ = questions(api)
    found = await index.ask(Seal(Plain()))
    assert isinstance(found.facts, RepositoryIndex)
    assert api.asked == [("POST", "/api/v1/namespaces/prod/pods/web-1:8000/proxy/v2/repository/index")]
    then = {each.id: each for each in found.then}
    assert then.keys() >= {"metadata:web-1", "readiness:web-1", "readiness:m/1:web-1", "config:m/1:web-1"}
    slashed = await then["readiness:a/b:web-1"].ask(Seal(Plain()))
    assert isinstance(slashed.facts, Missing)
    assert slashed.facts.reason == "refused"  # the proxy would ask about another model
    assert len(api.asked) == 1


def test_nothing_is_asked_of_a_pod_whose_triton_does_not_run() -> None:
    assert not questions(Answers((200, b"")), container("waiting: CrashLoopBackOff"))
    assert not questions(Answers((200, b"")), phase="Failed")


def test_gpu_memory_is_asked_only_of_a_pod_with_gpus() -> None:
    assert [each.probe for each in questions(Answers((200, b"")))] == ["index"]
    gpu = container(limits={"nvidia.com/gpu": "1"})
    assert [each.probe for each in questions(Answers((200, b"")), gpu)] == ["index", "gpu_memory"]


def questions(api: Answers, triton: ContainerView | None = None, phase: str = "Running") -> list[Question]:
    pod = PodView("prod", "web-1", phase, False, containers=(triton or container(),))
    return pod_triton_questions(api, pod, "kubectl")
