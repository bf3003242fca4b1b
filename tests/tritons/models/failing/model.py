"""INPUT 0 raises out of execute(); 1 gets an error response, a success to Triton; others are echoed."""

from typing import Any

from tests.tritons.model_io import ModelArguments, echo, error_response, input_of, recorder


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._recorder = recorder(arguments)

    def execute(self, requests: list[Any]) -> list[Any]:
        with self._recorder.execution(len(requests)):
            return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        match input_of(request):
            case 0.0:
                raise RuntimeError("asked to raise")
            case 1.0:
                return error_response("asked to fail")
            case _:
                return echo(request)
