"""Failures of a pod that its cluster shows: states, events and logs of helpers in the words of their sources, and what a good
diagnosis says of each.

Wordings are those of kubernetes/kubernetes v1.36.3: pkg/kubelet/images/image_manager.go (EnsureImageExists), kuberuntime/
kuberuntime_manager.go (computePodActions, doBackOff), eviction/helpers.go (evictionMessage), pkg/volume/secret/secret.go (SetUpAt),
pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/scheduler/framework/types.go (FitError.Error) and
pkg/controller/util/node/controller_utils.go (MarkPodsNotReady)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.controlplane.kubelet import ContainerReport, crash_loop, terminated, waiting
from tests.loadfailures.first_actions import Words

Object = dict[str, Any]
IMAGE = "registry.example/nvidia/tritonserver:24.10-py3"


@dataclass(frozen=True)
class ClusterFailure:
    id: str
    broken: str
    category: str
    confidence: str
    action: Words
    """Of the first action, from what Kubernetes needs."""
    reports: Sequence[ContainerReport] = ()
    spec: Object = field(default_factory=dict)
    """Of the pod, over one container `triton`."""
    triton: Object = field(default_factory=dict)
    """Of that container."""
    phase: str | None = None
    reason: str = ""
    message: str = ""
    events: Sequence[tuple[str, str]] = ()
    conditions: Sequence[Object] = ()
    """Of a pod that no node has taken."""
    logs: Mapping[tuple[str, bool], str] = field(default_factory=dict)
    """By container, and whether it is the earlier life's."""
    shows: Sequence[str] = ()
    """In what is told beside the verdict."""
    repository: str = ""
    """In what is said of the model repository."""
    telling: str = ""
    """What names the cause: the container whose log is emptied, or `events`; without it the verdict must move."""

    def __str__(self) -> str:
        return self.id


FETCH: Object = {
    "name": "fetch",
    "image": "registry.example/aws-cli:2",
    "command": ["sh", "-c", "aws s3 sync s3://shop-models /models && cd /models && sha256sum -c SHA256SUMS"],
    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
}
FETCHED: Object = {"initContainers": [FETCH], "volumes": [{"name": "models", "emptyDir": {}}]}
FROM_MODELS: Object = {
    "args": ["tritonserver", "--model-repository=/models"],
    "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
}
WAITS = waiting("triton", "PodInitializing")
DENIED = (
    "fatal error: An error occurred (AccessDenied) when calling the ListObjectsV2 operation: Access Denied\n"
)
MISMATCH = """download: s3://shop-models/ranker/1/model.onnx to ranker/1/model.onnx
ranker/1/model.onnx: FAILED
sha256sum: WARNING: 1 computed checksum did NOT match
"""
LOADING = 'I1130 12:00:00.000000 1 model_lifecycle.cc:472] "loading: ranker:1"\n'
GPU: Object = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
NO_GPU = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 No preemption victims found for"
    " incoming pod."
)
TAINTED = (
    "0/3 nodes are available: 3 node(s) had untolerated taint(s). preemption: 0/3 nodes are available: 3 Preemption is not helpful"
    " for scheduling."
)
NO_CLAIM = (
    "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available:"
    " 3 Preemption is not helpful for scheduling."
)
CLAIM: Object = {"volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "shop-models"}}]}


def _unplaced(message: str) -> Object:
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}


