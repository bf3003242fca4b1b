"""Model repositories for test servers, laid out from the test models beside this file."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODELS = Path(__file__).parent / "models"
ENSEMBLE_PARTS = ("fast", "slow")


@dataclass(frozen=True)
class Model:
    """A test model as one server shall have it."""

    source: str
    """Folder in `models/`."""
    name: str = ""
    """Its name in the repository; empty: the source's."""
    versions: tuple[int, ...] = (1,)
    instances: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)
    configuration: str = ""
    """More lines for its config.pbtxt."""


def lay_out(repository: Path, *models: Model | str) -> Path:
    """Writes the models into `repository` and returns it; a string stands for the model as it is. An ensemble
    brings its parts."""
    wanted = [Model(model) if isinstance(model, str) else model for model in models]
    names = {model.name or model.source for model in wanted}
    if any(model.source == "ensemble" for model in wanted):
        wanted += [Model(part) for part in ENSEMBLE_PARTS if part not in names]
    for model in wanted:
        _write(repository / (model.name or model.source), model)
    return repository


def _write(folder: Path, model: Model) -> None:
    folder.mkdir(parents=True)
    source = MODELS / model.source
    for version in model.versions:
        (folder / str(version)).mkdir()
        if (source / "model.py").exists():
            shutil.copy(source / "model.py", folder / str(version))
    lines = [(source / "config.pbtxt").read_text()]
    if model.source != "ensemble":
        lines.append(f"instance_group [{{ kind: KIND_CPU count: {model.instances} }}]")
        lines.append("version_policy { all {} }")
    lines += [
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
        for key, value in model.parameters.items()
    ]
    (folder / "config.pbtxt").write_text("\n".join([*lines, model.configuration, ""]))
