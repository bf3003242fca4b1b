"""Sleeps the largest INPUT of the batch in milliseconds: a batch takes as long as one request."""

import time
from typing import Any

from tests.tritons.model_io import ModelArguments, echo, input_of, recorder


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._recorder = recorder(arguments)

    def execute(self, requests: list[Any]) -> list[Any]:
        with self._recorder.execution(len(requests)):
            time.sleep(max(map(input_of, requests)) / 1000)
            return [echo(request) for request in requests]
