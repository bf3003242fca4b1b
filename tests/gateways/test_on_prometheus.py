"""Pages of Istio, Envoy and ingress-nginx in a real Prometheus, with numbers worked out by hand, and beside Prometheus' own.

The label sets are those of pages that people published: istio/istio issues 22154 and 29354 and Istio's own documents, Envoy 1.40.0,
and kubernetes/ingress-nginx as Prometheus shows it without honor_labels."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
import pytest_asyncio

from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.config import parse_config
from autoscaler.gateway_evaluate import GatewayView, evaluate_gateway
from autoscaler.selector import parse_selector
from autoscaler.signal import load_signals
from telemetry.gateways.kind import load_gateways
from telemetry.gateways.source import GatewaySource
from telemetry.rules_dir import rules_dir
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.past import PastPrometheus
from tests.prometheus.server import PrometheusServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = 1_750_000_000
SCRAPES = [NOW - back for back in range(300, -1, -15)]
KINDS = load_gateways(rules_dir() / "gateways")
ROWS = load_signals(rules_dir() / "signals")
RATE, P95, P99 = (
    ROWS[f"triton_gateway_{name}"]
    for name in ("request_rate", "request_duration_p95_ms", "request_duration_p99_ms")
)
Samples = Sequence[tuple[int, float]]


def line(family: str, labels: Mapping[str, str], samples: Samples) -> list[str]:
    told = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return [f"{family}{{{told}}} {value:g} {at}" for at, value in samples]


def counter(each: float, start: float = 0.0, scrapes: Sequence[int] = SCRAPES) -> Samples:
    """`each` more at every scrape."""
    return [(at, start + each * number) for number, at in enumerate(scrapes)]


def histogram(
    family: str, labels: Mapping[str, str], each: Mapping[str, float], scrapes: Sequence[int] = SCRAPES
) -> list[str]:
    return [
        one
        for le, more in each.items()
        for one in line(family, {**labels, "le": le}, counter(more, 500, scrapes))
    ]


def up(job: str, instance: str, scrapes: Sequence[int] = SCRAPES, until: int = NOW) -> list[str]:
    """1 up to `until`, and 0 from there on."""
    return line("up", {"job": job, "instance": instance}, [(at, float(at <= until)) for at in scrapes])


def istio() -> list[str]:
    proxy = {"job": "envoy-stats", "instance": "10.205.225.116:15090", "namespace": "istio-system"}
    source = {
        **proxy,
        "reporter": "source",
        "source_workload": "istio-ingressgateway",
        "source_workload_namespace": "istio-system",
        "request_protocol": "http",
    }
    served = {
        **source,
        "destination_workload": "triton",
        "destination_workload_namespace": "inference",
        "destination_service": "triton.inference.svc.cluster.local",
        "destination_service_name": "triton",
        "destination_service_namespace": "inference",
        "response_code": "200",
        "response_flags": "-",
    }
    # Without a pod nobody tells Istio the workload or its namespace.
    refused = {
        **served,
        "destination_workload": "unknown",
        "destination_workload_namespace": "unknown",
        "destination_service_namespace": "unknown",
        "response_code": "503",
        "response_flags": "UH",
    }
    other = {**served, "destination_service": "triton.staging.svc.cluster.local"}
    before = {**served, "destination_service": "before.inference.svc.cluster.local"}
    since = {**served, "destination_service": "since.inference.svc.cluster.local"}
    total, buckets = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
    born = SCRAPES[-1:]
    return [
        *up("envoy-stats", "10.205.225.116:15090"),
        *line("istio_build", {**proxy, "component": "proxy", "tag": "1.20.3"}, [(at, 1) for at in SCRAPES]),
        *line(total, served, counter(30, 1000)),
        *line(total, refused, [(at, 6) for at in born]),
        *line(total, {**served, "reporter": "destination"}, counter(30, 1000)),
        *line(total, other, counter(900)),
        *line(total, before, counter(30, 1000, SCRAPES[:-4])),  # renamed a minute ago, and busy all the time
        *line(total, since, counter(30, 0, SCRAPES[-4:])),
        *histogram(buckets, served, {"100": 15, "250": 27, "500": 30, "+Inf": 30}),
        *[
            one
            for le, count in {"100": 6, "250": 6, "500": 6, "+Inf": 6}.items()
            for one in line(buckets, {**refused, "le": le}, [(at, count) for at in born])
        ],
    ]


def envoy() -> list[str]:
    """Three, of which Prometheus fails to scrape the second since 45 s. The third's Prometheus died then, and all samples ended."""
    lines = []
    for instance, each, scrapes in (("10.0.0.1:9901", 15, SCRAPES), ("10.0.0.2:9901", 45, SCRAPES[:-3])):
        proxy = {"job": "envoy", "instance": instance}
        cluster = {**proxy, "envoy_cluster_name": "inference/triton"}
        answered = {**cluster, "envoy_response_code": "200"}
        lines += [
            *line("envoy_server_live", proxy, [(at, 1) for at in scrapes]),
            *line("envoy_cluster_membership_total", cluster, [(at, 2) for at in scrapes]),
            *line("envoy_cluster_upstream_rq_active", cluster, [(at, 0) for at in scrapes]),
            *line("envoy_cluster_upstream_rq", answered, counter(each, 10, scrapes)),
            *line(
                "envoy_cluster_upstream_rq",
                {**answered, "envoy_cluster_name": "inference/triton2"},
                counter(7, 0, scrapes),
            ),
            *line(
                "envoy_cluster_membership_total",
                {**proxy, "envoy_cluster_name": "fresh"},
                [(at, 0) for at in scrapes],
            ),
            *histogram(
                "envoy_cluster_upstream_rq_time_bucket",
                cluster,
                {"50": each, "100": each, "+Inf": each},
                scrapes,
            ),
        ]
    sidecar = {"job": "sidecars", "instance": "10.0.0.3:9901", "envoy_cluster_name": "elsewhere"}
    lines += line("envoy_cluster_membership_total", sidecar, [(at, 2) for at in SCRAPES])
    for instance, scrapes in (("10.0.0.1:9901", SCRAPES), ("10.0.0.4:9901", SCRAPES[:-3])):
        proxy = {"job": "envoy", "instance": instance}
        sharded = {**proxy, "envoy_cluster_name": "sharded", "envoy_response_code": "200"}
        lines += line("envoy_cluster_upstream_rq", sharded, counter(30, 10, scrapes))
    lines += line("envoy_server_live", proxy, [(at, 1) for at in scrapes])
    for server, later in (("p0", 0), ("p1", -7)):
        proxy = {"job": "paired", "instance": "10.0.0.5:9901", "prometheus": server}
        times = [at + later for at in SCRAPES]
        paired = {**proxy, "envoy_cluster_name": "paired", "envoy_response_code": "200"}
        lines += line("envoy_server_live", proxy, [(at, 1) for at in times])
        lines += line("up", proxy, [(at, 1) for at in times])
        lines += line("envoy_cluster_upstream_rq", paired, counter(15, 10, times))
    lines += up("envoy", "10.0.0.1:9901") + up("envoy", "10.0.0.2:9901", until=SCRAPES[-4])
    return lines + up("envoy", "10.0.0.4:9901", SCRAPES[:-3])


