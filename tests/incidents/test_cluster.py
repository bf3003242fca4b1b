"""The cluster beside an incident: Kubernetes' own controllers make and end the pods, and the API tells of them what happened."""

from pathlib import Path

import pytest

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import running
from tests.incidents.cluster import CONTAINER, IMAGE, NAMESPACE, Cluster, Template

pytestmark = [pytest.mark.accuracy, pytest.mark.timeout(120)]


async def test_a_rollout_ends_an_old_pod_once_a_new_one_is_ready(tmp_path: Path) -> None:
    async with Cluster(ensure_tools(), tmp_path, replicas=1) as cluster:
        old = await cluster.place("node-a")
        await cluster.plane.kubelet.report(NAMESPACE, old, running(CONTAINER))
        await cluster.roll_out(Template(image=f"{IMAGE}-py3"))
        new = await cluster.place("node-b")
        assert await cluster.endings() == []
        await cluster.plane.kubelet.report(NAMESPACE, new, running(CONTAINER))
        assert await cluster.next_ending(set()) == old
        assert [_named(pod) for pod in await cluster.pods()] == [(new, "node-b")]
        await cluster.released(old)


async def test_a_deleted_pod_is_there_until_its_container_ends_and_has_a_successor(tmp_path: Path) -> None:
    async with Cluster(ensure_tools(), tmp_path, replicas=1) as cluster:
        old = await cluster.place("node-a")
        await cluster.delete(old)
        assert await cluster.place("node-bad") != old
        assert await cluster.endings() == [old]
        await cluster.released(old)
        assert await cluster.endings() == []


def _named(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["name"], pod["spec"]["nodeName"]
