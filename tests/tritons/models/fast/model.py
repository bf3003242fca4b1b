"""Answers at once."""

from typing import Any

from tests.tritons.model_io import ModelArguments, echo, recorder


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._recorder = recorder(arguments)

    def execute(self, requests: list[Any]) -> list[Any]:
        with self._recorder.execution(len(requests)):
            return [echo(request) for request in requests]
