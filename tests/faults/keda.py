"""KEDA as its own manifests run it: operator and metrics adapter, a ScaledObject of type prometheus with its defaults.

Set beside the defaults: at least one replica and no stabilization window, as every scaler here has."""

import os
import signal
from pathlib import Path
from typing import Final

import trustme
import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.e2e.fleet import WINDOW
from tests.faults.adapters import MAX_REPLICAS
from tests.faults.keda_build import VERSION, KedaTools
from tests.local_process import LocalProcess, free_ports

NAMESPACE: Final = "keda"
ADAPTER_SERVICE: Final = "keda-metrics-apiserver"
NAMES: Final = (
    "localhost",
    "127.0.0.1",
    f"keda-operator.{NAMESPACE}.svc",
    f"{ADAPTER_SERVICE}.{NAMESPACE}.svc",
)
STOP_SECONDS: Final = 5.0
READY_SECONDS: Final = 90.0


class Keda:
    """An `Adapter`."""

    name = f"KEDA {VERSION}, defaults"
    asks_prometheus = True
    own_prometheus = True
    hpa = "keda-hpa-triton"

    def __init__(self, tools: KedaTools, *, window: float = WINDOW) -> None:
        """`window`: seconds of the rates in its queries."""
        self._tools = tools
        self._window = window
        self._running: list[LocalProcess] = []

    async def prepare(self, control_plane: ControlPlane, folder: Path, prometheus: str) -> None:
        self._control_plane = control_plane
        self._folder = folder
        self._certificates = folder / "certificates"
        self._certificates.mkdir()
        self._ports = free_ports(5)
        await control_plane.create_namespace(NAMESPACE)
        manifests = [each for each in yaml.safe_load_all(self._tools.manifests.read_text()) if each]
        await control_plane.api.apply(manifests)
        for manifest in manifests:
            if manifest["kind"] == "CustomResourceDefinition":
                await control_plane.until_served(manifest["metadata"]["name"])
        self._kubeconfig = await control_plane.service_account_kubeconfig(NAMESPACE, "keda-operator")
        await self.rotate_certificates()
        await self.start()
        await control_plane.wait_for_external_metrics(seconds=READY_SECONDS)

    async def start(self) -> None:
        adapter, _, metrics, probe, service = self._ports
        tls = self._certificates
        operator: list[str | Path] = [
            self._tools.operator,
            "--leader-elect",
            "--enable-cert-rotation=false",  # its own writes a Secret, which no kubelet here puts into files
            f"--cert-dir={tls}",
            f"--metrics-bind-address=127.0.0.1:{metrics}",
            f"--health-probe-bind-address=127.0.0.1:{probe}",
            f"--metrics-service-bind-address=127.0.0.1:{service}",
        ]
        server: list[str | Path] = [
            self._tools.adapter,
            f"--secure-port={adapter}",
            "--bind-address=127.0.0.1",
            f"--port={self._ports[1]}",
            f"--client-ca-file={tls / 'ca.crt'}",
            f"--tls-cert-file={tls / 'tls.crt'}",
            f"--tls-private-key-file={tls / 'tls.key'}",
            f"--cert-dir={tls}",
            f"--metrics-service-address=127.0.0.1:{service}",
            *(
                f"--{of}-kubeconfig={self._kubeconfig}"
                for of in ("authentication", "authorization", "lister")
            ),
        ]
        environment = os.environ | {
            "KUBECONFIG": str(self._kubeconfig),
            "POD_NAMESPACE": NAMESPACE,
            "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
            "WATCH_NAMESPACE": "",
        }
        for name, command in (("keda-operator", operator), ("keda-adapter", server)):
            log = self._folder / f"{name}.log"
            self._running.append(await LocalProcess.start(name, command, log=log, environment=environment))

    async def kill(self) -> None:
        for process in self._running:
            process.signal(signal.SIGKILL)
        await self.stop()

    async def stop(self) -> None:
        while self._running:
            await self._running.pop().stop(seconds=STOP_SECONDS)

    async def rotate_certificates(self) -> None:
        """A new CA and a certificate by it, in the files of both and in the APIService, as KEDA's own rotation leaves them."""
        ca = trustme.CA(organization_name="KEDAORG")
        leaf = ca.issue_cert(*NAMES, common_name=ADAPTER_SERVICE)
        files = {
            "ca.crt": ca.cert_pem.bytes(),
            "tls.crt": b"".join(blob.bytes() for blob in leaf.cert_chain_pems),
            "tls.key": leaf.private_key_pem.bytes(),
        }
        for name, content in files.items():
            written = self._folder / name
            written.write_bytes(content)
            written.rename(self._certificates / name)
        await self._control_plane.install_external_metrics(
            self._ports[0], namespace=NAMESPACE, service=ADAPTER_SERVICE, ca_bundle=files["ca.crt"]
        )

    def scaler(self, namespace: str, target: float, prometheus: str) -> Object:
        chosen, window = f'{{namespace="{namespace}"}}', f"{self._window:g}s"
        # What triton_inference_concurrency says, as one query: computing input and output takes no time in these Tritons.
        query = (
            f"sum(rate(nv_inference_compute_infer_duration_us{chosen}[{window}])) / 1e6"
            f" + sum(avg_over_time(nv_inference_pending_request_count{chosen}[{window}]))"
        )
        trigger = {"serverAddress": prometheus, "query": query, "threshold": f"{target:g}"}
        behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
        return {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "triton", "namespace": namespace},
            "spec": {
                "scaleTargetRef": {"name": "triton"},
                "minReplicaCount": 1,
                "maxReplicaCount": MAX_REPLICAS,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
                "triggers": [{"type": "prometheus", "metadata": trigger}],
            },
        }
