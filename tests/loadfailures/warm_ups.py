"""Models that are built and whose warm-up request is not answered."""

from tests.loadfailures.failure import Cause, End, Failure, Files, load_refused
from tests.loadfailures.layouts import COMPLETE, IDLE, config, model

TRIES = 24
"""A request that fails in the warm-up races with the end of its model: of ten servers one to five die of SIGSEGV."""

CALLS = """\
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        request = pb_utils.InferenceRequest(model_name="tokenizer", requested_output_names=["OUTPUT"], inputs=[])
        answer = request.exec()
        if answer.has_error():
            raise pb_utils.TritonModelException(answer.error().message())
"""
UNSERVED = 'raise NotImplementedError("this model only loads")'


def _files(code: str = IDLE, *, into: str = "INPUT", data: str = "zero_data: true") -> Files:
    request = f'inputs {{ key: "{into}" value {{ data_type: TYPE_FP32 dims: [ 1 ] {data} }} }}'
    return model(
        "ranker", code, config(f'model_warmup [{{ name: "first request" batch_size: 1 {request} }}]')
    )


WARM_UPS = (
    Failure(
        id="warm-up-raises",
        broken="The model is built; the warm-up request raises.",
        cause=load_refused(
            "warmup_failure",
            "ranker",
            "Invalid argument: failed to run warmup sample 'first request'",
            "model_code",
        ),
        files=_files(),
        arguments=COMPLETE,
        tries=TRIES,
    ),
    Failure(
        id="warm-up-calls-an-absent-model",
        broken="The model is built; its warm-up request calls a model that is not in the repository.",
        cause=load_refused(
            "warmup_failure",
            "ranker",
            "Invalid argument: failed to run warmup sample 'first request'",
            "dependency_model",
            "model_code",
        ),
        files=_files(CALLS),
        arguments=COMPLETE,
        tries=TRIES,
    ),
    Failure(
        id="warm-up-takes-the-server-down",
        broken="The stub dies of the warm-up request, and the server of the failed warm-up, by SIGSEGV and without a word.",
        cause=Cause("warmup_failure", "ranker", secondary=("model_code",)),
        files=_files(IDLE.replace(UNSERVED, "__import__('os')._exit(1)")),
        arguments=COMPLETE,
        end=End.ENDED,
        exit_code=-11,
        tries=TRIES,
    ),
    Failure(
        id="warm-up-answers-nothing",
        broken="execute() returns None to the warm-up request, which then waits for ever.",
        cause=Cause("warmup_failure", "ranker", secondary=("model_code",)),
        files=_files(IDLE.replace(UNSERVED, "return None")),
        arguments=COMPLETE,
        end=End.HUNG,
    ),
    Failure(
        id="warm-up-of-an-unknown-input",
        broken="The warm-up request names an input that the model does not have; no line speaks of a warm-up.",
        cause=load_refused(
            "warmup_failure",
            "ranker",
            "Invalid argument: [request id: <id_unknown>] expected 1 inputs but got 0 inputs for model 'ranker'",
            "model_config",
        ),
        files=_files(into="INPUTS"),
        arguments=COMPLETE,
    ),
    Failure(
        id="warm-up-file-missing",
        broken="The warm-up request's data file was not copied.",
        cause=load_refused(
            "repository_layout", "ranker", "Internal: failed to open text file for read", "warmup_failure"
        ),
        files=_files(data='input_data_file: "first"'),
        arguments=COMPLETE,
    ),
)
