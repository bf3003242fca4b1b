"""Sleeps `service_ms` an execution and writes down which requests ran when: INPUT is the request's number.

Every `fail_every`th request, by its number, makes it raise, once it has slept; 0 and without it: none.

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
        self._fail_every = int(parameter(arguments, "fail_every") or 0)
        # One file a process: an instance before a reload or restart is another one than after it.
        name = f"{arguments['model_instance_name']}.{os.getpid()}"
        folder = Path(os.environ[FOLDER_VARIABLE]) / "requests"
        folder.mkdir(parents=True, exist_ok=True)
        self._record = (folder / f"{name}.jsonl").open("a", buffering=1)

    def execute(self, requests: list[Any]) -> list[Any]:
        started = time.monotonic()
        time.sleep(self._service_seconds)
        responses = [echo(request) for request in requests]
        ended = time.monotonic()
        numbers = [int(input_of(request)) for request in requests]
        for number in numbers:
            self._record.write(json.dumps([number, started, ended]) + "\n")
        if self._fail_every and any(number % self._fail_every == 0 for number in numbers):
            raise RuntimeError("asked to fail")
        return responses
