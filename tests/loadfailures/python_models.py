"""Python models whose own code, packages or process do not get through the load."""

from tests.loadfailures.failure import Cause, End, Failure, Row, load_refused, without_index
from tests.loadfailures.layouts import COMPLETE, IDLE, config, initialize, model

RAISES = initialize('raise ValueError("the threshold must be below 1")')
RAISED = "Internal: ValueError: the threshold must be below 1"
BROKEN = load_refused("model_code", "ranker", RAISED)


def _unseen(label: str) -> Cause:
    """Log and index say only that the stub process is gone."""
    return Cause(label, "ranker", None, None, Row.REASON)


MODEL_CODE = (
    Failure(
        id="initialize-raises",
        broken="initialize() raises an exception of its own.",
        cause=BROKEN,
        files={**model("ranker", RAISES), **model("healthy")},
        arguments=COMPLETE,
        healthy=("healthy",),
    ),
    Failure(
        id="initialize-raises-and-the-server-exits",
        broken="initialize() raises and the server runs with --exit-on-error=true: no model serves.",
        cause=without_index(BROKEN),
        files={**model("ranker", RAISES), **model("healthy")},
        arguments=(*COMPLETE, "--exit-on-error=true"),
        end=End.ENDED,
        exit_code=1,
    ),
    Failure(
        id="initialize-raises-with-iso-times",
        broken="initialize() raises; the log has ISO 8601 times.",
        cause=BROKEN,
        files=model("ranker", RAISES),
        arguments=(*COMPLETE, "--log-format=ISO8601"),
    ),
    Failure(
        id="initialize-raises-in-a-verbose-log",
        broken="initialize() raises; the log is verbose.",
        cause=BROKEN,
        files=model("ranker", RAISES),
        arguments=(*COMPLETE, "--log-verbose=1"),
    ),
    Failure(
        id="initialize-raises-thrice",
        broken="initialize() raises at the first try and at both retries.",
        cause=BROKEN,
        files=model("ranker", RAISES),
        arguments=(*COMPLETE, "--model-load-retry-count=2"),
    ),
    Failure(
        id="two-of-three-models-fail",
        broken="Two models fail for causes of their own beside a healthy one.",
        cause=BROKEN,
        also=(
            load_refused(
                "runtime_version", "scorer", "Internal: ModuleNotFoundError: No module named 'lightgbm'"
            ),
        ),
        files={**model("ranker", RAISES), **model("scorer", "import lightgbm\n" + IDLE), **model("healthy")},
        arguments=COMPLETE,
        healthy=("healthy",),
    ),
    Failure(
        id="one-of-two-versions-fails",
        broken="Version 2 raises; version 1 would load, and is not kept without it.",
        cause=load_refused("model_code", "ranker", RAISED, version=2),
        files=model("ranker", configuration=config("version_policy { all {} }"), more={"2/model.py": RAISES}),
        arguments=COMPLETE,
    ),
    Failure(
        id="model-file-syntax",
        broken="model.py does not parse.",
        cause=load_refused("model_code", "ranker", "Internal: SyntaxError: expected ':' (model.py, line 2)"),
        files=model("ranker", IDLE.replace("requests):", "requests)")),
    ),
    Failure(
        id="model-class-missing",
        broken="model.py has no TritonPythonModel.",
        cause=load_refused(
            "model_code",
            "ranker",
            "Internal: AttributeError: module '1.model' has no attribute 'TritonPythonModel'",
        ),
        files=model("ranker", IDLE.replace("TritonPythonModel", "Ranker")),
    ),
    Failure(
        id="initialize-crashes",
        broken="Native code that initialize() calls reads address 0: the stub process dies without a word.",
        cause=_unseen("model_code"),
        files=model("ranker", initialize("ctypes.string_at(0)")),
        arguments=COMPLETE,
    ),
    Failure(
        id="initialize-never-returns",
        broken="initialize() waits for something that never comes.",
        cause=Cause("model_code", "ranker"),
        files=model("ranker", initialize("time.sleep(3600)")),
        arguments=COMPLETE,
        end=End.HUNG,
    ),
)

PACKAGES = (
    Failure(
        id="package-missing",
        broken="model.py imports a package that the image does not have.",
        cause=load_refused(
            "runtime_version", "ranker", "Internal: ModuleNotFoundError: No module named 'lightgbm'"
        ),
        files=model("ranker", "import lightgbm\n" + IDLE),
    ),
    Failure(
        id="package-too-old",
        broken="model.py imports a name that only numpy 2 has.",
        cause=load_refused(
            "runtime_version", "ranker", "Internal: ImportError: cannot import name 'astype' from 'numpy'"
        ),
        files=model("ranker", "from numpy import astype\n" + IDLE),
    ),
)

MEMORY = (
    Failure(
        id="host-memory-refused",
        broken="initialize() wants 2 GiB where a process may have 1 GiB.",
        cause=load_refused("host_resources", "ranker", "Internal: MemoryError: Unable to allocate 2.00 GiB"),
        files=model("ranker", initialize("self.table = numpy.ones(1 << 28)")),
        arguments=COMPLETE,
        memory_bytes=1 << 30,
    ),
)

PYTHON_MODELS = (*MODEL_CODE, *PACKAGES, *MEMORY)