CLUSTER_FAILURES = (
    ClusterFailure(
        id="image-pull-back-off",
        broken="The image's tag does not exist.",
        category="not_a_load_failure",
        confidence="likely",
        action=("image", "tag"),
        reports=[
            waiting(
                "triton",
                "ImagePullBackOff",
                f'Back-off pulling image "{IMAGE}": ErrImagePull: rpc error: code = NotFound desc = failed to pull image',
            )
        ],
        events=[
            ("Failed", f'Failed to pull image "{IMAGE}": rpc error: code = NotFound'),
            ("BackOff", f'Back-off pulling image "{IMAGE}"'),
        ],
    ),
    ClusterFailure(
        id="init-download-refused",
        broken="The init container that fetches the models may not read the bucket.",
        category="storage_access",
        confidence="likely",
        action=(("credential", "aws sts get-caller-identity"), ("listbucket", "policy", "right")),
        reports=[crash_loop("fetch"), WAITS],
        spec=FETCHED,
        triton=FROM_MODELS,
        logs={("fetch", True): DENIED},
        repository="/models: filled by init container fetch",
        telling="fetch",
    ),
    ClusterFailure(
        id="init-checksum-mismatch",
        broken="A file that the init container fetched is another than its checksum says.",
        category="artifact_integrity",
        confidence="likely",
        action=("again", "checksum"),
        reports=[crash_loop("fetch"), WAITS],
        spec=FETCHED,
        triton=FROM_MODELS,
        logs={("fetch", True): MISMATCH},
        repository="/models: filled by init container fetch",
        telling="fetch",
    ),
    ClusterFailure(
        id="sidecar-cannot-sync",
        broken="The sidecar that keeps the models may not read their repository, and Triton waits for its first copy.",
        category="storage_access",
        confidence="likely",
        action=(("token", "key", "credential"),),
        reports=[crash_loop("git-sync"), WAITS],
        spec={
            "initContainers": [
                {
                    "name": "git-sync",
                    "image": "registry.example/git-sync:v4",
                    "restartPolicy": "Always",
                    "volumeMounts": [{"name": "models", "mountPath": "/git"}],
                }
            ],
            "volumes": [{"name": "models", "emptyDir": {}}],
        },
        triton=FROM_MODELS,
        logs={("git-sync", True): "fatal: Authentication failed for 'https://git.example.com/models.git/'\n"},
        repository="/models: kept by sidecar git-sync, which may change it at any time",
        telling="git-sync",
    ),
    ClusterFailure(
        id="oom-killed",
        broken="The model needs more memory than the container may use.",
        category="host_resources",
        confidence="likely",
        action=("raise resources.limits.memory",),
        reports=[crash_loop("triton", exit_code=137, reason="OOMKilled")],
        triton={"resources": {"limits": {"memory": "2Gi"}}},
        shows=["The memory limit of container triton is 2Gi"],
        telling="state",
    ),
    ClusterFailure(
        id="evicted-for-storage",
        broken="The models fill the pod's share of the node's disk.",
        category="host_resources",
        confidence="likely",
        action=("resources.limits.ephemeral-storage",),
        reports=[terminated("triton", exit_code=137)],
        phase="Failed",
        reason="Evicted",
        message="Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
        events=[
            ("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ")
        ],
    ),
    ClusterFailure(
        id="evicted-for-an-empty-dir",
        broken="The models fill the volume that they are fetched to.",
        category="host_resources",
        confidence="likely",
        action=("sizelimit",),
        reports=[terminated("triton", exit_code=137)],
        phase="Failed",
        reason="Evicted",
        message='Usage of EmptyDir volume "models" exceeds the limit "5Gi". ',
    ),
    ClusterFailure(
        id="evicted-for-memory",
        broken="The node ran out of memory, and this pod used more than it asked for.",
        category="host_resources",
        confidence="likely",
        action=("resources.requests.memory",),
        reports=[terminated("triton", exit_code=137)],
        phase="Failed",
        reason="Evicted",
        message="The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Mi. Container triton was using 30Gi,"
        " request is 8Gi, has larger consumption of memory. ",
    ),
    ClusterFailure(
        id="pending-for-gpu",
        broken="No node has a GPU free.",
        category="host_resources",
        confidence="likely",
        action=("node", "nvidia.com/gpu"),
        triton=GPU,
        events=[("FailedScheduling", NO_GPU)],
        conditions=[_unplaced(NO_GPU)],
    ),
    ClusterFailure(
        id="pending-for-gpu-after-its-events",
        broken="No node has a GPU free, and the events that said so are gone.",
        category="host_resources",
        confidence="likely",
        action=("node", "nvidia.com/gpu"),
        triton=GPU,
        conditions=[_unplaced(NO_GPU)],
    ),
    ClusterFailure(
        id="pending-for-a-taint",
        broken="The nodes with GPUs are tainted, and the pod does not tolerate it.",
        category="not_a_load_failure",
        confidence="likely",
        action=("taint", ("tolerat", "change the pod")),
        triton=GPU,
        events=[("FailedScheduling", TAINTED)],
        conditions=[_unplaced(TAINTED)],
    ),
    ClusterFailure(
        id="pending-for-a-volume",
        broken="The claim of the volume with the models is not bound.",
        category="storage_access",
        confidence="likely",
        action=("persistentvolumeclaim",),
        spec=CLAIM,
        triton=FROM_MODELS,
        events=[("FailedScheduling", NO_CLAIM)],
        conditions=[_unplaced(NO_CLAIM)],
        repository="/models: PersistentVolumeClaim shop-models, mounted read-only",
    ),
    ClusterFailure(
        id="mount-without-its-secret",
        broken="The Secret of a volume does not exist.",
        category="storage_access",
        confidence="likely",
        action=("create", "secret"),
        reports=[waiting("triton", "ContainerCreating")],
        spec={"volumes": [{"name": "key", "secret": {"secretName": "store-key"}}]},
        triton={"volumeMounts": [{"name": "key", "mountPath": "/key"}]},
        events=[("FailedMount", 'MountVolume.SetUp failed for volume "key" : secret "store-key" not found')],
        telling="events",
    ),
    ClusterFailure(
        id="container-config-error",
        broken="An environment variable is taken from a Secret that does not exist.",
        category="not_a_load_failure",
        confidence="likely",
        action=("create", ("secret", "what the message names")),
        reports=[waiting("triton", "CreateContainerConfigError", 'secret "aws-credentials" not found')],
        events=[("Failed", 'Error: secret "aws-credentials" not found')],
    ),
    *(
        ClusterFailure(
            id=f"{probe}-probe-ends-a-slow-load",
            broken=f"The {probe} probe gives up before the models have loaded.",
            category="host_resources",
            confidence="likely",
            action=action,
            reports=[crash_loop("triton", exit_code=137)],
            triton={f"{probe}Probe": {"httpGet": {"port": 8000, "path": path}, "failureThreshold": 6}},
            events=[("Killing", f"Container triton failed {probe} probe, will be restarted")],
            logs={("triton", True): LOADING},
            shows=[f"The {probe} probe of container triton (GET :8000{path}) gives up 60 s after the start"],
        )
        for probe, path, action in (
            ("startup", "/v2/health/ready", ("startup probe", "failurethreshold", "periodseconds")),
            ("liveness", "/v2/health/ready", ("startup probe", "failurethreshold", "/v2/health/live")),
        )
    ),
    ClusterFailure(
        id="init-out-of-memory",
        broken="The init container that fetches the models is killed for its memory.",
        category="host_resources",
        confidence="likely",
        action=("raise resources.limits.memory",),
        reports=[crash_loop("fetch", exit_code=137, reason="OOMKilled"), WAITS],
        spec=FETCHED,
        triton=FROM_MODELS,
        logs={("fetch", True): "download: s3://shop-models/ranker/1/model.onnx to ranker/1/model.onnx\n"},
        repository="/models: filled by init container fetch",
    ),
)
