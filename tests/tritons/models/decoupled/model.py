"""Answers INPUT milliseconds after execute() returned, from a thread: as vLLM's models do, and as Triton's
counters cannot see."""

import threading
import time
from typing import Any

from tests.tritons.model_io import ModelArguments, echo, input_of, recorder, send_last


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._recorder = recorder(arguments)

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            arguments = (request.get_response_sender(), echo(request), input_of(request))
            threading.Thread(target=self._answer, args=arguments, daemon=True).start()

    def _answer(self, sender: Any, response: Any, milliseconds: float) -> None:
        with self._recorder.execution(1):
            time.sleep(milliseconds / 1000)
            send_last(sender, response)
