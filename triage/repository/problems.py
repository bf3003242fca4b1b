"""What in a model's folder would stop its load, each as a text that a row of `rules/signatures/repository.yaml` judges. Pure.

A text says what is there and who reads it; what that means, and what to change, is the row's."""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from triage.repository import config_checks
from triage.repository.access import RunAs, refused_to
from triage.repository.content import WORDS
from triage.repository.layout import CONFIG, ENSEMBLE, version_of
from triage.repository.model_folder import Entry, ModelFolder

Told = tuple[str, str]
"""The version that it is about, or empty; and the text."""
MODEL_DIRECTORY = "$$TRITON_MODEL_DIRECTORY/"
_MOST_SAID = 400
"""Characters of what the configuration says: its own names may be of any length."""
_BROKEN = ("lfs_pointer", "html", "empty")
_DATA = frozenset(
    (
        *(
            ".bin",
            ".npy",
            ".npz",
            ".pt",
            ".pth",
            ".onnx",
            ".plan",
            ".engine",
            ".safetensors",
            ".json",
            ".pkl",
            ".pickle",
        ),
        *(".h5", ".hdf5", ".gguf", ".model", ".data", ".gz", ".tar", ".zip"),
    )
)
"""Suffixes of files that mean nothing when they are empty, or a web page."""
_MARKUP = frozenset(
    (".html", ".htm", ".xhtml", ".svg", ".md", ".txt", ".jinja", ".jinja2", ".j2", ".tmpl", ".tpl")
)


def problems_of(
    model: ModelFolder,
    beside: Mapping[str, ModelFolder],
    *,
    unseen: Callable[[str], bool] = lambda model: False,
    root_has_config: bool = False,
    run_as: RunAs | None = None,
) -> Iterator[Told]:
    """`beside`: all models of the repository, by name; `unseen`: whether another of this name may be there. `run_as`: whom the
    server runs as, if that is known."""
    yield from _permissions(model, run_as)
    told = list(_configuration(model))
    yield from told
    if any(CONFIG in text for _, text in told) and model.config is None:
        return  # nothing that hangs on the configuration can be said
    yield from _versions(model, root_has_config=root_has_config)
    if model.loaded.backend == ENSEMBLE:
        yield from _steps(model, beside, unseen)
        return
    judged: set[str] = set()
    for version in model.versions.loaded:
        folder = str(
            version % (1 << 64)
        )  # as backends name it: TRITONBACKEND_ModelVersion gives an unsigned number
        for text in (*_loaded_file(model, folder, judged), *_library(model, folder, judged)):
            yield str(version), text
    for text in _named_files(model, judged):
        yield "", text
    yield from _stub_name(model)
    yield from _other_files(model, judged)


def _permissions(model: ModelFolder, run_as: RunAs | None) -> Iterator[Told]:
    surely = {"", CONFIG, *(f"{version}" for version in model.versions.loaded)}
    surely |= {f"{version}/{model.loaded.file}" for version in model.versions.loaded if model.loaded.file}
    for path, entry in (("", model.own), *((path, model.entries[path]) for path in model.read_at_load())):
        where, version = path or "the model's folder", _version_in(path)
        if denied := refused_to(entry, None):
            yield version, f"repository: {where} has mode {entry.mode:04o}: nobody may {denied} it"
        elif run_as is not None and (denied := refused_to(entry, run_as)):
            how = f"mode {entry.mode:04o}, owner {entry.owner}, group {entry.group}"
            reads = "; a load reads it" if path in surely else ""
            yield version, f"repository: user {run_as.user} may not {denied} {where} ({how}){reads}"


