"""Sleeps `service_ms` a request and writes down which request ran when: INPUT is the request's number.

The times are CLOCK_MONOTONIC, which every process of the machine shares, and owe nothing to Triton's own clocks."""

import json
import os
import time
from pathlib import Path
from typing import Any

from tests.tritons.executions import FOLDER_VARIABLE
from tests.tritons.model_io import ModelArguments, echo, input_of, parameter


class TritonPythonModel:
    def initialize(self, arguments: ModelArguments) -> None:
        self._service_seconds = float(parameter(arguments, "service_ms") or 0) / 1000
        # One file a process: an instance before a reload or restart is another one than after it.
        name = f"{arguments['model_instance_name']}.{os.getpid()}"
        folder = Path(os.environ[FOLDER_VARIABLE]) / "requests"
        folder.mkdir(parents=True, exist_ok=True)
        self._record = (folder / f"{name}.jsonl").open("a", buffering=1)

    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            started = time.monotonic()
            time.sleep(self._service_seconds)
            responses.append(echo(request))
            ended = time.monotonic()
            self._record.write(json.dumps([int(input_of(request)), started, ended]) + "\n")
        return responses
