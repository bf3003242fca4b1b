"""Each right that the chart gives is one that the daemon needs: with all it sees everything, without any one of them a named
check fails. The daemon runs as its service account against the real API server."""

import asyncio
import json
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
import pytest_asyncio

from autoscaler.signal import load_signals
from telemetry.rules_dir import rules_dir
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.deploy.helm import Helm, of_kind
from tests.deploy.owned_pods import ABOVE, NAMESPACE, make_owned_pods
from tests.e2e.daemon import Daemon, shipped_rights
from tests.e2e.fleet import CONFIG

in_the_session = pytest.mark.asyncio(loop_scope="session")

SECONDS = 30.0
RBAC = "rbac.authorization.k8s.io/v1"


class Right(NamedTuple):
    resource: str
    verb: str


class Check(NamedTuple):
    """What is asked, and what it says with the right and without."""

    question: str
    """`readyz`, or the workload whose value is asked for."""
    seen: str
    unseen: str


_SCRAPED, _NO_POD = "does not answer scrapes", "no Triton pod here matches"
_ALL_WELL = r"(?m)^\[\+\]pods-listed ok$"
_NO_API_SERVICE = r"\[-\]ca-bundle failed: no right to get and update APIService"


def _owners(resource: str, kind: str) -> list[Check]:
    """Without the right the pods of such an owner are found by a wrong name, and that is told."""
    told = rf'\[\+\]pods-listed ok: .*no right to get {resource} in namespace "{NAMESPACE}"'
    return [Check(ABOVE[kind], _SCRAPED, _NO_POD), Check("readyz", _ALL_WELL, told)]


CHECKS = {
    Right("pods", "list"): [Check("readyz", _ALL_WELL, r"\[-\]pods-listed failed: .*forbidden")],
    Right("pods", "watch"): [
        Check(
            "readyz", _ALL_WELL, r"\[\+\]pods-listed ok: cannot watch pods in all namespaces: 403 .*forbidden"
        )
    ],
    Right("pods", "get"): _owners("pods", "Pod"),
    Right("replicasets", "get"): _owners("replicasets.apps", "ReplicaSet"),
    Right("statefulsets", "get"): _owners("statefulsets.apps", "StatefulSet"),
    Right("apiservices", "get"): [Check("readyz", r"\[\+\]ca-bundle ok", _NO_API_SERVICE)],
    Right("apiservices", "update"): [Check("readyz", r"\[\+\]ca-bundle ok", _NO_API_SERVICE)],
    Right("configmaps", "get"): [
        Check(
            "readyz",
            r"\[\+\]front-proxy-ca ok",
            r"\[-\]front-proxy-ca failed: no right to read ConfigMap kube-system/",
        )
    ],
}
"""Every right, and by what its lack is known."""


def test_every_right_given_has_its_check() -> None:
    """The ConfigMap comes by Kubernetes' own role; all else is listed in the manifests."""
    given = {
        Right(resource, verb)
        for role in _of_kind(shipped_rights(), "ClusterRole")
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given | {Right("configmaps", "get")} == set(CHECKS)
    assert not any("*" in right for right in given)
    [named] = [
        rule
        for role in _of_kind(shipped_rights(), "ClusterRole")
        for rule in role["rules"]
        if "update" in rule["verbs"]
    ]
    assert named["resourceNames"] == ["v1beta1.external.metrics.k8s.io"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def daemon(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Daemon]:
    """Beside pods that a ReplicaSet, a StatefulSet and a pod own, each of them owned in turn."""
    started = Daemon(control_plane, tmp_path_factory.mktemp("daemon"), CONFIG)
    await make_owned_pods(control_plane)
    await control_plane.install_external_metrics(started.port)
    async with started:
        yield started
    await control_plane.remove_external_metrics()
    await control_plane.delete_namespace(NAMESPACE)


@in_the_session
async def test_with_all_rights_it_sees_everything_and_is_refused_nothing(
    daemon: Daemon, control_plane: ControlPlane
) -> None:
    before = await _refusals(control_plane)
    await _restart(daemon)
    for check in (check for checks in CHECKS.values() for check in checks):
        await _until_said(daemon, control_plane, check.question, check.seen)
    assert await _refusals(control_plane) == before


@in_the_session
async def test_helms_own_test_needs_no_right_and_lists_the_signals(
    daemon: Daemon, control_plane: ControlPlane, helm: Helm, tmp_path: Path
) -> None:
    """The pod's program, as a service account to which nobody gave anything."""
    kubeconfig = await control_plane.service_account_kubeconfig(NAMESPACE, "default")
    token = json.loads(kubeconfig.read_text())["users"][0]["user"]["token"]
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes(control_plane.certificates.cluster_ca.read_bytes())
    await control_plane.wait_for_external_metrics()
    [container] = of_kind(helm.template(), "Pod")["spec"]["containers"]
    program = container["args"][0].replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path))
    host, port = control_plane.server.removeprefix("https://").split(":")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, output.decode()
    assert set(output.decode().split()) == set(load_signals(rules_dir() / "signals"))


