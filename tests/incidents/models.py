"""The models that an incident's pods serve, and the repository they lie in."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CODE = Path(__file__).parent / "served" / "model.py"


@dataclass(frozen=True)
class Model:
    name: str = "ranker"
    instances: int = 2
    max_batch_size: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """More of its configuration, as in the JSON that Triton's load call takes."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What `served/model.py` reads."""
    steps: tuple[str, ...] = ()
    """Of an ensemble: the models that a request passes in turn."""

    def configuration(self) -> dict[str, Any]:
        """In the form that Triton's load call takes."""
        dims = [-1]
        both: dict[str, Any] = {
            "name": self.name,
            "max_batch_size": self.max_batch_size,
            "input": [{"name": "INPUT", "data_type": "TYPE_FP32", "dims": dims}],
            "output": [{"name": "OUTPUT", "data_type": "TYPE_FP32", "dims": dims}],
        }
        if self.steps:
            return both | {"platform": "ensemble", "ensemble_scheduling": {"step": self._steps()}}
        return {
            **both,
            "backend": "python",
            "instance_group": [{"kind": "KIND_CPU", "count": self.instances}],
            "version_policy": {"latest": {"num_versions": 1}},
            "parameters": {key: {"string_value": value} for key, value in self.parameters.items()},
            **self.settings,
        }

    def _steps(self) -> list[dict[str, Any]]:
        between = ["INPUT", *(f"between_{number}" for number in range(1, len(self.steps))), "OUTPUT"]
        return [
            {
                "model_name": step,
                "model_version": -1,
                "input_map": {"INPUT": taken},
                "output_map": {"OUTPUT": given},
            }
            for step, taken, given in zip(self.steps, between, between[1:], strict=False)
        ]


def lay_out(repository: Path, models: tuple[Model, ...]) -> Path:
    """Writes the models into `repository`, version 1 of each, and returns it."""
    for model in models:
        write_configuration(repository, model)
        add_version(repository, model, 1)
    return repository


def write_configuration(repository: Path, model: Model) -> None:
    folder = repository / model.name
    folder.mkdir(parents=True, exist_ok=True)
    # JSON with unquoted keys is protobuf's text format, but for the fields that are maps.
    (folder / "config.pbtxt").write_text(_pbtxt(model.configuration()))


def add_version(repository: Path, model: Model, version: int) -> None:
    folder = repository / model.name / str(version)
    folder.mkdir(parents=True)
    if not model.steps:
        shutil.copy(CODE, folder / "model.py")


MAPS = ("parameters", "input_map", "output_map", "priority_queue_policy")
ENUMS = ("kind", "data_type", "timeout_action")


def _pbtxt(message: Mapping[str, Any]) -> str:
    return "\n".join(_field(key, value) for key, value in message.items())


def _field(key: str, value: Any) -> str:
    if key in MAPS:
        return "\n".join(
            f"{key} {{ key: {json.dumps(name)} {_field('value', each)} }}" for name, each in value.items()
        )
    if isinstance(value, Mapping):
        return f"{key} {{ {_pbtxt(value)} }}"
    if isinstance(value, list):
        return "\n".join(_field(key, each) for each in value)
    return f"{key}: {value if key in ENUMS else json.dumps(value)}"