def ingress_nginx() -> list[str]:
    scraped = {
        "job": "ingress-nginx",
        "instance": "10.42.0.9:10254",
        "namespace": "ingress-nginx",
        "service": "metrics",
    }
    of = {
        **scraped,
        "exported_namespace": "inference",
        "exported_service": "triton",
        "ingress": "web",
        "host": "ai.example.org",
    }
    family = "nginx_ingress_controller_request_duration_seconds_bucket"
    return [
        *up("ingress-nginx", "10.42.0.9:10254"),
        *line(
            "nginx_ingress_controller_build_info",
            {**scraped, "release": "v1.15.1"},
            [(at, 1) for at in SCRAPES],
        ),
        *line(
            "nginx_ingress_controller_requests",
            # With honor_labels, and nothing exported.
            {
                "job": "ingress-nginx",
                "instance": "10.42.0.9:10254",
                "namespace": "inference",
                "service": "honoured",
                "status": "200",
            },
            counter(15),
        ),
        *line("nginx_ingress_controller_requests", {**of, "status": "200"}, counter(20)),
        *line("nginx_ingress_controller_requests", {**of, "status": "503"}, counter(10)),
        *line(
            "nginx_ingress_controller_requests",
            {**of, "exported_namespace": "staging", "status": "200"},
            counter(500),
        ),
        *histogram(family, {**of, "status": "200"}, {"0.1": 10, "0.5": 20, "1": 20, "+Inf": 20}),
        *histogram(family, {**of, "status": "503"}, {"0.1": 10, "0.5": 10, "1": 10, "+Inf": 10}),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusServer]:
    server = PrometheusServer(prometheus_tools, tmp_path_factory.mktemp("gateways"))
    await server.backfill("\n".join([*_sorted(istio() + envoy() + ingress_nginx()), "# EOF", ""]))
    async with server as started:
        yield started


