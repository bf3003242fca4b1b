"""Hosts that run out of something while a model loads, and loads that wait for ever."""

from tests.loadfailures.failure import Cause, End, Failure, load_refused
from tests.loadfailures.layouts import COMPLETE, initialize, model

RESOURCES = (
    Failure(
        "shared-memory-full",
        "/dev/shm has 64 KiB, as much as nothing; each Python instance wants a mebibyte.",
        load_refused("host_resources", "ranker", "Internal: Unable to initialize shared memory key"),
        model("ranker"),
        arguments=COMPLETE,
        disks={"/dev/shm": 1 << 16},
    ),
    Failure(
        "disk-full",
        "initialize() unpacks its weights onto a disk that is too small.",
        load_refused("host_resources", "ranker", "Internal: OSError: [Errno 28] No space left on device"),
        {
            **model(
                "ranker", initialize('(HERE.parents[2] / "cache/weights.bin").write_bytes(bytes(1 << 20))')
            ),
            "cache/": "",
        },
        arguments=COMPLETE,
        disks={"{folder}/cache": 1 << 16},
    ),
    Failure(
        "too-many-open-files",
        "initialize() opens more files than a process may.",
        load_refused(
            "host_resources", "ranker", "Internal: OSError: [Errno 24] Too many open files", "model_code"
        ),
        model("ranker", initialize("self.shards = [open(__file__) for _ in range(5000)]")),
        arguments=COMPLETE,
        open_files=512,
    ),
    Failure(
        "weights-on-a-dead-mount",
        "The daemon of the FUSE mount with the weights has died.",
        load_refused(
            "storage_access", "ranker", "Internal: OSError: [Errno 107] Transport endpoint is not connected"
        ),
        {
            **model(
                "ranker", initialize('self.weights = (HERE.parents[2] / "bucket/weights.bin").read_bytes()')
            ),
            "bucket/": "",
        },
        arguments=COMPLETE,
        dead_mount="bucket",
    ),
)

_CALLS = """\
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        request = pb_utils.InferenceRequest(model_name="tokenizer", requested_output_names=["OUTPUT"], inputs=[])
        answer = request.exec()
        if answer.has_error():
            raise pb_utils.TritonModelException(answer.error().message())

    def execute(self, requests):
        raise NotImplementedError("this model only loads")
"""

CALLS = (
    Failure(
        "calls-in-initialize",
        "initialize() calls another model, which this release allows in execute() only.",
        load_refused(
            "model_code",
            "ranker",
            "Internal: TritonModelException: BLS is only supported during the 'execute' function.",
            "runtime_version",
        ),
        model("ranker", _CALLS),
        arguments=COMPLETE,
    ),
)

WAITS = (
    Failure(
        "initialize-waits-for-a-pipe",
        "initialize() reads a named pipe that nobody writes to: an open of a mount that hangs looks like this.",
        Cause("storage_access", "ranker", secondary=("model_code",)),
        model(
            "ranker", initialize('import os; os.mkfifo(HERE / "weights"); (HERE / "weights").read_bytes()')
        ),
        arguments=COMPLETE,
        end=End.HUNG,
    ),
    Failure(
        "initialize-computes-without-end",
        "initialize() computes and never comes to an end.",
        Cause("model_code", "ranker"),
        model("ranker", initialize("exec('while True: pass')")),
        arguments=COMPLETE,
        end=End.HUNG,
    ),
)

HOSTS = (*RESOURCES, *CALLS, *WAITS)
