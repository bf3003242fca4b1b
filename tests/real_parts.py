"""Pytest plugin: the real control plane, Triton and Prometheus as fixtures, and how much real work the run did.

The last line of a run is `real: HPA decisions N, Triton inferences M, Triton load failures L, Prometheus queries P`. With
`--require-real`, which `make test` passes, a run in which any of them is zero fails: a suite that silently
stopped testing against the real parts must not be green."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.control_plane import ControlPlane
from tests.prometheus.build_tools import (
    AlertmanagerTools,
    PrometheusTools,
    ensure_alertmanager,
    ensure_prometheus,
)
from tests.tritons.install import TritonInstall, ensure_triton


@dataclass
class RealWork:
    hpa_decisions: int = 0
    triton_inferences: int = 0
    load_failures: int = 0
    prometheus_queries: int = 0

    def __str__(self) -> str:
        return (
            f"real: HPA decisions {self.hpa_decisions}, Triton inferences {self.triton_inferences}, "
            f"Triton load failures {self.load_failures}, Prometheus queries {self.prometheus_queries}"
        )

    @property
    def missing(self) -> bool:
        counts = (self.hpa_decisions, self.triton_inferences, self.load_failures, self.prometheus_queries)
        return 0 in counts


REAL_WORK = pytest.StashKey[RealWork]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-real",
        action="store_true",
        help="fail unless a real HPA decided, a real Triton inferred and failed to load, and a real Prometheus answered",
    )
    parser.addoption("--real-counts", metavar="FILE", help="write the counts to FILE instead of a last line")


def read_counts(file: Path) -> RealWork:
    """What a session wrote with `--real-counts`."""
    return RealWork(**json.loads(file.read_text()))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REAL_WORK] = RealWork()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlane]:
    """One control plane for the run. Tests take a namespace each, and leave no HPA behind."""
    async with ControlPlane(ensure_tools(), tmp_path_factory.mktemp("control-plane")) as started:
        yield started
        request.config.stash[REAL_WORK].hpa_decisions += (await started.hpa_syncs()).get("none", 0)


@pytest.fixture(scope="session")
def triton_install(request: pytest.FixtureRequest) -> Iterator[TritonInstall]:
    """The installed Triton, from which tests start servers."""
    install = ensure_triton()
    yield install
    request.config.stash[REAL_WORK].triton_inferences += install.inferences
    request.config.stash[REAL_WORK].load_failures += install.load_failures


@pytest.fixture(scope="session")
def prometheus_tools(request: pytest.FixtureRequest) -> Iterator[PrometheusTools]:
    """The programs, from which tests start servers."""
    tools = ensure_prometheus()
    yield tools
    request.config.stash[REAL_WORK].prometheus_queries += tools.queries


@pytest.fixture(scope="session")
def alertmanager_tools() -> AlertmanagerTools:
    """The programs, from which tests start servers."""
    return ensure_alertmanager()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if (
        exitstatus == pytest.ExitCode.OK
        and session.config.getoption("--require-real")
        and session.config.stash[REAL_WORK].missing
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """After pytest's own summary, so that the line is the last one."""
    work = config.stash.get(REAL_WORK, None)
    if work is None or config.getoption("--collect-only"):
        return
    if file := config.getoption("--real-counts"):
        Path(file).write_text(json.dumps(asdict(work)))
        return
    failed = work.missing and config.getoption("--require-real")
    print(f"{work}{'  <- zero: this run proved nothing against the real parts' if failed else ''}")
