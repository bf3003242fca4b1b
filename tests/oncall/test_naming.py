"""An alert is told under the workload that it is about, or says why there is none; unknown is not no."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from telemetry.target import Phase, Target
from tests.oncall.pods import KnownPods, pod
from tests.oncall.test_joining import told as plain
from triage.oncall.alertmanager import Told
from triage.oncall.naming import Naming
from triage.oncall.triton_pods import TritonPods

WEB, API = pod("web-6f7-x2"), pod("api-5d9-k1", "api")


def told(workload: str = "", *, model: str = "", tree: str = "p99", namespace: str = "prod") -> Told:
    one = plain(workload=workload, tree=tree)
    alert = msgspec.structs.replace(one.alert, model=model)
    return msgspec.structs.replace(one, namespace=namespace, alert=alert)


class Served:
    """By pod, the models that it says; who is not named is silent."""

    def __init__(self, models: Mapping[str, Sequence[str]]) -> None:
        self._models = models
        self.asked: list[str] = []

    async def __call__(self, target: Target) -> Sequence[str] | None:
        self.asked.append(target.key.pod)
        await asyncio.sleep(0)
        return self._models.get(target.key.pod)


async def named(one: Told, pods: TritonPods, models: Mapping[str, Sequence[str]] | None = None) -> Told:
    (only,) = await Naming(pods, Served(models or {})).named([one])
    return only


@pytest.mark.parametrize(
    ("given", "workload"),
    [
        ("deployment/web", "deployment/web"),
        ("deployment/nobody-knows", "deployment/nobody-knows"),
        ("pod/web-6f7-x2", "deployment/web"),
        ("pod/web-6f7b8c9d5-zz9zz", "deployment/web"),  # gone by now, and of a name that only that makes
        ("pod/other-6f7b8c9d5-zz9zz", "pod/other-6f7b8c9d5-zz9zz"),
    ],
)
async def test_a_named_workload_stays_and_a_pod_gives_its_workload(given: str, workload: str) -> None:
    one = await named(told(given), KnownPods(WEB, API))
    assert (one.workload, one.problem) == (workload, "")


async def test_where_there_is_one_workload_it_is_meant() -> None:
    assert (await named(told(), KnownPods(WEB))).workload == "deployment/web"


async def test_a_pod_that_nothing_owns_is_its_own_workload() -> None:
    assert (await named(told(), KnownPods(pod("alone", "")))).workload == "pod/alone"


async def test_of_several_the_one_that_serves_the_model_is_meant() -> None:
    models = {"web-6f7-x2": ["resnet50"], "api-5d9-k1": ["bert"]}
    one = await named(told(model="bert"), KnownPods(WEB, API), models)
    assert (one.workload, one.problem) == ("deployment/api", "")


@pytest.mark.parametrize(
    ("models", "why"),
    [
        ({}, "deployment/api, deployment/web did not say which models they have"),
        ({"web-6f7-x2": ["bert"]}, "is served by deployment/web; deployment/api did not say"),
        ({"web-6f7-x2": ["bert"], "api-5d9-k1": ["bert"]}, "is served by deployment/api, deployment/web:"),
        (
            {"web-6f7-x2": [], "api-5d9-k1": []},
            "none of deployment/api, deployment/web is known to serve model bert:",
        ),
    ],
)
async def test_where_the_model_does_not_tell_it_says_what_is_known(
    models: Mapping[str, Sequence[str]], why: str
) -> None:
    one = await named(told(model="bert"), KnownPods(WEB, API), models)
    assert one.workload == ""
    assert why in one.problem
    assert "give it the label workload, or pod" in one.problem


async def test_a_workload_whose_server_ended_may_be_the_one_that_is_meant() -> None:
    down = pod("api-5d9-k1", "api", phase=Phase.STOPPED, ready=False)
    one = await named(told(model="bert"), KnownPods(WEB, down), {"web-6f7-x2": ["bert"]})
    assert "deployment/api did not say" in one.problem


async def test_without_a_model_it_says_what_there_is() -> None:
    assert "there are deployment/api, deployment/web" in (await named(told(), KnownPods(WEB, API))).problem
    assert "none is known there" in (await named(told(), KnownPods())).problem


async def test_a_namespace_that_may_not_be_looked_at_is_told_and_not_asked() -> None:
    served = Served({})
    (one,) = await Naming(KnownPods(WEB, API), served).named([told(namespace="kube-system", model="bert")])
    assert "namespace kube-system is not among those that may be looked at (prod)" in one.problem
    assert not served.asked


@pytest.mark.parametrize("tree", ["", "disk"])
async def test_what_is_not_ours_is_left_as_it_is(tree: str) -> None:
    one = told(tree=tree, model="bert")
    assert await named(one, KnownPods(WEB, API)) == one


async def test_a_thousand_alerts_ask_each_workload_once() -> None:
    served = Served({"web-6f7-x2": ["m1"], "api-5d9-k1": ["m2"]})
    many = [told(model=f"m{number}") for number in range(1000)]
    answered = await Naming(KnownPods(WEB, API), served).named(many)
    assert sorted(served.asked) == ["api-5d9-k1", "web-6f7-x2"]
    assert [one.workload for one in answered[:3]] == ["", "deployment/web", "deployment/api"]


async def test_a_pod_that_serves_is_asked_before_one_that_does_not() -> None:
    served = Served({"web-b": ["bert"], "api-5d9-k1": []})
    pods = KnownPods(pod("web-a", ready=False), pod("web-b"), API)
    (one,) = await Naming(pods, served).named([told(model="bert")])
    assert one.workload == "deployment/web"
