"""Differences of pod templates, each pair as the API server stores them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from telemetry.template_changes import MOST_CHANGES, template_changes

TEMPLATE: dict[str, Any] = {
    "metadata": {
        "labels": {"app": "llm", "pod-template-hash": "6b47"},
        "annotations": {"checksum/config": "1"},
    },
    "spec": {
        "containers": [
            {
                "name": "triton",
                "image": "tritonserver:25.09",
                "command": ["tritonserver"],
                "args": [
                    "--model-repository=/models",
                    "--load-model=a",
                    "--load-model=b",
                    "--log-verbose",
                    "0",
                ],
                "env": [
                    {"name": "TOKEN", "value": "s3cret"},
                    {"name": "REGION", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "region"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "settings"}}],
                "resources": {"limits": {"nvidia.com/gpu": "1", "cpu": "4"}, "requests": {"cpu": "4"}},
                "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                "readinessProbe": {
                    "httpGet": {
                        "path": "/v2/health/ready",
                        "port": 8000,
                        "httpHeaders": [{"name": "Authorization", "value": "s3cret"}],
                    },
                    "periodSeconds": 5,
                },
                "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "serviceAccountName": "llm",
        "serviceAccount": "llm",
        "terminationGracePeriodSeconds": 30,
    },
}
Edit = Callable[[dict[str, Any], dict[str, Any]], object]
"""Of the template's specification and of its Triton container."""
PROXY = {"name": "proxy", "image": "envoy:1", "restartPolicy": "Always"}
FETCH = {"name": "fetch", "image": "s3cmd:1"}

CASES: list[tuple[Edit, list[str]]] = [
    (lambda _, triton: triton.update(image="b"), ["image of triton: tritonserver:25.09 -> b"]),
    (
        lambda _, triton: triton["args"].append("--model-control-mode=explicit"),
        ["argument --model-control-mode=explicit of triton added"],
    ),
    (lambda _, triton: triton["args"].__setitem__(4, "1"), ["argument --log-verbose of triton: 0 -> 1"]),
    (
        lambda _, triton: triton["args"].remove("--load-model=a"),
        ["argument --load-model=a of triton removed"],
    ),
    (lambda _, triton: triton.update(command=["/bin/start"]), ["command of triton changed"]),
    (lambda _, triton: triton["env"][0].update(value="t0ken"), ["value of env TOKEN of triton changed"]),
    (
        lambda _, triton: triton["env"][1]["valueFrom"]["secretKeyRef"].update(key="zone"),
        ["value of env REGION of triton changed"],
    ),
    (lambda _, triton: triton["env"].append({"name": "NEW", "value": "s3cret"}), ["env NEW of triton added"]),
    (lambda _, triton: triton["env"].pop(0), ["env TOKEN of triton removed"]),
    (
        lambda _, triton: triton.update(envFrom=[{"secretRef": {"name": "s3"}}]),
        [
            "environment of triton from secret/s3 added",
            "environment of triton from configMap/settings removed",
        ],
    ),
    (lambda _, triton: triton["resources"]["limits"].update(cpu="2"), ["limit cpu of triton: 4 -> 2"]),
    (lambda _, triton: triton["resources"]["limits"].pop("cpu"), ["limit cpu of triton: 4 -> none"]),
    (
        lambda _, triton: triton["resources"]["requests"].update(memory="8Gi"),
        ["request memory of triton: none -> 8Gi"],
    ),
    (
        lambda _, triton: triton["resources"].update(claims=[{"name": "gpu"}]),
        ["resource claims of triton changed"],
    ),
    (
        lambda _, triton: triton["ports"].append({"containerPort": 8001}),
        ["ports of triton: 8000 -> 8000, 8001"],
    ),
    (lambda _, triton: triton["ports"][0].update(name="http"), ["ports of triton changed"]),
    (
        lambda _, triton: triton["readinessProbe"].update(periodSeconds=10),
        ["periodSeconds of readiness probe of triton: 5 -> 10"],
    ),
    (
        lambda _, triton: triton["readinessProbe"]["httpGet"].update(
            httpHeaders=[{"name": "A", "value": "t0ken"}]
        ),
        ["httpGet.httpHeaders of readiness probe of triton changed"],
    ),
    (lambda _, triton: triton.pop("readinessProbe"), ["readiness probe of triton removed"]),
    (lambda _, triton: triton.update(startupProbe={"periodSeconds": 1}), ["startup probe of triton added"]),
    (
        lambda _, triton: triton["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"}),
        ["mount /dev/shm of triton added"],
    ),
    (lambda _, triton: triton["volumeMounts"][0].update(readOnly=True), ["mount /models of triton changed"]),
    (lambda _, triton: triton.pop("lifecycle"), ["preStop hook of triton removed"]),
    (
        lambda _, triton: triton.update(imagePullPolicy="Always"),
        ["imagePullPolicy of triton: IfNotPresent -> Always"],
    ),
    (
        lambda _, triton: triton.update(securityContext={"runAsUser": 1000}),
        ["securityContext of triton added"],
    ),
    (lambda spec, _: spec["containers"].append(PROXY), ["container proxy added (image envoy:1)"]),
    (lambda spec, _: spec.update(initContainers=[PROXY]), ["sidecar proxy added (image envoy:1)"]),
    (lambda spec, _: spec.update(initContainers=[FETCH]), ["init container fetch added (image s3cmd:1)"]),
    (
        lambda spec, _: spec.update(nodeSelector={"gpu": "h100", "zone": "a"}),
        ["node selector gpu: a100 -> h100", "node selector zone: none -> a"],
    ),
    (lambda spec, _: spec.update(tolerations=[]), ["toleration nvidia.com/gpu NoSchedule removed"]),
    (lambda spec, _: spec.update(affinity={"nodeAffinity": {}}), ["affinity added"]),
    (
        lambda spec, _: spec["volumes"][0]["persistentVolumeClaim"].update(claimName="models-v2"),
        ["volume models: persistentVolumeClaim models -> persistentVolumeClaim models-v2"],
    ),
    (
        lambda spec, _: spec["volumes"][0]["persistentVolumeClaim"].update(readOnly=True),
        ["volume models changed"],
    ),
    (
        lambda spec, _: spec["volumes"].append({"name": "shm", "emptyDir": {"medium": "Memory"}}),
        ["volume shm added (emptyDir)"],
    ),
    (lambda spec, _: spec.update(serviceAccountName="b", serviceAccount="b"), ["service account: llm -> b"]),
    (
        lambda spec, _: spec.update(terminationGracePeriodSeconds=5),
        ["termination grace period in seconds: 30 -> 5"],
    ),
    (lambda spec, _: spec.update(hostNetwork=True), ["hostNetwork: none -> True"]),
]


