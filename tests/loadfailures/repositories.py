"""Model repositories whose files are missing, misnamed, out of reach or not what they should be."""

import io
import pickle
import zipfile

from tests.loadfailures.failure import Cause, End, Failure, Row, load_refused, poll_failed
from tests.loadfailures.layouts import COMPLETE, IDLE, config, initialize, model

NO_VERSION = (
    "failed to load model '{}': at least one version must be available under the version policy of model '{}'"
)
LFS_POINTER = """\
version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 2417868
"""
ENVIRONMENT = 'parameters {{ key: "EXECUTION_ENV_PATH" value {{ string_value: "{}" }} }}'


def _no_version(name: str, *secondary: str, log: str | None = None) -> Cause:
    return Cause("repository_layout", name, log or NO_VERSION.format(name, name), None, Row.ABSENT, secondary)


def _array_of_objects() -> bytes:
    """An .npy file: numpy/lib/format.py, Format Version 1.0."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps(["cat"])


def _zip_by_method(method: int) -> bytes:
    """A zip archive of one member, marked with this compression method (APPNOTE.TXT, 4.4.5)."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("a.npy", bytes(64))
    content = bytearray(archive.getvalue())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.index(signature) + offset
        content[at : at + 2] = method.to_bytes(2, "little")
    return bytes(content)


MISSING = (
    Failure(
        id="no-version-directory",
        broken="model.py lies beside config.pbtxt; there is no version directory.",
        cause=_no_version("ranker"),
        files={**model("ranker", None, more={"model.py": IDLE}), **model("healthy")},
        arguments=COMPLETE,
        healthy=("healthy",),
    ),
    Failure(
        id="version-directory-named-v1",
        broken="The only version directory is called `v1` instead of `1`.",
        cause=_no_version(
            "ranker", log="ignore version directory 'v1' which fails to convert to integral number"
        ),
        files=model("ranker", None, more={"v1/model.py": IDLE}),
    ),
    Failure(
        id="version-policy-names-absent-version",
        broken="The version policy asks for version 3; only 1 is there.",
        cause=_no_version(
            "ranker",
            "model_config",
            log="version 3 is specified for model 'ranker', but the version directory is not present",
        ),
        files=model("ranker", configuration=config("version_policy { specific { versions: [ 3 ] } }")),
    ),
    Failure(
        id="git-folder-in-the-repository",
        broken="The repository is a checkout: Triton takes its .git folder for a model.",
        cause=_no_version(".git"),
        files={
            **model("healthy"),
            "models/.git/HEAD": "ref: refs/heads/main\n",
            "models/README.md": "# Models\n",
        },
        healthy=("healthy",),
    ),
    Failure(
        id="model-file-missing",
        broken="The version directory of a Python model is empty; the server waits for its stub for ever.",
        cause=Cause("repository_layout", "ranker", "Python model file not found in"),
        files=model("ranker", None, more={"1/": ""}),
        end=End.HUNG,
    ),
    Failure(
        id="model-file-one-level-too-deep",
        broken="The archive was unpacked with its own folder: 1/ranker/model.py, beside a model that is in order.",
        cause=Cause("repository_layout", "ranker", "Python model file not found in"),
        files={**model("ranker", None, more={"1/ranker/model.py": IDLE}), **model("healthy")},
        arguments=COMPLETE,
        end=End.HUNG,
    ),
    Failure(
        id="model-name-with-a-space",
        broken="The model's folder is called `my model`: the Python stub dies of its own arguments, and the server waits for ever.",
        cause=Cause("repository_layout", "my model"),
        files=model("my model"),
        end=End.HUNG,
    ),
    Failure(
        id="repository-is-one-model",
        broken="--model-repository points at a model's own folder instead of the folder above it.",
        cause=poll_failed(
            "repository_layout", "1", "Invalid model name: Could not determine backend for model '1'"
        ),
        files=model("ranker"),
        repository="models/ranker",
    ),
    Failure(
        id="repository-absent",
        broken="--model-repository names a path that does not exist.",
        cause=Cause("repository_layout", None, "creating server: Internal - failed to stat file"),
        files={"models/": ""},
        repository="modles",
        arguments=("--exit-on-error=true",),
        end=End.ENDED,
        exit_code=1,
    ),
    Failure(
        id="same-name-in-two-repositories",
        broken="Two repositories hold a model of the same name.",
        cause=Cause(
            "repository_layout",
            "ranker",
            "failed to poll model 'ranker': not unique across all model repositories",
            "model appears in two or more repositories",
            Row.REASON,
        ),
        files={**model("ranker"), **{f"more/{path}": text for path, text in model("ranker").items()}},
        arguments=("--model-repository={folder}/more/models",),
    ),
    Failure(
        id="opened-file-missing",
        broken="initialize() opens a vocabulary that was not copied.",
        cause=load_refused(
            "repository_layout",
            "tokenizer",
            "Internal: FileNotFoundError: [Errno 2] No such file",
            "model_code",
        ),
        files={
            **model("tokenizer", initialize('self.words = json.load(open(HERE / "vocabulary.json"))')),
            **model("healthy"),
        },
        arguments=COMPLETE,
        healthy=("healthy",),
    ),
    Failure(
        id="environment-archive-absent",
        broken="EXECUTION_ENV_PATH names an archive that is not in the container.",
        cause=load_refused(
            "repository_layout",
            "ranker",
            "Internal: Failed to get the canonical path for /nowhere/ranker.tar.gz",
            "runtime_version",
        ),
        files=model("ranker", configuration=config(ENVIRONMENT.format("/nowhere/ranker.tar.gz"))),
    ),
    Failure(
        id="environment-without-activate",
        broken="EXECUTION_ENV_PATH names a folder that is no packed Conda environment.",
        cause=load_refused(
            "repository_layout",
            "ranker",
            "Internal: Path /",
            "runtime_version",
            log="The Python environment should contain an 'activate' script",
        ),
        files=model(
            "ranker",
            configuration=config(ENVIRONMENT.format("$$TRITON_MODEL_DIRECTORY/environment")),
            more={"environment/": ""},
        ),
    ),
)

