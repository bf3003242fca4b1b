"""A load that finds no GPU memory, with the real Prometheus that saw the GPU meanwhile: what is said, and the bundle."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from telemetry.rules_dir import rules_dir
from tests.kube.api_server import api_server, kubeconfig, page, refusal
from tests.oncall.test_start_and_stop import silent
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.gpu_pages import BESIDE, EXPORTED, GIB, always, dcgm
from tests.prometheus.samples import Samples
from tests.prometheus.server import PrometheusServer
from tests.triage.test_pod_probe import expect_pod, log_of
from triage.bundle import load_bundle, save_bundle
from triage.evidence import Missing, Snapshot
from triage.latency.measures import read_measures
from triage.look import Sources, look
from triage.report_of import report_of
from triage.rules import rules_from_folder, seals_from_folder

NOW = int(time.time()) // 60 * 60
BEGAN, LOADED = NOW - 1200, NOW - 900
"""When the server and the load began."""
RULES = rules_from_folder(rules_dir(), "load-failure", decided=True)
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"


def at(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def filled(before: float, server: float, load: float, start: int, t: float) -> float:
    """GiB in use before the server began, until the load began, and after that."""
    now = start + t
    return GIB * (before if now <= BEGAN else server if now <= LOADED else load)


def by_agent(
    samples: Samples, pod: str, before: float, server: float, load: float, *others: tuple[str, str]
) -> None:
    device = {"node": "n1", "gpu": "0", "uuid": f"GPU-{pod}", "gpu_instance": "", "mig_profile": ""}
    nobody = {"namespace": "", "pod": ""}
    alone = {"namespace": "prod", "pod": pod}
    labels = {**device, **(nobody if others else alone)}
    used = partial(filled, before, server, load, samples.start)
    samples.add("triton_gpu_memory_used_bytes", labels, used)
    samples.add("triton_gpu_memory_free_bytes", labels, lambda t: 16 * GIB - used(t))
    samples.add("triton_gpu_xid_watched", labels, partial(always, 1))
    for namespace, name in (("prod", pod), *others):
        samples.add("triton_gpu_owner", {**device, "namespace": namespace, "pod": name}, partial(always, 1))


def by_dcgm(samples: Samples, pod: str, before: float, server: float, load: float) -> None:
    """Of a GPU that a notebook holds all along, and the pod from its begin on; each has a copy of its values."""
    since = Samples(BEGAN + 15, samples.end)
    for part, owner, space in ((samples, "notebook-0", "data"), (since, pod, "prod")):
        labels = {"gpu": "0", "UUID": f"GPU-{pod}", "hostname": "n1", "pod": owner, "namespace": space}
        used = partial(filled, before / 2**20, server / 2**20, load / 2**20, part.start)
        free = partial(filled, (16 - before) / 2**20, (16 - server) / 2**20, (16 - load) / 2**20, part.start)
        part.add("DCGM_FI_DEV_FB_USED", labels, used)
        part.add("DCGM_FI_DEV_FB_FREE", labels, free)
    for family, lines in since.lines.items():
        samples.lines.setdefault(family, []).extend(lines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusServer]:
    started = PrometheusServer(prometheus_tools, tmp_path_factory.mktemp("prometheus"))
    samples = Samples(NOW - 3600, NOW - 60)
    by_agent(samples, "large-0", 0.4, 0.4, 15.8)
    by_agent(samples, "shares-0", 11, 11.4, 15.8, ("data", "notebook-0"))
    by_agent(samples, "many-0", 0.4, 12, 15.8)
    samples.add(
        "triton_gpu_agent_problem", {"node": "n1", "problem": "gpu_lost", "gpu": "3"}, partial(always, 1)
    )
    by_dcgm(samples, "dcgm-0", 11, 11.4, 15.8)
    dcgm(samples, "split", EXPORTED, "hostname", BESIDE, "prod")
    await started.backfill(str(samples))
    async with started:
        yield started


def pod(name: str) -> dict[str, Any]:
    """It serves, but for one model."""
    gpu = {"limits": {"nvidia.com/gpu": "1"}}
    state = {"running": {"startedAt": at(BEGAN, "%Y-%m-%dT%H:%M:%SZ")}}
    return {
        "metadata": {"name": name, "namespace": "prod", "uid": f"uid-{name}"},
        "spec": {
            "containers": [{"name": "triton", "image": "tritonserver:24.10", "resources": gpu}],
            "nodeName": "n1",
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{"name": "triton", "state": state, "ready": False}],
        },
    }


def line(level: str, seconds: float, said: str) -> str:
    return f"{level}{at(seconds, '%m%d %H:%M:%S')}.000000 1 model_lifecycle.cc:654] {said}"


def log(*models: str) -> str:
    """The server's, that loads these and then m."""
    lines = [line("I", BEGAN + 1, f"loading: {model}:1") for model in models]
    lines += [line("I", LOADED - 60, f"successfully loaded '{model}' version 1") for model in models]
    lines += [
        line("I", LOADED, "loading: m:1"),
        line("E", LOADED + 20, f"failed to load 'm' version 1: Internal: {OUT_OF_MEMORY}"),
    ]
    return "".join(f"{at(NOW, '%Y-%m-%dT%H:%M:%S.000000000Z')} {said}\n" for said in lines)


