"""What a person has to do first about each failure: words that the first action must hold, written from the failure's description
and from what Triton needs, before anything was run."""

from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, End, Failure

Words = tuple[str | tuple[str, ...], ...]
"""Each must be there, in any case of letters; of a tuple, one of them."""

LEAVE: Words = (("leave the models alone", "correct the request"),)
"""Where a request is what fails, its client is what to correct."""
LOOK_AT_THE_PROCESS: Words = ("process", ("waits", "state"))
"""Of a start-up that hangs without a line: nobody can tell the cause, so no file and no option is named as if it were."""
LOOK_HOW_IT_ENDED: Words = ("exit code",)
"""Of a server that died without a word: its log is whole and says nothing."""
LOOK_AT_THE_LOG: Words = ("log", "start")

_VERSION_DIRECTORY: Words = (("version directory", "version folder", "version director"),)
_PERMIT = ("chmod", "mode", "fsgroup", "runasuser", "right to")
_AGAIN: Words = (("again", "re-upload"), ("size", "checksum", "sha256"))
_CODE: Words = (("model.py", "python"), ("traceback", "line", "exception"))
_PACKAGE: Words = (("install", "image", "execution_env_path"), ("package", "module"))
_BACKEND: Words = ("backend", "image")

_LAYOUT: dict[str, Words] = {
    "no-version-directory": _VERSION_DIRECTORY,
    "version-directory-named-v1": ("version", ("number", "numeric", "integer")),
    "version-policy-names-absent-version": ("version_policy",),
    "git-folder-in-the-repository": (".git", ("remove", "take", "out of", "move", "hidden", "not a model")),
    "model-file-missing": ("model.py",),
    "model-file-one-level-too-deep": ("model.py", ("version", "1/")),
    "repository-is-one-model": ("--model-repository", ("above", "parent")),
    "repository-absent": ("--model-repository", ("path", "mount")),
    "same-name-in-two-repositories": (("rename", "remove", "one", "delete"), "repositor"),
    "opened-file-missing": (("vocabulary.json", "file"), ("copy", "put", "add", "provide", "path")),
    "environment-archive-absent": ("execution_env_path",),
    "environment-without-activate": (("conda-pack", "activate"),),
    "asked-for-an-unknown-model": (("name", "spell", "--load-model"), "repositor"),
    "asked-for-an-unknown-model-and-the-server-exits": (("name", "spell", "--load-model"), "repositor"),
    "load-of-an-unknown-model": (("name", "spell", "--load-model"), "repositor"),
    "ensemble-without-a-version-directory": _VERSION_DIRECTORY,
    "warm-up-file-missing": ("file", ("warmup", "warm-up", "path")),
    "load-with-a-warm-up-in-its-override": ("file", ("warmup", "warm-up", "path")),
    "s3-prefix-empty": (("--model-repository", "prefix", "path"),),
}
_CONTENT: dict[str, Words] = {
    "environment-archive-is-a-pointer": (
        ("execution_env_path", "archive", "environment"),
        ("again", "git lfs", "conda-pack"),
    ),
    "weights-are-a-pointer": (("git lfs", "pointer", "again"),),
    "weights-cut-short": _AGAIN,
    "pickle-cut-short": _AGAIN,
    "json-empty": ("file", ("empty", "again")),
    "weights-hold-objects": (("allow_pickle", "without objects", "plain array", "numeric"),),
    "archive-of-another-compression": (("compress", "deflate", "pack"),),
    "backend-library-is-a-web-page": ("again", ("library", ".so")),
    "model-file-unreadable": (_PERMIT,),
    "config-unreadable": (_PERMIT,),
    "version-directory-unreadable": (_PERMIT, ("director", "folder")),
    "repository-unreadable": (_PERMIT, ("director", "folder", "search")),
    "weights-unreadable": (_PERMIT,),
    "backend-library-unreadable": (_PERMIT,),
}
_CONFIGURATION: dict[str, Words] = {
    "config-bracket-missing": ("config.pbtxt", ("line", "bracket", "position")),
    "config-unknown-field": ("config.pbtxt", ("field", "max_batchsize")),
    "config-unknown-data-type": (("data_type", "type_fp32"),),
    "config-in-json": ("config.pbtxt", ("json", "text format", "brace")),
    "config-two-schedulers": (("one of", "only one", "sequence_batching"),),
    "config-of-another-name": ("name", ("folder", "directory")),
    "config-batch-negative": ("max_batch_size",),
    "config-preferred-batch-too-big": ("preferred", "max_batch_size"),
    "config-sequence-control-without-values": (("int32_false_true", "fp32_false_true", "bool_false_true"),),
    "config-cache-of-a-decoupled-model": (("response_cache", "response cache"),),
    "config-keeps-no-version": (("version_policy", "version policy"),),
    "config-dimension-zero": ("dims",),
    "config-without-dims": ("dims",),
    "config-reshape-of-another-size": ("reshape",),
    "config-gpu-where-none-is": ("gpu", ("kind_cpu", "instance_group", "nvidia.com/gpu")),
    "config-gpu-index-where-none-is": ("gpu", ("kind_cpu", "instance_group", "nvidia.com/gpu")),
    "config-cpu-with-gpus": ("gpus", ("kind_cpu", "kind_gpu", "instance_group")),
    "config-wants-more-than-the-server-has": (("--rate-limit-resource", "rate_limiter"),),
    "shared-memory-size-with-a-unit": (
        "shm-default-byte-size",
        ("in bytes", "number of bytes", "4194304", "without a unit", "plain number"),
    ),
    "auto-complete-of-other-dims": ("dims",),
    "auto-complete-of-another-type": ("type", ("config.pbtxt", "auto_complete_config")),
    "auto-complete-of-a-smaller-batch": ("max_batch_size",),
    "load-with-a-broken-override": ("max_batch_size",),
    "platform-unknown": ("platform", ("backend", "onnxruntime_onnx")),
    "backend-not-determined": ("backend", "config.pbtxt"),
}
_PYTHON: dict[str, Words] = {
    "auto-complete-raises": (("auto_complete_config", "model.py", "python"),),
    "auto-complete-returns-nothing": ("auto_complete_config", "return"),
    "parameter-missing": (("key", "top_k", "parameter"),),
    "initialize-raises": _CODE,
    "initialize-raises-and-the-server-exits": _CODE,
    "initialize-raises-with-iso-times": _CODE,
    "initialize-raises-in-a-verbose-log": _CODE,
    "initialize-raises-thrice": _CODE,
    "two-of-three-models-fail": _CODE,
    "one-of-two-versions-fails": _CODE,
    "reload-of-broken-code": _CODE,
    "new-version-of-broken-code": _CODE,
    "model-file-syntax": ("model.py", ("syntax", "line")),
    "model-class-missing": ("tritonpythonmodel",),
    "calls-in-initialize": ("execute", ("initialize", "newer", "release")),
    "package-missing": _PACKAGE,
    "package-too-old": ("version", ("numpy", "package", "install")),
    "warm-up-raises": (("model_warmup", "warm-up"), ("execute", "request", "model.py", "input")),
    "warm-up-calls-an-absent-model": (
        ("model_warmup", "warm-up"),
        ("execute", "request", "model.py", "input"),
    ),
    "warm-up-of-an-unknown-input": (("model_warmup", "warm-up"), "input"),
    "loads-collide-on-a-lock": (("--model-load-thread-count", "one at a time", "a time"),),
    "instances-collide-on-a-lock": ("instance",),
}
"""An instance collides with its twin: --model-load-thread-count, which is about models, does not keep them apart."""
_BACKENDS: dict[str, Words] = {
    "backend-not-in-the-image": _BACKEND,
    "backend-of-a-platform-not-in-the-image": _BACKEND,
    "backend-implied-by-the-file-not-in-the-image": _BACKEND,
    "backend-misspelt": ("backend", ("config.pbtxt", "name", "spell")),
    "backend-directory-absent": ("--backend-directory",),
    "backend-folder-empty": ("backend", ("image", "--backend-directory")),
    "backend-package-missing": _PACKAGE,
    "backend-stub-missing": ("triton_python_backend_stub",),
    "backend-library-links-to-absent": ("library", ("install", "image", "ld_library_path")),
    "stub-links-to-absent": ("librar", ("image", "stub", "install")),
}
_ENSEMBLES: dict[str, Words] = {
    "ensemble-child-raises": _CODE,
    "ensemble-child-raises-in-explicit-mode": _CODE,
    "ensemble-child-of-a-broken-config": ("max_batch_size",),
    "ensemble-child-absent": (("repositor", "load"), ("step", "name", "classify")),
    "ensemble-names-a-child-wrongly": (("name", "spell"), ("step", "model_name", "ensemble")),
    "ensemble-wants-an-absent-version": ("version", ("step", "model_version", "ensemble_scheduling")),
    "ensemble-leaves-the-version-unset": ("model_version", "-1"),
    "ensemble-with-a-warm-up": ("model_warmup",),
    "ensemble-maps-an-unknown-output": ("output_map",),
    "ensemble-of-two-types": (("data_type", "type"),),
    "ensemble-tensor-that-nobody-writes": (("output_map", "input_map", "tensor"),),
    "ensemble-in-a-circle": (("circle", "circular", "cycle", "step"),),
}
_AROUND: dict[str, Words] = {
    "s3-key-refused": (("credential", "key", "iam"),),
    "s3-list-refused": ("listbucket",),
    "s3-objects-refused": (("getobject", "read"),),
    "s3-unreachable": (("endpoint", "route", "network", "dns"),),
    "gcs-bucket-refused": (("storage.", "role", "account", "credential"),),
    "azure-unreachable": (("endpoint", "route", "network", "dns", "proxy"),),
    "mount-dead": ("mount",),
    "weights-on-a-dead-mount": ("mount", ("restart", "remount", "again", "daemon", "pod")),
    "shared-memory-too-small": (("/dev/shm", "shm-default-byte-size"),),
    "shared-memory-full": ("/dev/shm",),
    "disk-full": (("disk", "space", "emptydir", "ephemeral-storage"), ("free", "more", "raise", "larger")),
    "too-many-open-files": (("ulimit", "nofile", "open files"),),
    "host-memory-refused": ("memory", ("limit", "raise", "more")),
    "port-taken": ("port",),
    "option-unknown": (("option", "argument"), ("correct", "spell", "--help", "remove")),
    "option-of-another-mode": ("--model-control-mode",),
}
MENDS = _LAYOUT | _CONTENT | _CONFIGURATION | _PYTHON | _BACKENDS | _ENSEMBLES | _AROUND
"""By the failure's id."""
BY_END = {
    End.HUNG: LOOK_AT_THE_PROCESS,
    End.ENDED: LOOK_HOW_IT_ENDED,
    End.SERVING: LOOK_AT_THE_LOG,
}
LOOKS: dict[str, Words] = {"s3-too-busy": LOOK_AT_THE_LOG}
"""Where the log shows no load that has begun, nothing in it says that anything hangs: there may be more of it."""
OF_OTHERS: dict[tuple[str, str], Words] = {("two-of-three-models-fail", "scorer"): _PACKAGE}
"""Where a verdict about another model is right too."""


def first_action(failure: Failure, *, shown: bool, model: str | None) -> Words:
    """The words of the first action. shown: whether what was given shows the cause; model: which the verdict is about."""
    if failure.cause.label == NOT_A_LOAD_FAILURE:
        return MENDS.get(failure.id, LEAVE)
    if not shown:
        return LOOKS.get(failure.id) or BY_END[failure.end]
    return OF_OTHERS.get((failure.id, model or ""), MENDS[failure.id])


def missing_words(action: str, words: Words) -> list[str]:
    """Those that the action does not hold."""
    choices = [(word,) if isinstance(word, str) else word for word in words]
    return [" or ".join(choice) for choice in choices if not any(one in action.lower() for one in choice)]