def _sorted(lines: Sequence[str]) -> list[str]:
    """OpenMetrics wants the series of a family together."""
    return sorted(lines, key=lambda one: one.partition("{")[0])


class Asked:
    """The gateways of a configuration as they are `later` seconds after the last scrape."""

    def __init__(self, server: PrometheusServer, gateway: str, *, later: float = 2.0) -> None:
        config = parse_config(
            f"targets: {{kubernetes: {{}}}}\nprometheus: {{url: '{server.url}'}}\ngateway: {gateway}\n",
            gateways=KINDS,
        )
        assert config.gateway is not None
        self.source = PastPrometheus(server.url, timeout_seconds=10.0)
        self.source.now = NOW + later
        names = config.gateway.names(KINDS[config.gateway.kind], "")
        self.gateways = GatewaySource(
            names, {RATE.window}, config.gateway_settings(), self.source, time.monotonic
        )

    async def answers(self, workload: str = "triton") -> dict[str, Answer]:
        async with self.source:
            await self.gateways.tick()
        found = self.gateways
        view = GatewayView(found.names, found.reading, found.failure, found.settings.max_age)
        selector = parse_selector(f"workload={workload}")
        return {
            row.name.removeprefix("triton_gateway_"): evaluate_gateway(
                row, view, "inference", selector, time.monotonic()
            )
            for row in (RATE, P95, P99)
        }


def workloads(kind: str, *pairs: tuple[str, str]) -> str:
    listed = ", ".join(
        f"{{namespace: inference, workload: {name}, service: {service}}}" for name, service in pairs
    )
    return f"{{kind: {kind}, workloads: [{listed}]}}"


def numbers(answers: Mapping[str, Answer]) -> list[float]:
    assert all(isinstance(answer, Value) for answer in answers.values()), answers
    return [answer.value for answer in answers.values() if isinstance(answer, Value)]


async def test_istio(prometheus: PrometheusServer) -> None:
    """60 requests in 30 s and 6 that found no pod, in a series that was born at the last scrape. Of the 66, 36 took at most 100 ms,
    60 at most 250 and all at most 500: the 62.7th lies at 250 + 2.7 / 6 * 250."""
    answers = await Asked(prometheus, workloads("istio", ("triton", "triton"))).answers()
    assert numbers(answers) == pytest.approx([66 / 30, 362.5, 472.5])


async def test_envoy_with_one_that_prometheus_fails_to_scrape(prometheus: PrometheusServer) -> None:
    """1 a second, and 3 a second of the one that is silent, as long as max_age allows."""
    gateway = workloads("envoy", ("triton", "inference/triton"))
    answers = await Asked(prometheus, gateway).answers()
    assert numbers(answers)[0] == pytest.approx(4.0)
    rate = answers["request_rate"]
    assert isinstance(rate, Value)
    assert rate.sample_age_seconds == pytest.approx(47, abs=1)
    told = (await Asked(prometheus, gateway, later=17.0).answers())["request_rate"]
    assert isinstance(told, NoData)
    assert (
        told.message
        == "gateway envoy/10.0.0.2:9901 is not seen (Prometheus has no fresh sample of it; see its 'up')"
    )