def _configuration(model: ModelFolder) -> Iterator[Told]:
    entry = model.entries.get(CONFIG)
    if entry is not None and entry.dangling:
        yield "", f"repository: {CONFIG} points nowhere"
    elif entry is not None and entry.kind in ("folder", "other"):
        yield "", f"repository: {CONFIG} is no file"
    elif entry is not None and entry.kind in ("lfs_pointer", "html"):
        yield "", f"repository: {CONFIG} is {_words(entry)}, and Triton reads it"
    elif model.config_error is not None:
        yield "", f"repository: {CONFIG} does not parse: {model.config_error}"
    elif model.config is not None:
        for said in config_checks.refusals(model.config, model.name, model.loaded):
            yield "", f"repository: {CONFIG} is refused: {said[:_MOST_SAID]}"
        for said in config_checks.doubts(model.config):
            yield "", f"repository: {CONFIG} is refused unless it is completed: {said[:_MOST_SAID]}"


def _versions(model: ModelFolder, *, root_has_config: bool) -> Iterator[Told]:
    found = model.versions
    if not model.versions_known:
        return
    if found.loaded or found.policy == "latest: 0":
        if found.loaded and not model.has_config and not model.loaded.backend:
            yield (
                "",
                f"repository: the folder has no {CONFIG}, and no file in {model.folders[0]} that tells its backend",
            )
    elif model.has_config:
        near = ", ".join(repr(name) for name in model.folders[:5])
        if found.present:
            why = f"the version policy is {found.policy}, and there is {', '.join(map(str, found.present[:10]))}"
        else:
            why = (
                f"no folder is named by a number; there is {near}"
                if near
                else "there is no version directory"
            )
        yield "", f"repository: no version would be loaded: {why}"
    elif root_has_config:
        yield (
            "",
            f"repository: the folder is no model, and {CONFIG} lies beside it: this is a model's own folder",
        )
    else:
        yield "", f"repository: the folder is no model: it has neither {CONFIG} nor a version directory"


def _loaded_file(model: ModelFolder, version: str, judged: set[str]) -> Iterator[str]:
    loaded = model.loaded
    if loaded.row is None or not loaded.file or _chosen_elsewhere(model):
        return
    path = posixpath.normpath(f"{version}/{loaded.file}")
    judged.add(path)
    entry = model.entries.get(path)
    by = f"which backend {loaded.backend} loads"
    if entry is None and not model.lacks(path):
        return
    if entry is None:
        yield f"repository: {path} is missing, {by}{_elsewhere(model, version, loaded.file)}"
    elif entry.dangling:
        yield f"repository: {path} points nowhere, {by}"
    elif entry.kind == "folder":
        inner = f"{path}/saved_model.pb"
        if loaded.row.file == "model.savedmodel" and all(map(model.lacks, (inner, f"{inner}txt"))):
            yield f"repository: {inner} is missing, {by}"
    elif entry.cut:
        yield f"repository: {path} is cut short ({entry.cut}), {by}"
    elif entry.kind and loaded.row.kinds and entry.kind not in loaded.row.kinds:
        yield f"repository: {path} is {_words(entry)}, {by}"
    elif entry.kind == "empty":
        yield f"repository: {path} is empty"


def _chosen_elsewhere(model: ModelFolder) -> bool:
    """By the GPU's compute capability, or by a backend written in Python."""
    return model.config is not None and bool(model.config.cc_model_filenames or model.config.runtime)


def _elsewhere(model: ModelFolder, version: str, file: str) -> str:
    name = posixpath.basename(file)
    found = [path for place in ("", version) for path in model.by_name.get((place, name), ())]
    return f"; there is {min(found, key=len)}" if found else ""


def _library(model: ModelFolder, version: str, judged: set[str]) -> Iterator[str]:
    """A backend that the model brings along is looked for in its version directory, then in its folder
    (triton-inference-server/core: src/backend_model.cc, TritonModel::Create)."""
    name = f"libtriton_{model.loaded.backend}.so"
    for path in (f"{version}/{name}", name):
        entry = model.entries.get(path)
        if entry is not None:
            judged.add(path)
            if entry.kind not in ("", "elf", "folder", "other"):
                yield f"repository: {path} is {_words(entry)}, and is loaded as the backend's library"
            return


