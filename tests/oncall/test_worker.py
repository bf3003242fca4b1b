"""The worker as it runs: a process that is told a job, says how it goes, and ends with a report or a reason."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.kube.api_server import kubeconfig
from tests.oncall.test_start_and_stop import away, silent
from triage.oncall.child import TriageFailedError, run_triage
from triage.oncall.job import FIRST_LINE_SECONDS, Job, PrometheusWords, Said

JOB = Job(tree="load-failure", namespace="prod", target="deployment/web", start=0.0, end=1.0)


@asynccontextmanager
async def triton() -> AsyncIterator[str]:
    """Answers its index, with a model that failed, and nothing else."""

    async def index(request: web.Request) -> web.Response:
        return web.json_response(
            [{"name": "resnet50", "version": "1", "state": "UNAVAILABLE", "reason": "no module named torch"}]
        )

    app = web.Application()
    app.router.add_post("/v2/repository/index", index)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}"


def job(folder: Path, *tritons: str, **more: Any) -> Job:
    values: dict[str, Any] = {"kubeconfig": str(folder / "none"), "tritons": tritons, **more}
    return msgspec.structs.replace(JOB, **values)


async def looked(told: Job) -> tuple[Said, list[Said]]:
    heard: list[Said] = []
    return await run_triage(told, heard.append, deadline_seconds=60.0), heard


async def test_a_quick_look_has_no_preliminary_report(tmp_path: Path) -> None:
    async with triton() as url:
        last, heard = await looked(job(tmp_path, url, bundle=str(tmp_path / "new" / "b.json.gz")))
    assert last.report is not None
    assert last.report.verdict.model == "resnet50"
    assert last.kept == str(tmp_path / "new" / "b.json.gz")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["b.json.gz"]
    assert "preliminary" not in {said.kind for said in heard}
    assert {read.probe for read in last.read}


async def test_no_pod_is_asked_through_the_api_server(tmp_path: Path) -> None:
    """Who may do that may send requests to every port, so the service's Role has no such right."""
    pod = {
        "metadata": {"name": "web-0", "namespace": "prod", "uid": "u"},
        "spec": {"containers": [{"name": "triton", "image": "tritonserver"}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "triton", "state": {"running": {}}}],
        },
    }
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path.endswith("/pods/web-0"):
            return web.json_response(pod)
        return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        file = kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}")
        await looked(job(tmp_path, kubeconfig=file, target="pod/web-0"))
    assert any(path.endswith("/pods/web-0/log") for path in asked)
    assert not [path for path in asked if "/proxy" in path]


async def test_the_services_prometheus_is_asked_about_the_gpus_of_a_pod_whose_load_failed(
    tmp_path: Path,
) -> None:
    """It asks with its own headers, and only of a pod that has a GPU."""
    gpu: dict[str, dict[str, str]] = {"limits": {"nvidia.com/gpu": "1"}}
    pod = {
        "metadata": {"name": "web-0", "namespace": "prod", "uid": "u"},
        "spec": {"containers": [{"name": "triton", "image": "tritonserver", "resources": gpu}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "triton", "state": {"running": {}}}],
        },
    }
    asked: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/prometheus"):
            asked.append((request.path, request.headers.get("X-Scope-OrgID", "")))
            return web.json_response({"status": "success", "data": ["up"]})
        if request.path.endswith("/pods/web-0"):
            return web.json_response(pod)
        return web.json_response({"kind": "Status", "reason": "NotFound", "code": 404}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        words = PrometheusWords(url=f"{url}/prometheus", headers={"X-Scope-OrgID": "team"})
        file = kubeconfig(tmp_path, url)
        asks = job(tmp_path, kubeconfig=file, target="pod/web-0", prometheus=words)
        last, _ = await looked(asks)
        with_gpu = list(asked)
        gpu["limits"] = {}
        await looked(asks)
    (read,) = [each for each in last.read if each.probe == "gpu_history"]
    assert read.missing == "no_series"  # neither exporter is there, which is told once
    assert {header for _, header in with_gpu} == {"team"}
    assert asked == with_gpu


async def test_a_slow_source_holds_up_the_whole_report_and_not_the_first(tmp_path: Path) -> None:
    """An API server that takes the question and answers nothing."""
    clock = asyncio.get_running_loop().time
    heard: list[tuple[float, Said]] = []
    async with silent() as port, triton() as url:
        slow = job(tmp_path, url, kubeconfig=str(away(tmp_path, port)))
        began = clock()
        last = await run_triage(slow, lambda said: heard.append((clock() - began, said)))
        took = clock() - began
    ((at, early),) = [(at, said) for at, said in heard if said.kind == "preliminary"]
    print(f"preliminary report after {at:.1f} s, the whole after {took:.1f} s")
    assert FIRST_LINE_SECONDS <= at < took
    for report in (early.report, last.report):
        assert report is not None
        assert report.verdict.model == "resnet50"


async def test_a_bundle_that_cannot_be_written_costs_no_report(tmp_path: Path) -> None:
    (tmp_path / "bundles").write_text("a file where the folder should be")
    async with triton() as url:
        last, _ = await looked(job(tmp_path, url, bundle=str(tmp_path / "bundles" / "b.json.gz")))
    assert last.report is not None
    assert last.kept == ""
    assert str(tmp_path / "bundles") in last.why


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"tree": "nonsense"}, "nonsense"),
        ({"tree": "../../etc"}, "no name of a tree"),
        ({"rules": "/nowhere"}, "/nowhere"),
    ],
)
async def test_a_job_that_is_none_says_why(tmp_path: Path, more: dict[str, Any], why: str) -> None:
    with pytest.raises(TriageFailedError) as told:
        await looked(job(tmp_path, **more))
    assert why in str(told.value)
    assert "Traceback" not in str(told.value)