async def test_a_gateway_that_fails_for_longer_than_is_read_is_not_forgotten(
    prometheus: PrometheusServer,
) -> None:
    asked = Asked(prometheus, workloads("envoy", ("triton", "inference/triton")), later=120.0)
    told = (await asked.answers())["request_rate"]
    assert isinstance(told, NoData)
    assert "10.0.0.2:9901 is not seen (Prometheus has no fresh sample of it; see its 'up')" in told.message


async def test_gateways_of_a_prometheus_that_died_are_not_gone(prometheus: PrometheusServer) -> None:
    """One of two shards behind Thanos or Mimir: its `up` is 1 for five minutes more. Half of the traffic is not gone."""
    gateway = workloads("envoy", ("sharded", "sharded"))
    answers = await Asked(prometheus, gateway).answers("sharded")
    rate = answers["request_rate"]
    assert isinstance(rate, Value)
    assert rate.value == pytest.approx(4.0)
    told = (await Asked(prometheus, gateway, later=17.0).answers("sharded"))["request_rate"]
    assert isinstance(told, NoData)
    assert "is not seen (Prometheus has no fresh sample of it; see its 'up')" in told.message


async def test_gateways_without_an_up_could_not_be_missed(prometheus: PrometheusServer) -> None:
    gateway = workloads("istio", ("triton", "triton")).replace(
        "{kind", "{instance_labels: [job, component], kind"
    )
    told = (await Asked(prometheus, gateway).answers())["request_rate"]
    assert isinstance(told, NoData)
    assert "Prometheus has no 'up' of any istio gateway by job, component" in told.message


async def test_a_gateway_that_two_prometheus_servers_scrape_counts_once_or_is_an_error(
    prometheus: PrometheusServer,
) -> None:
    gateway = workloads("envoy", ("triton", "paired"))
    told = (await Asked(prometheus, gateway).answers())["request_rate"]
    assert isinstance(told, NoData)
    assert "paired/10.0.0.5:9901 is scraped more than once" in told.message
    named = gateway.replace("{kind", "{replica_labels: [prometheus], kind")
    rate = (await Asked(prometheus, named).answers())["request_rate"]
    assert isinstance(rate, Value)
    assert rate.value == pytest.approx(1.0)


async def test_ingress_nginx(prometheus: PrometheusServer) -> None:
    """60 in 30 s. Of 60, 40 took at most 100 ms and all at most 500: the 57th lies at 100 + 17 / 20 * 400."""
    answers = await Asked(prometheus, workloads("ingress-nginx", ("triton", "triton"))).answers()
    assert numbers(answers) == pytest.approx([2.0, 440.0, 488.0])


async def test_ingress_nginx_whose_labels_are_honoured(prometheus: PrometheusServer) -> None:
    told = await Asked(prometheus, workloads("ingress-nginx", ("honoured", "honoured"))).answers("honoured")
    rate = told["request_rate"]
    assert isinstance(rate, Value)
    assert rate.value == pytest.approx(1.0)


async def test_a_name_that_no_gateway_shows_is_no_data_though_this_process_saw_it(
    prometheus: PrometheusServer,
) -> None:
    """A Service that was renamed has a past, and its traffic goes on under the new name: 0 would send a busy fleet to zero."""
    asked = workloads("istio", ("before", "before"), ("since", "since"), ("mistyped", "tritn"))
    running = Asked(prometheus, asked, later=-75.0)
    once = (await running.answers("before"))["request_rate"]
    assert isinstance(once, Value)
    assert once.value == pytest.approx(2.0)
    running.source.now = NOW + 2.0
    began_since = Asked(prometheus, asked)
    for told in (
        (await running.answers("before"))["request_rate"],
        (await began_since.answers("before"))["request_rate"],
        (await began_since.answers("mistyped"))["request_rate"],
    ):
        assert isinstance(told, NoData)
        assert told.reason is Reason.NO_SERIES
    since = (await began_since.answers("since"))["request_rate"]
    assert isinstance(since, Value)
    assert since.value == pytest.approx(2.0)


