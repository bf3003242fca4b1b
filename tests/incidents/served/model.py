"""The one model of every incident: it works for as many milliseconds as a request's first number says.

Parameters of its configuration and the conditions beside the ground truth say how it misbehaves. It sleeps unless told to
burn: sleep takes no share of the machine from the servers beside it."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy  # type: ignore[import-not-found, unused-ignore]
import triton_python_backend_utils as backend  # type: ignore[import-not-found]

from tests.tritons.executions import FOLDER_VARIABLE
from tests.tritons.model_io import ModelArguments, error_response, parameter, recorder

CONDITIONS = Path(os.environ[FOLDER_VARIABLE]) / "conditions.json"
MIB = 1 << 20


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._recorder = recorder(arguments)
        self._name, self._version = arguments["model_name"], arguments["model_version"]
        self._burns = parameter(arguments, "burns") is not None
        self._per_item_ms = float(parameter(arguments, "per_item_ms") or 0)
        self._lazy_ms = float(parameter(arguments, "lazy_ms") or 0)
        self._shape_ms = float(parameter(arguments, "shape_ms") or 0)
        self._leak_mib = float(parameter(arguments, "leak_mib") or 0)
        self._factor = float(parameter(arguments, f"factor_v{self._version}") or 1)
        self._factor *= float(os.environ.get("SLOW_FACTOR", "1"))
        self._calls = [name for name in (parameter(arguments, "calls") or "").split(",") if name]
        self._sizes = {1}
        self._leaked: list[bytearray] = []
        self._first = True
        time.sleep(float(parameter(arguments, "initialize_sleep_s") or 0))
        _burn(float(parameter(arguments, "initialize_burn_s") or 0))

    def execute(self, requests: list[Any]) -> list[Any]:
        size = sum(_items(request) for request in requests)
        with self._recorder.execution(len(requests)):
            condition = self._condition()
            while condition.get("hangs"):
                time.sleep(0.1)
                condition = self._condition()
            work_ms = max(_work_ms(request) for request in requests) + self._per_item_ms * (size - 1)
            work_ms *= self._factor * float(condition.get("factor", 1))
            if self._first:
                work_ms, self._first = work_ms + self._lazy_ms, False
            if size not in self._sizes:
                self._sizes.add(size)
                work_ms += self._shape_ms
            if self._leak_mib and condition.get("leaks"):
                self._leaked.append(bytearray(os.urandom(1024)) * int(1024 * self._leak_mib))
                work_ms += len(self._leaked)  # as of a list that each request looks through
            (_burn if self._burns else time.sleep)(work_ms / 1000)
            for name in self._calls:
                _call(name, requests[0])
            every = int(condition.get("error_every", 0))
            return [_answer(request, every) for request in requests]

    def _condition(self) -> dict[str, Any]:
        try:
            conditions: dict[str, dict[str, Any]] = json.loads(CONDITIONS.read_text())
        except FileNotFoundError:
            return {}
        return conditions.get(self._name, {})


def _numbers(request: Any) -> Any:
    return backend.get_input_tensor_by_name(request, "INPUT").as_numpy()


def _items(request: Any) -> int:
    numbers = _numbers(request)
    return int(numbers.shape[0]) if numbers.ndim > 1 else 1


def _work_ms(request: Any) -> float:
    return float(_numbers(request).flat[0])


def _answer(request: Any, error_every: int) -> Any:
    numbers = _numbers(request).astype(numpy.float32)
    # The second number tells requests apart.
    if error_every and int(numbers.flat[1]) % error_every == 0:
        return error_response("the feature store answered nothing")
    return backend.InferenceResponse(
        output_tensors=[
            backend.Tensor(
                "OUTPUT", numbers.reshape(-1, numbers.shape[-1])[:, :2] if numbers.ndim > 1 else numbers[:2]
            )
        ]
    )


def _call(name: str, request: Any) -> None:
    tensor = backend.Tensor("INPUT", _numbers(request))
    answer = backend.InferenceRequest(
        model_name=name, requested_output_names=["OUTPUT"], inputs=[tensor]
    ).exec()
    if answer.has_error():
        raise backend.TritonModelException(answer.error().message())


def _burn(seconds: float) -> None:
    """Takes `seconds` of processor time, which last longer where the processor is shared."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