@in_the_session
@pytest.mark.parametrize("right", CHECKS, ids=lambda right: "-".join(right))
async def test_without_one_right_its_check_fails(
    daemon: Daemon, control_plane: ControlPlane, right: Right
) -> None:
    """kube-apiserver refuses, the daemon lives on, and what it could not see is told."""
    before = await _refusals(control_plane)
    await daemon.kill()
    await _take(control_plane, right)
    try:
        await daemon.start()
        await _until_refused(control_plane, before)
        for check in CHECKS[right]:
            await _until_said(daemon, control_plane, check.question, check.unseen)
    finally:
        await control_plane.api.apply(shipped_rights())


@in_the_session
async def test_a_watch_that_is_refused_is_told_once_until_the_right_is_given(
    daemon: Daemon, control_plane: ControlPlane
) -> None:
    """List is granted: pods are found up to half a minute late, and somebody must hear of that."""
    await daemon.kill()
    [check] = CHECKS[Right("pods", "watch")]
    began, followed = len(daemon.log.read_text()), "triton_autoscaler_pods_followed"
    await _take(control_plane, Right("pods", "watch"))
    try:
        await daemon.start()
        await _until_said(daemon, control_plane, "readyz", check.unseen)
        for _ in range(3):
            await _until_refused(control_plane, await _refusals(control_plane))
        assert re.search(check.unseen, await daemon.readyz())
        assert f"{followed} 0.0" in await daemon.own_metrics()
    finally:
        await control_plane.api.apply(shipped_rights())
    await _until_said(daemon, control_plane, "readyz", check.seen)
    assert f"{followed} 1.0" in await daemon.own_metrics()
    events = [json.loads(line) for line in daemon.log.read_text()[began:].splitlines()]
    told = [(each["event"], each["level"]) for each in events if each.get("path") == "/api/v1/pods"]
    assert told == [("watch fails", "warning"), ("watch goes on", "info")]


async def _restart(daemon: Daemon) -> None:
    await daemon.kill()
    await daemon.start()


async def _take(control_plane: ControlPlane, right: Right) -> None:
    """Takes this one right from the service account."""
    if right.resource == "configmaps":
        [binding] = _of_kind(shipped_rights(), "RoleBinding")
        name, namespace = binding["metadata"]["name"], binding["metadata"]["namespace"]
        await control_plane.api.delete(RBAC, "RoleBinding", name, namespace)
        return
    for role in _of_kind(shipped_rights(), "ClusterRole"):
        await control_plane.api.apply(role | {"rules": _without(role["rules"], right)})


def _without(rules: Sequence[Object], right: Right) -> list[Object]:
    """A rule grants each of its verbs on each of its resources: it is taken apart."""
    return [
        rule | {"resources": [resource], "verbs": [verb]}
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if (resource, verb) != right
    ]


async def _until_said(daemon: Daemon, control_plane: ControlPlane, question: str, pattern: str) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        said = await (daemon.readyz() if question == "readyz" else _value(daemon, control_plane, question))
        if re.search(pattern, said):
            return
        assert time.monotonic() < deadline, f"{question} does not say {pattern!r}: {said}"
        await asyncio.sleep(0.1)


async def _until_refused(control_plane: ControlPlane, before: float) -> None:
    deadline = time.monotonic() + SECONDS
    while await _refusals(control_plane) == before:
        assert time.monotonic() < deadline, "nothing was refused: the daemon does not use this right"
        await asyncio.sleep(0.1)


async def _refusals(control_plane: ControlPlane) -> float:
    """How often kube-apiserver refused anybody anything, so far. RBAC refuses by having no opinion."""
    text = (await control_plane.api.call("GET", "/metrics"))["text"]
    attempts = dict(re.findall(r'(?m)^authorization_attempts_total\{result="([\w-]+)"\} (\S+)$', text))
    assert "allowed" in attempts, "kube-apiserver counts under another name"
    return sum(float(attempts.get(result, 0)) for result in ("denied", "no-opinion"))


async def _value(daemon: Daemon, control_plane: ControlPlane, workload: str) -> str:
    """The daemon's answer to the front proxy, asked as it asks."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # that is the aggregator's to check
    identity = control_plane.certificates.front_proxy()
    tls.load_cert_chain(identity.certificate, identity.key)
    query = {"labelSelector": f"workload={workload}"}
    headers = {"X-Remote-User": "system:serviceaccount:kube-system:horizontal-pod-autoscaler"}
    url = f"https://127.0.0.1:{daemon.port}/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}"
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
            http.get(f"{url}/triton_inference_concurrency", params=query, headers=headers) as answer,
        ):
            return await answer.text()
    except aiohttp.ClientError as error:  # not yet: it has not read the front proxy's CA
        return str(error)


def _of_kind(manifests: Sequence[Object], kind: str) -> list[Object]:
    return [each for each in manifests if each["kind"] == kind]