async def looked(name: str, url: str, folder: Path, *models: str) -> Snapshot:
    async with api_server() as api:
        expect_pod(api, pod(name))
        api.expect_any(log_of(name), answer_text(log(*models)))
        api.expect_any("/api/v1/namespaces/prod/pods?limit=500", page(pod(name)))
        on_the_node = "spec.nodeName=n1,status.phase!=Succeeded,status.phase!=Failed"
        api.expect_any(f"/api/v1/pods?fieldSelector={on_the_node}&limit=500", refusal(403, "Forbidden", "no"))
        sources = Sources(
            target=f"pod/{name}",
            namespace="prod",
            kubeconfig=kubeconfig(folder, api.url),
            prometheus=url,
            measures=read_measures(rules_dir() / "measures")["platform"],
            through_api=False,
        )
        return await look(sources, "", RULES, seals_from_folder(rules_dir()))


def answer_text(said: str) -> Any:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(text=said)

    return reply


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("name", "models", "first", "others"),
    [
        ("large-0", (), "Make m smaller, or give it a larger GPU: it does not fit an empty one (0.4 of 16.0 GiB", ()),
        ("shares-0", (), "Let data/notebook-0 leave the GPU, or give m another: 11.0 of 16.0 GiB", ("data/notebook-0",)),
        ("dcgm-0", (), "Let data/notebook-0 leave the GPU, or give m another: 11.0 of 16.0 GiB", ("data/notebook-0",)),
        ("many-0", ("a", "b"), "Load fewer models or instances on this GPU: 12.0 of 16.0 GiB", ()),
    ],
)  # fmt: skip
async def test_the_first_action_is_of_who_held_the_memory(
    server: PrometheusServer,
    tmp_path: Path,
    name: str,
    models: tuple[str, ...],
    first: str,
    others: tuple[str, ...],
) -> None:
    snapshot = await looked(name, server.url, tmp_path, *models)
    report = report_of(snapshot, RULES)
    assert report.verdict.category == "gpu_memory"
    assert report.actions[0].do.startswith(first)
    assert report.gpus is not None
    (row,) = report.gpus.rows
    assert (row.node, row.gpu, row.uuid, row.pods, row.others) == ("n1", "0", f"GPU-{name}", (name,), others)
    (lost,) = [fact.text for fact in report.why if "gpu_lost (GPU 3)" in fact.text]
    assert lost.startswith("Node n1: triton-gpu-agent report")
    file = tmp_path / "bundle.json"
    save_bundle(file, snapshot, RULES)
    assert report_of(*load_bundle(file)) == report


@pytest.mark.asyncio(loop_scope="module")
async def test_a_mig_instance_of_dcgm_s_is_the_device_and_its_sharer_on_the_other_instance_is_none(
    server: PrometheusServer, tmp_path: Path
) -> None:
    report = report_of(await looked("split-1", server.url, tmp_path), RULES)
    assert report.gpus is not None
    (row,) = report.gpus.rows
    assert (row.uuid, row.instance, row.profile, row.pods, row.others) == (
        "GPU-split-1",
        "7",
        "1g.10gb",
        ("split-1",),
        (),
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_prometheus_that_knows_no_gpu_of_the_pod_or_is_away_is_told_and_costs_the_report_nothing_else(
    server: PrometheusServer, tmp_path: Path
) -> None:
    unknown = await looked("nobody-0", server.url, tmp_path)
    away = await looked("nobody-0", "http://127.0.0.1:9", tmp_path)
    for snapshot, reason in ((unknown, "no_series"), (away, "unreachable")):
        gone = [one.missing for one in snapshot.evidence if one.probe == "gpu_history" and one.missing]
        assert {one.reason for one in gone if isinstance(one, Missing)} == {reason}
        report = report_of(snapshot, RULES)
        assert report.verdict.category == "gpu_memory"
        assert "who held the GPU's memory when the load began" in {one.what for one in report.unseen}
        assert report.gpus is None
    assert away.took_seconds < RULES.tree.budget


@pytest.mark.asyncio(loop_scope="module")
async def test_an_agent_without_a_driver_is_heard(prometheus_tools: PrometheusTools, tmp_path: Path) -> None:
    """Nothing of it tells an owner. Its samples reach to now, or it would be said when it last told of that."""
    now = int(time.time())
    samples = Samples(now - 3600, now)
    told = {"node": "n1", "problem": "no_driver", "gpu": ""}
    samples.add("triton_gpu_agent_problem", told, partial(always, 1))
    (folder := tmp_path / "prometheus").mkdir()
    blind = PrometheusServer(prometheus_tools, folder)
    await blind.backfill(str(samples))
    async with blind:
        snapshot = await looked("nobody-0", blind.url, tmp_path)
    seen = [e for e in snapshot.evidence if e.probe == "gpu_history"]
    assert "gpu/gpu_agent_problem:nobody-0" in {e.id for e in seen if e.missing is None}
    gone = " ".join(str(e.missing) for e in seen if e.missing)
    assert "no series of triton-gpu-agent nor" not in gone
    said = str(report_of(snapshot, RULES))
    assert "triton-gpu-agent reports no_driver" in said


@pytest.mark.asyncio(loop_scope="module")
async def test_a_prometheus_that_hangs_costs_its_deadline_and_nothing_else(tmp_path: Path) -> None:
    async with silent() as port:
        snapshot = await looked("nobody-0", f"http://127.0.0.1:{port}", tmp_path)
    (gone,) = [one.missing for one in snapshot.evidence if one.probe == "gpu_history"]
    assert gone is not None
    assert gone.reason == "timeout"
    assert snapshot.took_seconds < RULES.tree.budget
    assert report_of(snapshot, RULES).verdict.category == "gpu_memory"
