"""What is looked at for an incident: whose pods, which servers, and from when."""

from pathlib import Path

import msgspec
import pytest

from telemetry.target import Phase, Target
from tests.oncall.pods import pod
from tests.oncall.test_joining import NOW
from tests.oncall.values import INCIDENT
from triage.oncall.config import OncallConfig, PrometheusSection, TritonsSection, WebhookSection
from triage.oncall.incident import Alert, Incident
from triage.oncall.jobs import job_of

CONFIG = OncallConfig(tritons=TritonsSection(namespaces=("prod",)), webhook=WebhookSection(token_file="t"))
PROMETHEUS = PrometheusSection(
    url="http://prometheus", token_file="/run/prometheus", headers={"X-Scope-OrgID": "a"}
)
FLEET = [
    pod("web-a"),
    pod("web-b", ready=False),
    pod("web-c", ready=False, phase=Phase.STOPPED),
    pod("web-d"),
]


def incident(tree: str = "p99", *, began: float = NOW - 60, workload: str = "deployment/web") -> Incident:
    alert = Alert(fingerprint="a", name="A", starts_at=began)
    return msgspec.structs.replace(INCIDENT, tree=tree, alerts=(alert,), workload=workload)


@pytest.mark.parametrize(
    ("tree", "pods", "asked"),
    [
        ("p99", FLEET, 3),
        ("load-failure", FLEET, 1),
        ("p99", [], 0),
        ("load-failure", [FLEET[2]], 0),
    ],
)
def test_servers_that_run_are_asked_a_few_of_them(tree: str, pods: list[Target], asked: int) -> None:
    job = job_of(incident(tree), CONFIG, pods, NOW)
    assert (len(job.tritons), len(job.metrics)) == (asked, asked)


def test_prometheus_is_asked_with_files_for_secrets() -> None:
    config = CONFIG.model_copy(update={"prometheus": PROMETHEUS})
    job = job_of(incident(), config, FLEET, NOW)
    assert job.prometheus is not None
    assert (job.prometheus.url, job.prometheus.token_file) == ("http://prometheus", "/run/prometheus")
    assert job.prometheus.headers == {"X-Scope-OrgID": "a"}
    assert job.capture_seconds < job_of(incident(), CONFIG, FLEET, NOW).capture_seconds


def test_a_gateway_that_calls_the_workload_otherwise_is_asked_by_that_name() -> None:
    prometheus = PROMETHEUS.model_copy(
        update={"gateway_services": {"prod/web": ("web-grpc",), "staging/web": ("other",)}}
    )
    config = CONFIG.model_copy(update={"prometheus": prometheus})
    for workload, services in (("deployment/web", ("web-grpc",)), ("deployment/api", ())):
        job = job_of(incident(workload=workload), config, FLEET, NOW)
        assert job.prometheus is not None
        assert job.prometheus.services == services


@pytest.mark.parametrize(
    ("began", "hours"),
    [
        (NOW - 60, 2.0),
        (NOW - 3 * 3600, 4.5),
        (NOW - 40 * 86400, 6.0),
        (-62135596800.0, 6.0),  # 0001-01-01T00:00:00Z, Go's zero time
        (NOW + 9e9, 2.0),
    ],
)
def test_it_is_looked_back_so_far_whatever_an_alert_says_of_its_begin(began: float, hours: float) -> None:
    job = job_of(incident(began=began), CONFIG, FLEET, NOW)
    assert ((job.end - job.start) / 3600, job.end) == (hours, NOW)


@pytest.mark.parametrize(
    ("workload", "pods", "target"),
    [
        ("deployment/web", FLEET, "deployment/web"),
        ("pod/web-a", [], "pod/web-a"),
        ("leaderworkerset/llm", FLEET, "pod/web-b"),
        ("leaderworkerset/llm", [], "leaderworkerset/llm"),
    ],
)
def test_of_a_kind_that_is_not_known_a_pod_is_looked_at(
    workload: str, pods: list[Target], target: str
) -> None:
    assert job_of(incident(workload=workload), CONFIG, pods, NOW).target == target


def test_a_job_goes_through_a_pipe(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"prometheus": PROMETHEUS})
    job = job_of(incident(), config, FLEET, NOW, bundle=str(tmp_path), kubeconfig="k", context="c", rules="r")
    assert msgspec.json.decode(msgspec.json.encode(job), type=type(job)) == job
