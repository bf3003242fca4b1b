"""Sleeps INPUT milliseconds per request, or parameter `service_ms` where it is set: a known service time."""

import time
from typing import Any

from tests.tritons.model_io import ModelArguments, echo, input_of, parameter, recorder


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._recorder = recorder(arguments)
        fixed_ms = parameter(arguments, "service_ms")
        self._fixed_ms = None if fixed_ms is None else float(fixed_ms)

    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        with self._recorder.execution(len(requests)):
            for request in requests:
                time.sleep((input_of(request) if self._fixed_ms is None else self._fixed_ms) / 1000)
                responses.append(echo(request))
        return responses
