"""What act three plays, as data: a model, its slower version, the clients, and what is seen of them each second."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

MODEL = "ranker"
OLD, NEW = "1", "2"
CLIENTS = 8
PAUSE_SECONDS = 0.2
"""Mean time that a client takes before its next request. With it version 1 is busy for two thirds of the time."""
CALM_SECONDS = 4
"""Before triton-triage is asked."""
PUSH_AT = 14
"""So that ten seconds of the capture are calm: fewer are no baseline."""
CAPTURE_SECONDS = 22

_CONFIG = """backend: "python"
max_batch_size: 0
input [{ name: "INPUT" data_type: TYPE_FP32 dims: [ 1 ] }]
output [{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ 1 ] }]
instance_group [{ kind: KIND_CPU count: 2 }]
version_policy { all {} }
model_warmup [{
  name: "one request"
  batch_size: 1
  inputs { key: "INPUT" value { data_type: TYPE_FP32 dims: [ 1 ] zero_data: true } }
}]
"""
_CODE = """import time

import triton_python_backend_utils as backend

PASSES = %s  # over each request; their mean is the score


class TritonPythonModel:
    def execute(self, requests):
        return [self._score(request) for request in requests]

    def _score(self, request):
        time.sleep(0.04 * PASSES)  # stands for a GPU at work
        values = backend.get_input_tensor_by_name(request, "INPUT").as_numpy()
        return backend.InferenceResponse(output_tensors=[backend.Tensor("OUTPUT", values)])
"""

FILES: Mapping[str, str] = {"config.pbtxt": _CONFIG, f"{OLD}/model.py": _CODE % 1}
"""Of the model, with its first version."""
NEW_FILES: Mapping[str, str] = {"model.py": _CODE % 4}
"""Of the version that is pushed; nothing is wrong with it but its time."""

State = Literal["calm", "pushed", "served", "put back", "back"]
AFTER_REPORT: Sequence[State] = ("put back", "back")

HEADLINES: Mapping[State, str] = {
    "calm": f"CALM: {CLIENTS} clients. {MODEL} computes for 40 ms, and hardly anyone waits.",
    "pushed": "PUSHED: version 2 scores each request four times, for better scores.",
    "served": "SERVED: version 2 loaded, Triton is ready, nothing fails: all green.",
    "put back": "PUT BACK: version 2 leaves the repository, as the report says.",
    "back": "BACK: version 1 answers alone again.",
}
"""What happens; at most 70 characters, so that RECORDED has room before them."""


class Second(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was seen in one second."""

    at: int
    clock: str
    """Time of day, UTC."""
    state: State
    p99_ms: float | None
    """Of the requests that were answered in it, as their clients saw them; None: none was."""
    answered: int = 0
    failed: int = 0
    """So far."""
    versions: tuple[str, ...] = ()
    """Of the model, that Triton says are ready."""
    ready: bool = False
    """Triton as a whole, by its health."""
    asked: int | None = None
    """Seconds since triton-triage was asked; None: it is not at work."""


def state_of(*, pushed: bool, withdrawn: bool, versions: Sequence[str]) -> State:
    """By what was done to the repository, and what Triton says that it serves."""
    serves_new = NEW in versions
    if withdrawn:
        return "put back" if serves_new else "back"
    if pushed:
        return "served" if serves_new else "pushed"
    return "calm"