@pytest.mark.parametrize(("edit", "told"), CASES, ids=[told[0] for _, told in CASES])
def test_an_edit_is_told_in_words_of_its_own(edit: Edit, told: list[str]) -> None:
    after = copy.deepcopy(TEMPLATE)
    edit(after["spec"], after["spec"]["containers"][0])
    changes = template_changes(TEMPLATE, after)
    assert list(changes) == told
    assert "s3cret" not in " ".join(changes)
    assert "t0ken" not in " ".join(changes)


def test_templates_that_make_the_same_pods_have_no_changes() -> None:
    """The order of containers, variables and flags means nothing, nor does a script's layout."""
    after = copy.deepcopy(TEMPLATE)
    after["metadata"]["labels"]["pod-template-hash"] = "9c11"
    triton = after["spec"]["containers"][0]
    triton["env"].reverse()
    triton["command"], triton["args"] = ["tritonserver", "--log-verbose=0"], [*reversed(triton["args"][:3])]
    assert template_changes(TEMPLATE, after) == ()


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (
            {"annotations": {"kubectl.kubernetes.io/restartedAt": "12:00"}},
            ["restarted by kubectl rollout restart"],
        ),
        ({"annotations": {"checksum/config": "2"}}, ["annotation checksum/config changed"]),
        ({"labels": {"app": "llm", "version": "2"}}, ["label version added"]),
    ],
)
def test_metadata_is_told_by_name(metadata: dict[str, Any], told: list[str]) -> None:
    before = {"metadata": {"annotations": {"checksum/config": "1"}, "labels": {"app": "llm"}}}
    after = {"metadata": {key: {**before["metadata"][key], **value} for key, value in metadata.items()}}
    assert (
        list(template_changes({"metadata": {key: before["metadata"][key] for key in metadata}}, after))
        == told
    )


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (["--api-key=s3cret"], ["--api-key=t0ken"], "value of argument --api-key of triton changed"),
        (["--user", "eve:s3cret"], ["--user", "eve:t0ken"], "value of argument --user of triton changed"),
        (["--store-pwd=s3cret"], ["--store-pwd=t0ken"], "value of argument --store-pwd of triton changed"),
        (["--cache-config=redis,password=s3cret"], [], "argument --cache-config of triton removed"),
        (["-u", "me:s3cret"], ["-u", "me:t0ken"], "value of argument -u of triton changed"),
        (
            ["sh", "-c", "KEY=s3cret tritonserver"],
            ["sh", "-c", "KEY=t0ken tritonserver"],
            "value of argument -c of triton changed",
        ),
        (["sh", "--", "KEY=s3cret x"], ["sh", "--", "KEY=s3cret y"], "command of triton changed"),
    ],
)
def test_an_argument_that_may_be_a_secret_is_told_by_name(
    before: list[str], after: list[str], told: str
) -> None:
    def template(args: list[str]) -> dict[str, Any]:
        return {"spec": {"containers": [{"name": "triton", "args": args}]}}

    assert template_changes(template(before), template(after)) == (told,)


def test_a_tokenizer_is_no_secret() -> None:
    def template(args: list[str]) -> dict[str, Any]:
        return {"spec": {"containers": [{"name": "triton", "args": args}]}}

    assert template_changes(template([]), template(["--load-model=tokenizer"])) == (
        "argument --load-model=tokenizer of triton added",
    )


def test_a_script_is_read_flag_by_flag() -> None:
    """As charts start Triton: one string with its line ends."""

    def template(mode: str) -> dict[str, Any]:
        script = f"ulimit -c 0 && \\\n  tritonserver --model-repository=/m \\\n --model-control-mode={mode}"
        return {"spec": {"containers": [{"name": "triton", "command": ["sh", "-c", script]}]}}

    assert template_changes(template("none"), template("poll")) == (
        "argument --model-control-mode of triton: none -> poll",
    )


def test_many_changes_are_counted_and_long_values_cut() -> None:
    env = [{"name": f"V{number}", "value": "x"} for number in range(MOST_CHANGES + 5)]
    before = {"spec": {"containers": [{"name": "triton", "image": "a" * 300}]}}
    after = {"spec": {"containers": [{"name": "triton", "image": "b" * 300, "env": env}]}}
    changes = template_changes(before, after)
    assert (len(changes), changes[-1]) == (MOST_CHANGES + 1, "and 6 more changes")
    assert len(changes[0]) < 200