NOT_WHOLE = (
    Failure(
        id="environment-archive-is-a-pointer",
        broken="The archive that EXECUTION_ENV_PATH names is a Git LFS pointer.",
        cause=load_refused("artifact_integrity", "ranker", "Internal: archive_read_open_filename() failed"),
        files=model(
            "ranker",
            configuration=config(ENVIRONMENT.format("$$TRITON_MODEL_DIRECTORY/environment.tar.gz")),
            more={"environment.tar.gz": LFS_POINTER},
        ),
    ),
    Failure(
        id="weights-are-a-pointer",
        broken="The weights are a Git LFS pointer, which numpy takes for a pickle.",
        cause=load_refused(
            "artifact_integrity",
            "embedder",
            "Internal: ValueError: Cannot load file containing pickled data",
            "model_code",
        ),
        files=model(
            "embedder",
            initialize('self.weights = numpy.load(HERE / "weights.npz")'),
            more={"1/weights.npz": LFS_POINTER},
        ),
        arguments=COMPLETE,
    ),
    Failure(
        id="weights-cut-short",
        broken="The copy of an npz archive ended early, before the directory at its end.",
        cause=load_refused("artifact_integrity", "embedder", "Internal: BadZipFile: File is not a zip file"),
        files=model(
            "embedder",
            initialize('self.weights = numpy.load(HERE / "weights.npz")'),
            more={"1/weights.npz": b"PK\x03\x04\x2d\x00" + bytes(500)},
        ),
        arguments=COMPLETE,
    ),
    Failure(
        id="pickle-cut-short",
        broken="The copy of a pickle ended early.",
        cause=load_refused(
            "artifact_integrity", "embedder", "Internal: UnpicklingError: pickle data was truncated"
        ),
        files=model(
            "embedder",
            initialize('self.weights = pickle.load(open(HERE / "weights.pkl", "rb"))'),
            more={"1/weights.pkl": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00"},
        ),
        arguments=COMPLETE,
    ),
    Failure(
        id="json-empty",
        broken="The labels file has zero bytes: a copy to a full disk.",
        cause=load_refused(
            "artifact_integrity",
            "embedder",
            "Internal: JSONDecodeError: Expecting value: line 1 column 1",
            "model_code",
        ),
        files=model(
            "embedder",
            initialize('self.labels = json.load(open(HERE / "labels.json"))'),
            more={"1/labels.json": ""},
        ),
        arguments=COMPLETE,
    ),
)

OF_ANOTHER_FORMAT = (
    Failure(
        id="weights-hold-objects",
        broken="The array was saved with Python objects in it, which numpy reads only if it is told to.",
        cause=load_refused(
            "model_unsupported",
            "embedder",
            "Internal: ValueError: Object arrays cannot be loaded when allow_pickle=False",
            "model_code",
        ),
        files=model(
            "embedder",
            initialize('self.labels = numpy.load(HERE / "labels.npy")'),
            more={"1/labels.npy": _array_of_objects()},
        ),
        arguments=COMPLETE,
    ),
    Failure(
        id="archive-of-another-compression",
        broken="The weights were packed with Zstandard, which the zip reader of this Python does not know.",
        cause=load_refused(
            "model_unsupported",
            "embedder",
            "Internal: NotImplementedError: That compression method is not supported",
            "runtime_version",
        ),
        files=model(
            "embedder",
            initialize('self.weights = numpy.load(HERE / "weights.npz")["a"]'),
            more={"1/weights.npz": _zip_by_method(93)},
        ),
        arguments=COMPLETE,
    ),
)

REFUSED_ACCESS = (
    Failure(
        id="model-file-unreadable",
        broken="model.py may not be read.",
        cause=load_refused(
            "file_permissions", "ranker", "Internal: PermissionError: [Errno 13] Permission denied"
        ),
        files=model("ranker"),
        unreadable=("models/ranker/1/model.py",),
    ),
    Failure(
        id="config-unreadable",
        broken="config.pbtxt may not be read.",
        cause=poll_failed("file_permissions", "ranker", "failed to open text file for read"),
        files={**model("ranker"), **model("healthy")},
        arguments=COMPLETE,
        unreadable=("models/ranker/config.pbtxt",),
        healthy=("healthy",),
    ),
    Failure(
        id="version-directory-unreadable",
        broken="The version directory may not be listed.",
        cause=poll_failed("file_permissions", "ranker", "failed to open directory"),
        files=model("ranker"),
        unreadable=("models/ranker/1",),
    ),
    Failure(
        id="repository-unreadable",
        broken="The repository may not be listed: the index is refused too.",
        cause=Cause(
            "file_permissions",
            None,
            "failed to poll model repository",
            "failed to open directory",
            Row.REFUSED,
        ),
        files=model("ranker"),
        unreadable=("models",),
    ),
    Failure(
        id="weights-unreadable",
        broken="The weights that initialize() reads may not be read.",
        cause=load_refused(
            "file_permissions",
            "embedder",
            "Internal: PermissionError: [Errno 13] Permission denied",
            "model_code",
        ),
        files=model(
            "embedder",
            initialize('self.weights = (HERE / "weights.bin").read_bytes()'),
            more={"1/weights.bin": bytes(64)},
        ),
        arguments=COMPLETE,
        unreadable=("models/embedder/1/weights.bin",),
    ),
)

REPOSITORIES = (*MISSING, *NOT_WHOLE, *OF_ANOTHER_FORMAT, *REFUSED_ACCESS)