async def test_envoy_knows_a_cluster_before_its_first_request(prometheus: PrometheusServer) -> None:
    found = (await Asked(prometheus, workloads("envoy", ("fresh", "fresh"))).answers("fresh"))["request_rate"]
    assert isinstance(found, Value)
    assert (found.value, found.idle) == (0.0, True)


async def test_a_cluster_that_only_another_envoy_lists_is_not_known(prometheus: PrometheusServer) -> None:
    """A sidecar somewhere, that is none of the gateways."""
    gateway = workloads("envoy", ("fresh", "elsewhere"))
    told = (await Asked(prometheus, gateway).answers("fresh"))["request_rate"]
    assert isinstance(told, NoData)
    assert told.reason is Reason.NO_SERIES


async def test_no_gateway_there_is_no_data(prometheus: PrometheusServer) -> None:
    gateway = workloads("istio", ("triton", "triton")).replace("{kind", "{instances: 'job=\"edge\"', kind")
    told = (await Asked(prometheus, gateway).answers())["request_rate"]
    assert isinstance(told, NoData)
    assert told.message.startswith("no istio gateway is seen")


async def test_requests_that_are_counted_where_no_gateway_is_said_to_be_are_no_zero(
    prometheus: PrometheusServer,
) -> None:
    """Of two Envoys one is selected, and both count."""
    gateway = workloads("envoy", ("triton", "inference/triton"))
    alone = gateway.replace("{kind", "{instances: 'instance=\"10.0.0.2:9901\"', kind")
    told = (await Asked(prometheus, alone).answers())["request_rate"]
    assert isinstance(told, NoData)
    assert "envoy/10.0.0.1:9901 counts requests for 'inference/triton'" in told.message
    both = alone.replace("{instances", "{matchers: 'instance=\"10.0.0.2:9901\"', instances")
    assert numbers(await Asked(prometheus, both).answers())[0] == pytest.approx(3.0)


async def test_queries_are_as_many_for_one_workload_as_for_twenty(prometheus: PrometheusServer) -> None:
    one = Asked(prometheus, workloads("istio", ("triton", "triton")))
    twenty = Asked(
        prometheus, workloads("istio", *((f"w{n}", f"s{n}" if n else "before") for n in range(20)))
    )
    await one.answers()
    await twenty.answers("w1")
    asked = [each.gateways._queries.report.queries for each in (one, twenty)]
    assert asked == [7, 7]


@pytest.mark.parametrize("quantile", [0.95, 0.99])
async def test_a_quantile_is_that_of_prometheus_on_the_same_data(
    prometheus: PrometheusServer, quantile: float
) -> None:
    """Of counters without a birth or a fall, between the same two scrapes."""
    family = "nginx_ingress_controller_request_duration_seconds_bucket"
    of = '{exported_namespace="inference",exported_service="triton"}'
    told = await prometheus.ask(
        "query",
        query=f"1000 * histogram_quantile({quantile}, sum by (le) ({family}{of} - {family}{of} offset 30s))",
        time=str(NOW),
    )
    answers = await Asked(prometheus, workloads("ingress-nginx", ("triton", "triton"))).answers()
    [mine] = [
        a.value for name, a in answers.items() if isinstance(a, Value) and f"p{quantile * 100:.0f}" in name
    ]
    assert mine == pytest.approx(float(told["result"][0]["value"][1]))


async def test_a_prometheus_that_is_away_leaves_the_last_reading_and_tells(
    prometheus: PrometheusServer,
) -> None:
    asked = Asked(prometheus, workloads("istio", ("triton", "triton")))
    before = await asked.answers()
    asked.source.away = True
    after = await asked.answers()
    assert numbers(after) == numbers(before)
    assert asked.gateways.failure == "Prometheus does not answer: connection refused or unreachable"
