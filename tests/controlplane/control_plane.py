"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager, and kwok's
simulated nodes and pods.

Every simulated pod has a loopback address of its own, which a process of this machine can bind: see
`tests/tritons/pods.py`."""

import asyncio
import base64
import json
import os
import re
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiohttp

from tests.controlplane import components
from tests.controlplane.build_tools import Tools
from tests.controlplane.certificates import KeyPair, client_tls, make_certificates
from tests.controlplane.components import Options, Ports
from tests.controlplane.kube_client import KubeClient, Object
from tests.controlplane.kubelet import LOGS_CRD, Kubelet, held_back
from tests.controlplane.pod_proxy import PodProxy
from tests.local_process import LocalProcess, free_ports
from tests.opened import Opened

READY_SECONDS = 90.0  # 4.3 s when nothing else runs
STOP_SECONDS = 10.0
ANSWER_SECONDS = 5.0
_GUARD_PORT = 6399


class ControlPlane(Opened):
    """An async context manager: ready inside, gone after. `api` is the administrator's client, `kubelet` gives pods their
    logs, container states and events.

    `ProcessFailed`, with the tail of the part's log, when a part does not start."""

    def __init__(self, tools: Tools, folder: Path, options: Options | None = None) -> None:
        """`folder` takes data, keys and logs."""
        super().__init__()
        self.kubectl = tools.kubectl
        self.folder = folder
        self.logs = folder / "logs"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.pod_addresses: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Each held by who serves on it: the address of a pod that is gone is given to the next one at once, in any namespace."""
        self._tools = tools
        self.options = options or Options()

    async def _start(self) -> None:
        self.certificates = make_certificates(self.folder / "certificates")
        self._ports = Ports(*free_ports(5))
        self.server = f"https://127.0.0.1:{self._ports.api_server}"
        administrator = self.certificates.client("triton-ops-admin", "system:masters")
        self.write_kubeconfig(self.kubeconfig, administrator)
        tls = client_tls(self.certificates.cluster_ca, administrator)
        self.api = await self._resources.enter_async_context(KubeClient(self.server, tls))
        self._http = await self._resources.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls), timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            )
        )
        self.pod_network = self._take_pod_network()
        self.kubelet = Kubelet(self.api, self.folder / "pod-logs")
        self.pod_proxy = await self._resources.enter_async_context(PodProxy(self.api, self.pod_network))

        ports, options = self._ports, self.options
        await self._run("etcd", components.etcd(self._tools, ports, self.folder / "etcd"))
        self._api_server = await self._run_api_server()
        await self.api.apply(LOGS_CRD)
        manager = components.controller_manager(
            self._tools, ports, self.certificates, options, self.kubeconfig
        )
        await self._run("kube-controller-manager", manager, f"{self._controller_manager}/healthz")
        await self.until_served(LOGS_CRD["metadata"]["name"])
        stages = self.folder / "stages.yaml"
        stages.write_text(held_back(self._tools.stages.read_text()))
        kwok = components.kwok(
            self._tools, ports, self.certificates, self.kubeconfig, stages, self.pod_network
        )
        await self._run("kwok", kwok, f"http://127.0.0.1:{ports.kwok}/healthz")
        await self.api.apply([components.node(f"node-{number}") for number in range(options.nodes)])

    async def restart_api_server(self) -> None:
        """Stopped as an upgrade stops it, and started again on the same port with what etcd holds; returns when it is ready."""
        async with self.without_api_server():
            pass

    @asynccontextmanager
    async def without_api_server(self) -> AsyncIterator[None]:
        """It is away inside, and ready again after."""
        await self._api_server.stop(seconds=STOP_SECONDS)
        try:
            yield
        finally:
            self._api_server = await self._run_api_server()

    async def create_namespace(self, name: str) -> str:
        """Returns when pods can be created in it: Kubernetes adds the default service account a moment
        later."""
        await self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        await self._until_found("v1", "ServiceAccount", "default", name)
        return name

    async def delete_namespace(self, name: str) -> None:
        """Deletes the HPAs first, so that none counts or scales while the namespace goes."""
        for hpa in await self.api.list("autoscaling/v2", "HorizontalPodAutoscaler", name):
            await self.api.delete("autoscaling/v2", "HorizontalPodAutoscaler", hpa["metadata"]["name"], name)
        await self.api.delete("v1", "Namespace", name)

    async def install_external_metrics(
        self,
        port: int,
        *,
        namespace: str = "triton-ops",
        service: str = "triton-autoscaler",
        ca_bundle: bytes | None = None,
        insecure: bool = False,
    ) -> None:
        """Lets the API server send `external.metrics.k8s.io` to a server on this machine's `port`.

        That server's certificate must name `<service>.<namespace>.svc`. `ca_bundle` is PEM; None leaves it to
        the server itself."""
        await self.create_namespace(namespace)
        metadata = {"name": service, "namespace": namespace}
        ports = [{"name": "https", "port": port, "protocol": "TCP"}]
        spec: Object = {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": insecure,
            "service": metadata | {"port": port},
        }
        if ca_bundle:
            spec["caBundle"] = base64.b64encode(ca_bundle).decode()
        await self.api.apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": metadata,
                    "spec": {"type": "ExternalName", "externalName": "localhost", "ports": ports},
                },
                {
                    "apiVersion": "apiregistration.k8s.io/v1",
                    "kind": "APIService",
                    "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
                    "spec": spec,
                },
            ]
        )

    async def remove_external_metrics(self) -> None:
        await self.api.delete("apiregistration.k8s.io/v1", "APIService", "v1beta1.external.metrics.k8s.io")

    async def wait_for_external_metrics(self, *, seconds: float = 30.0) -> None:
        """Returns when the aggregator finds the server available; `TimeoutError` with the reason it gives for
        not doing so."""
        condition: Object = {}
        try:
            async with asyncio.timeout(seconds):
                fields = "metadata.name=v1beta1.external.metrics.k8s.io"
                watch = self.api.watch("apiregistration.k8s.io/v1", "APIService", fields=fields)
                async with aclosing(watch) as changes:
                    async for _, found in changes:
                        conditions = found.get("status", {}).get("conditions") or []
                        condition = next((each for each in conditions if each["type"] == "Available"), {})
                        if condition.get("status") == "True":
                            return
        except TimeoutError as late:
            raise TimeoutError(
                f"external.metrics.k8s.io not available after {seconds:g} s: {condition}"
            ) from late

    async def service_account_kubeconfig(
        self, namespace: str, name: str, *, expiration_seconds: int = 3600
    ) -> Path:
        """A kubeconfig with a fresh token of the service account, which must exist: a daemon then runs with
        its own rights."""
        await self._until_found("v1", "ServiceAccount", name, namespace)
        path = await self.api.path("v1", "ServiceAccount", name, namespace)
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": expiration_seconds},
        }
        token = (await self.api.call("POST", f"{path}/token", request))["status"]["token"]
        return self.write_kubeconfig(self.folder / f"{namespace}-{name}.kubeconfig", token)

    def write_kubeconfig(self, path: Path, identity: KeyPair | str) -> Path:
        """For a client certificate or a bearer token."""
        user: Object = (
            {"token": identity}
            if isinstance(identity, str)
            else {
                "client-certificate": str(identity.certificate),
                "client-key": str(identity.key),
            }
        )
        cluster = {"server": self.server, "certificate-authority": str(self.certificates.cluster_ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "user"}}],
            "current-context": "tests",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=2))
        return path

    async def hpa_syncs(self) -> dict[str, int]:
        """How often the HPA controller reconciled any HPA since it started, by its own counter's label
        `error`.

        `none` are decisions made from metrics that it got."""
        async with self._http.get(f"{self._controller_manager}/metrics") as answer:
            answer.raise_for_status()
            text = await answer.text()
        counts: dict[str, int] = {}
        pattern = r'^horizontal_pod_autoscaler_controller_reconciliations_total\{.*?error="(\w+)"\} (\S+)$'
        for error, count in re.findall(pattern, text, re.MULTILINE):
            counts[error] = counts.get(error, 0) + int(float(count))
        return counts

    @property
    def _controller_manager(self) -> str:
        return f"https://127.0.0.1:{self._ports.controller_manager}"

    async def _run_api_server(self) -> LocalProcess:
        command = components.api_server(self._tools, self._ports, self.certificates, self.options)
        environment = os.environ | self.pod_proxy.environment
        return await self._run("kube-apiserver", command, f"{self.server}/readyz", environment)

    async def _run(
        self,
        name: str,
        command: components.Command,
        ready_url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> LocalProcess:
        log = self.logs / f"{name}.log"
        process = await LocalProcess.start(name, command, log=log, environment=environment)
        self._resources.push_async_callback(process.stop, seconds=STOP_SECONDS)
        if ready_url:
            await process.wait_until(lambda: self._answers(ready_url), seconds=READY_SECONDS)
        return process

    async def _answers(self, url: str) -> bool:
        try:
            async with self._http.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _until_found(self, api_version: str, kind: str, name: str, namespace: str) -> None:
        async with asyncio.timeout(READY_SECONDS):
            watch = self.api.watch(api_version, kind, namespace, fields=f"metadata.name={name}")
            async with aclosing(watch) as found:
                await anext(found)

    async def until_served(self, definition: str) -> None:
        """Returns when objects of the custom resource, by its definition's name, can be made and watched."""
        async with asyncio.timeout(READY_SECONDS):
            watch = self.api.watch(
                "apiextensions.k8s.io/v1", "CustomResourceDefinition", fields=f"metadata.name={definition}"
            )
            async with aclosing(watch) as changes:
                async for _, found in changes:
                    conditions = found.get("status", {}).get("conditions") or []
                    if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                        return

    def _take_pod_network(self) -> str:
        """127.N with an N that no other run on this machine has: who holds the guard's socket has the
        network."""
        for second in range(1, 250):
            guard = socket.socket()
            try:
                guard.bind((f"127.{second}.255.254", _GUARD_PORT))
            except OSError:
                guard.close()
                continue
            self._resources.callback(guard.close)
            return f"127.{second}"
        raise OSError("no free loopback network for the pods")
