"""Backends that are not there, not whole, or that miss a part of their own."""

import shutil
from pathlib import Path

from tests.loadfailures.failure import Cause, End, Failure, load_refused, poll_failed
from tests.loadfailures.layouts import IDLE, config, model
from tests.tritons.install import TritonInstall

OWN_BACKENDS = ("--backend-directory={folder}/backends",)
NO_LIBRARY = "Invalid argument: unable to find backend library for backend '{}'"


def _python_beside(folder: Path, install: TritonInstall) -> None:
    """The image's Python backend beside the broken one."""
    (folder / "backends/python").symlink_to(install.backends / "python")


def _library_alone(folder: Path, install: TritonInstall) -> None:
    (folder / "backends/python").mkdir(parents=True)
    shutil.copy(install.backends / "python/libtriton_python.so", folder / "backends/python")


def _library_cut_short(folder: Path, install: TritonInstall) -> None:
    whole = (install.backends / "python/libtriton_python.so").read_bytes()
    (folder / "backends/python").mkdir(parents=True)
    (folder / "backends/python/libtriton_python.so").write_bytes(whole[: len(whole) // 3])


def _stub_from_elsewhere(folder: Path, install: TritonInstall) -> None:
    """As a stub copied out of another image: the libraries that it links to stay there."""
    shutil.copy(install.backends / "python/triton_python_backend_stub", folder / "models/ranker")


def _linked_to_absent(folder: Path, install: TritonInstall) -> None:
    """A library that links to OpenBLAS, which lies beside numpy and not here."""
    [library] = (install.folder / "venv").rglob("_umath_linalg.*.so")
    shutil.copy(library, folder / "models/ranker/1/libtriton_blas.so")


BACKENDS = (
    Failure(
        id="backend-not-in-the-image",
        broken="An ONNX model on an image without the onnxruntime backend.",
        cause=load_refused("backend_unavailable", "detector", NO_LIBRARY.format("onnxruntime")),
        files=model(
            "detector", None, config(backend='backend: "onnxruntime"'), {"1/model.onnx": b"\x08\x07"}
        ),
    ),
    Failure(
        id="backend-of-a-platform-not-in-the-image",
        broken="A TensorRT engine, by its platform, on an image without the tensorrt backend.",
        cause=load_refused("backend_unavailable", "detector", NO_LIBRARY.format("tensorrt")),
        files=model("detector", None, config(backend='platform: "tensorrt_plan"'), {"1/model.plan": b"ftrt"}),
    ),
    Failure(
        id="backend-implied-by-the-file-not-in-the-image",
        broken="A TorchScript file and no configuration, on an image without the pytorch backend.",
        cause=load_refused("backend_unavailable", "detector", NO_LIBRARY.format("pytorch")),
        files={"models/detector/1/model.pt": b"PK\x03\x04"},
    ),
    Failure(
        id="backend-misspelt",
        broken="The backend's name is misspelt.",
        cause=load_refused("backend_unavailable", "ranker", NO_LIBRARY.format("pyhton"), "model_config"),
        files=model("ranker", configuration=config(backend='backend: "pyhton"')),
    ),
    Failure(
        id="backend-directory-absent",
        broken="--backend-directory names a folder that does not exist.",
        cause=load_refused("backend_unavailable", "ranker", NO_LIBRARY.format("python")),
        files=model("ranker"),
        arguments=OWN_BACKENDS,
    ),
    Failure(
        id="backend-folder-empty",
        broken="The backend's folder is there and empty.",
        cause=load_refused("backend_unavailable", "writer", NO_LIBRARY.format("vllm")),
        files={
            **model("writer", None, config(backend='backend: "vllm"'), {"1/model.json": "{}"}),
            "backends/vllm/": "",
        },
        prepare=_python_beside,
        arguments=OWN_BACKENDS,
    ),
    Failure(
        id="backend-package-missing",
        broken="The backend is written in Python, and the package that it wraps is not in the image.",
        cause=load_refused(
            "runtime_version", "writer", "Internal: ModuleNotFoundError: No module named 'vllm'"
        ),
        files={
            **model("writer", None, config(backend='backend: "vllm"'), {"1/model.json": "{}"}),
            "backends/vllm/model.py": "import vllm\n" + IDLE,
        },
        prepare=_python_beside,
        arguments=OWN_BACKENDS,
    ),
    Failure(
        id="backend-stub-missing",
        broken="The Python backend's library was copied without its stub.",
        cause=load_refused(
            "runtime_version",
            "ranker",
            "Not found: triton_python_backend_stub is not found",
            "backend_unavailable",
        ),
        files=model("ranker"),
        prepare=_library_alone,
        arguments=OWN_BACKENDS,
    ),
    Failure(
        id="backend-library-unreadable",
        broken="The backend's library may not be read.",
        cause=load_refused(
            "file_permissions",
            "ranker",
            "Not found: unable to load shared library: ",
            log="cannot open shared object file: Permission denied",
        ),
        files=model("ranker"),
        prepare=_library_alone,
        unreadable=("backends/python/libtriton_python.so",),
        arguments=OWN_BACKENDS,
    ),
    Failure(
        id="backend-library-cut-short",
        broken="The copy of the backend's library ended early: the server dies of SIGBUS while it maps it.",
        cause=Cause("artifact_integrity", "ranker", secondary=("backend_unavailable",)),
        files=model("ranker"),
        prepare=_library_cut_short,
        arguments=OWN_BACKENDS,
        end=End.ENDED,
        exit_code=-7,
    ),
    Failure(
        id="backend-library-is-a-web-page",
        broken="The model's own backend library is the error page of a download.",
        cause=load_refused(
            "artifact_integrity",
            "ranker",
            "Not found: unable to load shared library: ",
            "backend_unavailable",
            log="libtriton_custom.so: invalid ELF header",
        ),
        files=model(
            "ranker",
            None,
            config(backend='backend: "custom"'),
            {"1/libtriton_custom.so": "<html><body>404 Not Found</body></html>\n" * 20},
        ),
    ),
    Failure(
        id="backend-library-links-to-absent",
        broken="The model's own backend library links to OpenBLAS, which is not in the image.",
        cause=load_refused(
            "runtime_version",
            "ranker",
            "Not found: unable to load shared library: libopenblas",
            log="cannot open shared object file: No such file or directory",
        ),
        files=model("ranker", None, config(backend='backend: "blas"'), {"1/": ""}),
        prepare=_linked_to_absent,
    ),
    Failure(
        id="stub-links-to-absent",
        broken="The model brings a Python stub of another image, whose libraries are not here: the server waits for ever.",
        cause=Cause("runtime_version", "ranker", "error while loading shared libraries: "),
        files=model("ranker"),
        prepare=_stub_from_elsewhere,
        end=End.HUNG,
    ),
    Failure(
        id="backend-not-determined",
        broken="The configuration names no backend, and no file tells which it is.",
        cause=poll_failed(
            "model_config", "ranker", "Invalid model name: Could not determine backend", "repository_layout"
        ),
        files=model("ranker", None, config(backend=""), {"1/weights.bin": bytes(8)}),
    ),
    Failure(
        id="platform-unknown",
        broken="The platform is no platform of Triton.",
        cause=poll_failed("model_config", "detector", "unexpected platform type 'onnx' for detector"),
        files=model("detector", None, config(backend='platform: "onnx"'), {"1/model.onnx": b"\x08\x07"}),
    ),
)
