"""Where the models come from, by the pod's specification, and whether an earlier image would bring them back."""

from typing import Any

import pytest

from tests.triage.snapshots import RULES, evidence
from triage.case import make_case
from triage.evidence import ContainerView, MountView, PodView, VolumeView
from triage.load_figures import load_figures
from triage.model_store import combined, model_stores, repository_paths

MODELS = MountView("models", "/models")


def container(
    name: str = "triton", *args: str, image: str = "tritonserver:24.10", **more: Any
) -> ContainerView:
    values = {"init": False, "ready": False, "restarts": 0, "state": "running", "args": args, **more}
    return ContainerView(name=name, image=image, **values)


def pod(*containers: ContainerView, volumes: tuple[VolumeView, ...] = ()) -> PodView:
    return PodView("prod", "web-1", "Running", False, containers=containers, volumes=volumes)


def triton(*mounts: MountView, path: str = "/models", **more: Any) -> ContainerView:
    return container("triton", "tritonserver", f"--model-repository={path}", mounts=mounts, **more)


def filler(name: str, *, read_only: bool = False, **more: Any) -> ContainerView:
    mounts = (MountView("models", "/out", read_only),)
    return container(name, image="fetcher", mounts=mounts, **more)


EMPTY = VolumeView("models", "emptyDir")


@pytest.mark.parametrize(
    ("found", "pattern", "mutable", "says"),
    [
        (pod(triton(MODELS), filler("fetch", init=True), volumes=(EMPTY,)), "init_container", "unknown",
         "/models: filled by init container fetch at the pod's start, from where it fetches"),
        (pod(triton(MODELS), filler("git-sync", init=True, sidecar=True), volumes=(EMPTY,)), "sidecar", "yes",
         "/models: kept by sidecar git-sync, which may change it at any time"),
        (pod(triton(MODELS), filler("first", init=True), filler("git-sync"), volumes=(EMPTY,)), "sidecar", "yes",
         "/models: kept by sidecar git-sync, which may change it at any time"),
        (pod(triton(MODELS), filler("reader", read_only=True), volumes=(EMPTY,)), "unknown", "unknown",
         "/models: an empty volume that no other container fills"),
        (pod(triton(MODELS), volumes=(VolumeView("models", "csi", "s3.csi.example"),)), "csi_volume", "yes",
         "/models: a volume of CSI driver s3.csi.example, mounted writable"),
        (pod(triton(MountView("models", "/models", read_only=True)),
             volumes=(VolumeView("models", "persistentVolumeClaim", "shop"),)), "volume_claim", "yes",
         "/models: PersistentVolumeClaim shop, mounted read-only"),
        (pod(triton(MODELS), volumes=(VolumeView("models", "nfs", "nas:/models"),)), "network_volume", "yes",
         "/models: a network volume (nfs nas:/models), mounted writable"),
        (pod(triton(MODELS), volumes=(VolumeView("models", "hostPath", "/srv"),)), "host_path", "yes",
         "/models: the node's own folder /srv, mounted writable"),
        (pod(triton(MODELS), volumes=(VolumeView("models", "image", "models@sha256:1", True),)), "image_volume", "no",
         "/models: an image volume, models@sha256:1"),
        (pod(triton(MODELS), volumes=(VolumeView("models", "image", "models:latest", True),)), "image_volume", "unknown",
         "/models: an image volume, models:latest"),
        (pod(triton(MODELS), volumes=(VolumeView("models", "configMap", "models", True),)), "config_map", "yes",
         "/models: ConfigMap models, which changes without the pod"),
        (pod(triton()), "baked_image", "no",
         "/models: in the image tritonserver:24.10, as no volume is mounted there"),
        (pod(triton(image="localhost:5000/triton")), "baked_image", "unknown",
         "/models: in the image localhost:5000/triton, as no volume is mounted there"),
        (pod(triton(path="s3://bucket/models")), "object_store", "yes",
         "s3://bucket/models: an object store, which Triton reads itself"),
        (pod(triton(MODELS, path="$(STORE)"), volumes=(EMPTY,)), "unknown", "unknown",
         "$(STORE): a variable whose value is not read here"),
        (pod(triton(path="models")), "unknown", "unknown", "models: a path that depends on the working directory"),
        (pod(container("triton", "tritonserver")), "unknown", "unknown", "unknown: the pod's arguments name none"),
        (pod(container()), "unknown", "unknown", "unknown: no arguments of the pod were seen"),
        (pod(container("triton", "-c", "aws s3 sync s3://b /m && exec tritonserver --model-store /m", command=("sh",))),
         "unknown", "unknown", "/m: no volume is mounted there, and the container's own command fetches something"),
    ],
)  # fmt: skip
def test_who_brings_the_models(found: PodView, pattern: str, mutable: str, says: str) -> None:
    (store,) = model_stores(found)
    assert (store.pattern, store.mutable, store.says) == (pattern, mutable, says)


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        (("tritonserver", "--model-repository=/a", "--model-repository", "/b"), ["/a", "/b"]),
        (("sh", "-c", "tritonserver --model-store='/with space' --http-port=1"), ["/with space"]),
        (("sh", "-c", "tritonserver --model-repository /a;echo"), ["/a"]),
        (("tritonserver", "--model-repository"), []),
        (("tritonserver", "--model-repository-poll-secs=3"), []),
    ],
)
def test_a_path_is_found_however_it_is_written(words: tuple[str, ...], paths: list[str]) -> None:
    assert list(repository_paths(container("triton", *words))) == paths


