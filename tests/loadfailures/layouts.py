"""The files of models that load, from which each failure takes one thing away."""

from tests.loadfailures.failure import Files

IDLE = """\
class TritonPythonModel:
    def execute(self, requests):
        raise NotImplementedError("this model only loads")
"""
"""A model.py that loads."""

_INITIALIZE = """\
import ctypes, json, pathlib, pickle, time
import numpy

HERE = pathlib.Path(__file__).parent

class TritonPythonModel:
    def initialize(self, args):
        {statement}

    def execute(self, requests):
        raise NotImplementedError("this model only loads")
"""

COMPLETE = ("--disable-auto-complete-config",)
"""Saves a Python model's extra start in which it may complete its configuration: more than a second each."""

TENSORS = """\
input [{ name: "INPUT" data_type: TYPE_FP32 dims: [ 1 ] }]
output [{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ 1 ] }]
"""


def config(
    more: str = "", *, backend: str = 'backend: "python"', batch: int = 0, on: str = "kind: KIND_CPU"
) -> str:
    """A config.pbtxt of one input and one output."""
    return f"{backend}\nmax_batch_size: {batch}\n{TENSORS}instance_group [{{ {on} }}]\n{more}\n"


def model(
    name: str, code: str | None = IDLE, configuration: str | None = None, more: Files | None = None
) -> Files:
    """A model folder of version 1; `more` are further files by their path inside it."""
    files: dict[str, str | bytes] = {f"models/{name}/config.pbtxt": configuration or config()}
    if code is not None:
        files[f"models/{name}/1/model.py"] = code
    return files | {f"models/{name}/{path}": content for path, content in (more or {}).items()}


def initialize(statement: str) -> str:
    """A model.py whose initialize() runs `statement`; HERE is its version directory."""
    return _INITIALIZE.format(statement=statement)