def _named_files(model: ModelFolder, judged: set[str]) -> Iterator[str]:
    """Files that the configuration names."""
    if model.config is None:
        return
    for sample in model.config.model_warmup:
        for given in sample.inputs.values():
            if given.input_data_file:
                yield from _named(model, f"warmup/{given.input_data_file}", "model_warmup", judged)
    if model.loaded.backend == "python" and "EXECUTION_ENV_PATH" in model.config.parameters:
        given = model.config.parameters["EXECUTION_ENV_PATH"].string_value
        if given.startswith(MODEL_DIRECTORY):
            yield from _environment(model, given.removeprefix(MODEL_DIRECTORY), judged)


def _environment(model: ModelFolder, path: str, judged: set[str]) -> Iterator[str]:
    """An archive, or a folder (triton-inference-server/python_backend: src/pb_env.cc; src/stub_launcher.cc,
    GetPythonEnvironment)."""
    by = "EXECUTION_ENV_PATH"
    entry = model.entries.get(posixpath.normpath(path))
    if entry is not None and entry.kind == "folder":
        path = f"{path}/bin/activate"
    yield from _named(model, path, by, judged)
    entry = model.entries.get(posixpath.normpath(path))
    if entry is not None and entry.kind in (*_BROKEN, "text", "xml") and not path.endswith("/bin/activate"):
        yield f"repository: {posixpath.normpath(path)} is {_words(entry)}, which {by} names"


def _named(model: ModelFolder, path: str, by: str, judged: set[str]) -> Iterator[str]:
    path = posixpath.normpath(path)
    if path.startswith(("/", "../")) or path == "..":
        return  # outside the model's folder, and not seen
    judged.add(path)
    entry = model.entries.get(path)
    if model.lacks(path):
        yield f"repository: {path} is missing, which {by} names"
    elif entry is not None and entry.dangling:
        yield f"repository: {path} points nowhere, which {by} names"


def _stub_name(model: ModelFolder) -> Iterator[Told]:
    if model.loaded.backend == "python" and any(sign.isspace() for sign in model.name):
        yield "", "repository: the folder's name has a blank in it, and backend python gives it to a shell"


def _steps(
    model: ModelFolder, beside: Mapping[str, ModelFolder], unseen: Callable[[str], bool]
) -> Iterator[Told]:
    for number, name, version in config_checks.steps_of(model.config):
        child = beside.get(name)
        if child is None:
            if not unseen(name):
                yield "", f"repository: step {number} needs model {name}, which is not in this repository"
        elif version > 0 and _is_not_loaded(child, version):
            policy = child.versions.policy
            said = f"step {number} needs version {version} of model {name}, which is not loaded ({policy})"
            yield "", f"repository: {said}"


def _is_not_loaded(child: ModelFolder, version: int) -> bool:
    known = child.versions_known and child.config_error is None
    return known and version not in child.versions.loaded


def _other_files(model: ModelFolder, judged: set[str]) -> Iterator[Told]:
    """Files that the model's own code may read."""
    for path in model.read_at_load():
        entry, suffix = model.entries[path], PurePosixPath(path).suffix.lower()
        if path in judged or path == CONFIG:
            continue
        if entry.kind == "lfs_pointer":
            yield _version_in(path), f"repository: {path} is a Git-LFS pointer"
        elif entry.kind == "html" and suffix not in _MARKUP:
            yield _version_in(path), f"repository: {path} is an HTML page"
        elif entry.kind == "empty" and suffix in _DATA:
            yield _version_in(path), f"repository: {path} is empty"
        elif entry.cut:
            yield _version_in(path), f"repository: {path} is cut short ({entry.cut})"


def _version_in(path: str) -> str:
    version = version_of(path.split("/", 1)[0]) if path else None
    return "" if version is None else str(version)


def _words(entry: Entry) -> str:
    words: Mapping[str, str] = {"other": "a pipe or a device"} | {
        str(kind): said for kind, said in WORDS.items()
    }
    return words.get(entry.kind, entry.kind)