def test_the_deepest_mount_decides_and_a_sub_path_is_no_other_volume() -> None:
    volumes = (VolumeView("image", "image", "m:1", True), VolumeView("models", "nfs", "nas:/m"))
    mounts = (MountView("image", "/"), MountView("models", "/models", sub_path="v3"))
    (store,) = model_stores(pod(triton(*mounts), volumes=volumes))
    assert store.pattern == "network_volume"


def test_parts_of_a_repository_that_are_mounted_one_by_one_are_told_one_by_one() -> None:
    volumes = (VolumeView("a", "image", "a:1", True), VolumeView("b", "hostPath", "/srv/b"))
    mounts = (MountView("a", "/models/a"), MountView("b", "/models/b"))
    stores = model_stores(pod(triton(*mounts), volumes=volumes))
    assert [store.pattern for store in stores] == ["image_volume", "host_path"]
    assert combined(stores) == ("host_path", "yes")


def test_a_folder_of_a_like_name_is_another_folder() -> None:
    volumes = (VolumeView("a", "nfs", "nas:/a"),)
    (store,) = model_stores(pod(triton(MountView("a", "/models-old")), volumes=volumes))
    assert store.pattern == "baked_image"


@pytest.mark.parametrize(
    ("found", "figures"),
    [
        (pod(triton()), {"baked": "yes",
                         "pattern": "the model repository is in the image tritonserver:24.10, as no volume is mounted there"}),
        (pod(triton(MODELS), volumes=(VolumeView("models", "nfs", "nas:/m"),)),
         {"mutable": "yes",
          "pattern": "the model repository is a network volume (nfs nas:/m), mounted writable"}),
        (pod(triton(MODELS), filler("fetch", init=True), volumes=(EMPTY,)),
         {"pattern": "the model repository is filled by init container fetch at the pod's start, from where it fetches"}),
        (pod(triton(MODELS), volumes=(VolumeView("models", "image", "models:1", True),)),
         {"pattern": "the model repository is an image volume, models:1"}),
        (pod(container()), {}),
    ],
)  # fmt: skip
def test_a_mitigation_is_told_what_is_sure_and_nothing_else(found: PodView, figures: dict[str, str]) -> None:
    """That the repository is in the image, or that it changes without it; where neither is sure, neither."""
    case = make_case("web-1", (evidence("pod:web-1", "pod", found, pod="web-1"),), RULES.signatures)
    told = load_figures(case, None, "m", "prod", None, "")
    assert {key: told[key] for key in told.keys() & {"pattern", "mutable", "baked"}} == figures
