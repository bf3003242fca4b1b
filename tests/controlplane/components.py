"""The command line of each part of the control plane, with the reason for every option that is not plainly an
address or a key."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.build_tools import Tools
from tests.controlplane.certificates import FRONT_PROXY, Certificates
from tests.controlplane.kube_client import Object

Command = list[str | Path]

# Those that a Deployment with an HPA and a volume claim needs. No node lifecycle controller: simulated nodes never go missing.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "persistentvolumeclaim-protection-controller",  # takes the finalizer off a claim that nobody uses, or its namespace never goes
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
)


@dataclass(frozen=True)
class Options:
    hpa_sync_seconds: float = 1.0
    """Kubernetes' own default is 15 s; the HPA's arithmetic does not depend on it."""
    nodes: int = 1
    feature_gates: str = ""
    """As for `--feature-gates`, for the API server and the controller manager: `HPAScaleToZero=true`."""
    api_server_arguments: Sequence[str] = ()
    controller_manager_arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Ports:
    """On 127.0.0.1."""

    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    kwok: int


def etcd(tools: Tools, ports: Ports, data: Path) -> Command:
    client, peer = f"http://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    return [
        tools.etcd,
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # nothing is kept after the run
        "--log-level=warn",
    ]


def api_server(tools: Tools, ports: Ports, certificates: Certificates, options: Options) -> Command:
    server = certificates.server("kube-apiserver")
    front_proxy = certificates.front_proxy()
    return [
        tools.kube_apiserver,
        f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={ports.api_server}",
        "--endpoint-reconciler-type=none",  # it refuses to publish a loopback address as its endpoint
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        "--authorization-mode=RBAC",
        f"--client-ca-file={certificates.cluster_ca}",
        f"--kubelet-certificate-authority={certificates.cluster_ca}",
        f"--requestheader-client-ca-file={certificates.request_header_ca}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={front_proxy.certificate}",
        f"--proxy-client-key-file={front_proxy.key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={certificates.service_account.certificate}",
        f"--service-account-signing-key-file={certificates.service_account.key}",
        *_gates(options),
        *options.api_server_arguments,
    ]


def controller_manager(
    tools: Tools, ports: Ports, certificates: Certificates, options: Options, kubeconfig: Path
) -> Command:
    server = certificates.server("kube-controller-manager")
    return [
        tools.kube_controller_manager,
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports.controller_manager}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        f"--root-ca-file={certificates.cluster_ca}",
        f"--service-account-private-key-file={certificates.service_account.key}",
        "--use-service-account-credentials=true",  # the HPA comes with its own rights, as on a real cluster
        "--leader-elect=false",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--horizontal-pod-autoscaler-sync-period={options.hpa_sync_seconds:g}s",
        *_gates(options),
        *options.controller_manager_arguments,
    ]


def kwok(
    tools: Tools, ports: Ports, certificates: Certificates, kubeconfig: Path, stages: Path, pod_network: str
) -> Command:
    server = certificates.server("kubelet")
    return [
        tools.kwok,
        f"--kubeconfig={kubeconfig}",
        f"--config={stages}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--cidr={pod_network}.0.1/16",
        "--node-ip=127.0.0.1",
        f"--server-address=127.0.0.1:{ports.kwok}",
        # The API server asks the nodes' kubelet for logs: that is kwok too, which finds their files in Logs objects.
        f"--node-port={ports.kwok}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        "--enable-crds=Logs",
    ]


def node(name: str) -> Object:
    """A simulated node. There is no scheduler: pod templates name their node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
    }


def _gates(options: Options) -> list[str]:
    return [f"--feature-gates={options.feature_gates}"] if options.feature_gates else []
