"""What every test model does with Triton's Python backend: INPUT in, OUTPUT out, one FP32 each, and its
execution record.

Imported only inside Triton's Python stub, where `triton_python_backend_utils` exists."""

import json
from typing import Any

import numpy  # type: ignore[import-not-found, unused-ignore]
import triton_python_backend_utils as backend  # type: ignore[import-not-found]

from tests.tritons.executions import Recorder

ModelArguments = dict[str, str]


def recorder(arguments: ModelArguments) -> Recorder:
    return Recorder(arguments["model_name"], arguments["model_version"], arguments["model_instance_name"])


def parameter(arguments: ModelArguments, name: str) -> str | None:
    """A parameter of the model's configuration, None when it is not set."""
    parameters = json.loads(arguments["model_config"]).get("parameters", {})
    return str(parameters[name]["string_value"]) if name in parameters else None


def input_of(request: Any) -> float:
    """The request's number; the largest where a client sent a batch."""
    return float(backend.get_input_tensor_by_name(request, "INPUT").as_numpy().max())


def echo(request: Any) -> Any:
    """A response whose OUTPUT is the INPUT."""
    values = backend.get_input_tensor_by_name(request, "INPUT").as_numpy()
    return backend.InferenceResponse(output_tensors=[backend.Tensor("OUTPUT", values.astype(numpy.float32))])


def error_response(message: str) -> Any:
    return backend.InferenceResponse(output_tensors=[], error=backend.TritonError(message))


def send_last(sender: Any, response: Any) -> None:
    """A decoupled request's only answer."""
    sender.send(response)
    sender.send(flags=backend.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
