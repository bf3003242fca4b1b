"""What is asked of a server: by its command line, or by a client once it serves. And what is no load failure."""

import json
from pathlib import Path

import pytest

from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Cause, End, Failure, Row, load_refused
from tests.loadfailures.layouts import COMPLETE, config, model
from tests.loadfailures.python_models import RAISED, RAISES
from tests.local_process import eventually
from tests.tritons.server import TritonRefused, TritonServer

EXPLICIT = (*COMPLETE, "--model-control-mode=explicit")
WITH_RANKER = (*EXPLICIT, "--load-model=ranker")
NOTHING = Cause(NOT_A_LOAD_FAILURE, None)
NOT_FOUND = "failed to poll model 'rankr': model not found in any model repository."


async def _load_with_override(server: TritonServer, folder: Path) -> None:
    with pytest.raises(TritonRefused, match="failed to poll from model repository"):
        await server.load("ranker", configuration=json.dumps({"backend": "python", "max_batch_size": -4}))


async def _load_with_warm_up(server: TritonServer, folder: Path) -> None:
    """The override's warm-up names a file, as config.pbtxt may."""
    tensor = {"data_type": "TYPE_FP32", "dims": [1], "input_data_file": "first"}
    warm_up = {"name": "first", "batch_size": 1, "inputs": {"INPUT": tensor}}
    tensors = [{"name": name, "data_type": "TYPE_FP32", "dims": [1]} for name in ("INPUT", "OUTPUT")]
    override = {"backend": "python", "input": tensors[:1], "output": tensors[1:], "model_warmup": [warm_up]}
    with pytest.raises(TritonRefused):
        await server.load("ranker", configuration=json.dumps(override))


async def _load_unknown(server: TritonServer, folder: Path) -> None:
    with pytest.raises(TritonRefused, match="failed to poll from model repository"):
        await server.load("rankr")


async def _reload_broken(server: TritonServer, folder: Path) -> None:
    (folder / "models/ranker/1/model.py").write_text(RAISES)
    with pytest.raises(TritonRefused, match="the threshold must be below 1"):
        await server.load("ranker")


async def _add_broken_version(server: TritonServer, folder: Path) -> None:
    (folder / "models/ranker/2").mkdir()
    (folder / "models/ranker/2/model.py").write_text(RAISES)
    with pytest.raises(TritonRefused, match="the threshold must be below 1"):
        await server.load("ranker")


async def _infer_unknown(server: TritonServer, folder: Path) -> None:
    with pytest.raises(TritonRefused, match="unknown model: 'rankr'"):
        await server.infer("rankr")


async def _infer(server: TritonServer, folder: Path) -> None:
    with pytest.raises(TritonRefused, match="Failed to process the request"):
        await server.infer("ranker")


async def unload(server: TritonServer, folder: Path) -> None:
    """Until the index says so: for a moment it is UNLOADING, as a version also is when another one failed."""
    await server.unload("ranker")

    async def unloaded() -> bool:
        return all(row.get("state") != "UNLOADING" for row in await server.index())

    await eventually(unloaded, seconds=20)


BY_COMMAND_LINE = (
    Failure(
        id="asked-for-an-unknown-model",
        broken="--load-model names a model that is not in the repository.",
        cause=Cause("repository_layout", "rankr", NOT_FOUND, None, Row.ABSENT),
        files=model("ranker"),
        arguments=(*EXPLICIT, "--load-model=rankr"),
    ),
    Failure(
        id="asked-for-an-unknown-model-and-the-server-exits",
        broken="--load-model names a model that is not in the repository, with --exit-on-error=true.",
        cause=Cause("repository_layout", "rankr", NOT_FOUND),
        files=model("ranker"),
        arguments=(*EXPLICIT, "--load-model=rankr", "--exit-on-error=true"),
        end=End.ENDED,
        exit_code=1,
    ),
)

BY_CLIENTS = (
    Failure(
        id="load-with-a-broken-override",
        broken="A client loads a served model with a configuration of its own that is refused; the old one serves on.",
        cause=Cause(
            "model_config",
            "ranker",
            "Poll failed for model directory 'ranker': 'max_batch_size'",
            None,
            Row.READY,
        ),
        files=model("ranker"),
        arguments=WITH_RANKER,
        client=_load_with_override,
    ),
    Failure(
        id="load-with-a-warm-up-in-its-override",
        broken="A client loads a served model with a warm-up whose data file is not there; the old one serves on.",
        cause=Cause(
            "repository_layout",
            "ranker",
            "failed to load 'ranker' version 1: Internal: failed to open text file for read",
            None,
            Row.READY,
            ("warmup_failure", "model_config"),
        ),
        files=model("ranker"),
        arguments=WITH_RANKER,
        client=_load_with_warm_up,
    ),
    Failure(
        id="load-of-an-unknown-model",
        broken="A client loads a model that is not in the repository.",
        cause=Cause("repository_layout", "rankr", NOT_FOUND, None, Row.ABSENT),
        files=model("ranker"),
        arguments=WITH_RANKER,
        client=_load_unknown,
        healthy=("ranker",),
    ),
    Failure(
        id="reload-of-broken-code",
        broken="A client reloads a served version whose model.py now raises; the old one serves on, and the index hides it.",
        cause=Cause("model_code", "ranker", f"failed to load 'ranker' version 1: {RAISED}", None, Row.READY),
        files=model("ranker"),
        arguments=WITH_RANKER,
        client=_reload_broken,
    ),
    Failure(
        id="new-version-of-broken-code",
        broken="A client loads a new version that raises; version 1 serves on.",
        cause=load_refused("model_code", "ranker", RAISED, version=2),
        files=model("ranker", configuration=config("version_policy { all {} }")),
        arguments=WITH_RANKER,
        client=_add_broken_version,
    ),
)

NOT_LOAD_FAILURES = (
    Failure(
        id="healthy",
        broken="Nothing.",
        cause=NOTHING,
        files=model("ranker"),
        healthy=("ranker",),
    ),
    Failure(
        id="request-fails",
        broken="The model is loaded; execute() raises at the first request.",
        cause=NOTHING,
        files=model("ranker"),
        arguments=COMPLETE,
        client=_infer,
        healthy=("ranker",),
    ),
    Failure(
        id="request-for-an-unknown-model",
        broken="A client asks for a model that is not there.",
        cause=NOTHING,
        files=model("ranker"),
        arguments=COMPLETE,
        client=_infer_unknown,
        healthy=("ranker",),
    ),
    Failure(
        id="unloaded-on-purpose",
        broken="A client unloaded the model.",
        cause=NOTHING,
        files=model("ranker"),
        arguments=WITH_RANKER,
        client=unload,
    ),
    Failure(
        id="port-taken",
        broken="Another program holds the HTTP port.",
        cause=NOTHING,
        files=model("ranker"),
        arguments=(*COMPLETE, "--http-port={taken_port}", "--exit-on-error=true"),
        end=End.ENDED,
        exit_code=1,
    ),
    Failure(
        id="option-unknown",
        broken="An option of the command line is misspelt.",
        cause=NOTHING,
        files=model("ranker"),
        arguments=("--strict-readyness=false",),
        end=End.ENDED,
        exit_code=1,
    ),
    Failure(
        id="option-of-another-mode",
        broken="--load-model without explicit model control.",
        cause=NOTHING,
        files=model("ranker"),
        arguments=("--load-model=ranker",),
        end=End.ENDED,
        exit_code=1,
    ),
)

SERVERS = (*BY_COMMAND_LINE, *BY_CLIENTS, *NOT_LOAD_FAILURES)
