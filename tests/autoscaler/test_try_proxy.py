"""Pages through the API server: the paths, the patience, and each refusal in words that stay the same."""

import asyncio
import time

import pytest

from autoscaler.trial.proxy import AT_ONCE, PER_SECOND, ProxyPages, proxied
from autoscaler.trial.refusals import FORBIDDEN
from telemetry.http_body import StatusError
from telemetry.kubernetes_api import KubernetesError
from telemetry.target import Phase, PodKey, Target


class Server:
    """Answers what it was told to, after `seconds`, and keeps when it was asked."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.asked: list[str] = []
        self.at: list[float] = []
        self.most_at_once = 0
        self.error: KubernetesError | None = None
        self._seconds = seconds
        self._now = 0

    async def fetch(self, path: str, most: int) -> bytes:
        self.asked.append(path)
        self.at.append(time.monotonic())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await asyncio.sleep(self._seconds)
        self._now -= 1
        if self.error is not None:
            raise self.error
        return b"page"


@pytest.mark.parametrize("host", ["10.0.0.7", "[fd00::7]"])
def test_a_targets_urls_become_paths_of_the_api_server(host: str) -> None:
    key = PodKey("prod", "triton-0", "")
    target = Target(key, f"http://{host}:8002/metrics", f"http://{host}:8000", Phase.RUNNING, ready=True)
    through = proxied(target)
    base = "/api/v1/namespaces/prod/pods/triton-0"
    assert (through.metrics_url, through.http_url) == (f"{base}:8002/proxy/metrics", f"{base}:8000/proxy")


def test_a_pod_without_an_address_has_no_path() -> None:
    target = Target(PodKey("prod", "triton-0", ""), None, None, Phase.STARTING, ready=False)
    assert (proxied(target).metrics_url, proxied(target).http_url) == (None, None)


async def test_pods_are_asked_a_handful_at_once_and_twenty_a_second() -> None:
    server = Server(seconds=0.4)
    pages = ProxyPages(server)

    async def ask() -> None:
        async with pages.turn(mute=False):
            await pages.read("/page", 10)

    await asyncio.gather(*(ask() for _ in range(15)))
    assert server.most_at_once == AT_ONCE
    between = [later - earlier for earlier, later in zip(server.at, server.at[1:], strict=False)]
    assert min(between) > 0.5 / PER_SECOND  # a late one may come close to the next, and none overtakes
    assert server.at[-1] - server.at[0] >= 14 / PER_SECOND - 0.01


async def test_a_models_configuration_is_read_from_one_pod_for_all() -> None:
    server = Server()
    pages = ProxyPages(server)
    paths = [f"/api/v1/namespaces/p/pods/{pod}:8000/proxy/v2/models/m%2Fx/config" for pod in "abc"]
    assert await asyncio.gather(*(pages.read(path, 10) for path in paths)) == [b"page"] * 3
    assert server.asked == paths[:1]


async def test_a_configuration_that_cannot_be_read_is_not_asked_of_every_pod() -> None:
    server = Server()
    server.error = KubernetesError("no", status=503, reason="ServiceUnavailable", detail="x: EOF")
    now = 100.0
    pages = ProxyPages(server, lambda: now)
    for _ in range(3):
        with pytest.raises(StatusError):
            await pages.read("/proxy/v2/models/m/config", 10)
    assert len(server.asked) == 1
    now += 21
    server.error = None
    assert await pages.read("/proxy/v2/models/m/config", 10) == b"page"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KubernetesError("", status=403, reason="Forbidden", detail="pods x is forbidden"), FORBIDDEN),
        (
            KubernetesError(
                "",
                status=503,
                reason="ServiceUnavailable",
                detail="error trying to reach service: dial tcp 10.0.0.7:8002: connect: connection refused",
            ),
            "the API server cannot reach it: connection refused",
        ),
        (
            KubernetesError(
                "",
                status=503,
                reason="ServiceUnavailable",
                detail="error trying to reach service: dial tcp 10.0.0.7:8002: i/o timeout",
            ),
            "the API server cannot reach it: i/o timeout",
        ),
        # The same status without a reason is the pod's own answer, handed on.
        (KubernetesError("", status=503), "answers HTTP 503"),
        (KubernetesError("", status=404), "answers HTTP 404"),
        (
            KubernetesError("", status=404, reason="NotFound", detail='pods "triton-0" not found'),
            'the API server answers 404: pods "triton-0" not found',
        ),
        (KubernetesError("", reason="TooLarge"), "sends more than a page may have"),
        (KubernetesError("", reason="Unreachable"), "the API server does not answer"),
        (KubernetesError("", status=429, reason="TooManyRequests"), "the API server is busy"),
    ],
)
async def test_refusals(error: KubernetesError, said: str) -> None:
    server = Server()
    server.error = error
    with pytest.raises(StatusError) as refused:
        await ProxyPages(server).read("/page", 10)
    assert str(refused.value) == said


async def test_an_answer_that_does_not_come_in_time_is_told_as_such() -> None:
    server = Server()
    server.error = KubernetesError("", reason="Timeout")
    with pytest.raises(TimeoutError):
        await ProxyPages(server).read("/page", 10)
