"""The daemon's configuration: one YAML file, checked whole before anything starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from autoscaler.config_section import HttpUrl, Section
from autoscaler.gateway_section import GatewaySection
from autoscaler.gpu_section import GpuSection
from autoscaler.prometheus_section import PrometheusSection
from autoscaler.selection import POD_LABELS, ROW_LABELS, Settings
from autoscaler.selector import SelectorError, key_problem, parse_selector
from telemetry.durations import Seconds
from telemetry.gateways.kind import GatewayKind
from telemetry.gateways.source import GatewaySettings
from telemetry.gpu_exporters.prometheus_reader import GpuSettings
from telemetry.index_reader import IndexSettings
from telemetry.located_yaml import parse_located, read_located
from telemetry.model_config import ModelFacts
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.scrape import ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Workload
from telemetry.two_sources import PROMETHEUS, Ages

_Port = Annotated[int, Field(ge=0, le=65535, strict=True)]
_Name = Annotated[str, Field(min_length=1, max_length=253)]


def _selectable_pod_label(label: str) -> str:
    if label in (*ROW_LABELS, *POD_LABELS):
        raise ValueError("always selectable, and means something else than the pod label; leave it out")
    if (problem := key_problem(label)) is not None:
        raise ValueError(f"not a label key: {problem}")
    return label


_PodLabel = Annotated[str, AfterValidator(_selectable_pod_label)]


class ScrapeSection(Section):
    """How often and how patiently targets are asked."""

    interval: Seconds = 5.0
    """Between scrapes of one target."""
    timeout: Seconds = 2.0
    """For one scrape; less than the interval, so that a mute target is known before it is asked again."""
    statistics: bool = False
    """With each scrape Triton's statistics API is asked too, for triton_busy_fraction: as much again as the page, or more."""
    max_age: Seconds | None = None
    """How long a silent target's last contribution stands in a total; by default until two scrapes have failed, at most 30 s."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timeout >= self.interval:
            raise ValueError(f"timeout {self.timeout:g}s must be less than interval {self.interval:g}s")
        if self.max_age is not None and self.max_age < self.interval + self.timeout:
            raise ValueError(
                f"max_age {self.max_age:g}s must be at least interval plus timeout, "
                f"{self.interval + self.timeout:g}s: one scrape must be able to fail and the next to succeed"
            )
        return self


class ModelIndexSection(Section):
    """How often and how patiently each pod's repository index is asked, for the models' states in /metrics. Triton lists the
    folders of its repository for each answer, which an object store may charge for."""

    interval: Seconds = 15.0
    timeout: Seconds = 5.0
    """For one look; less than the interval."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timeout >= self.interval:
            raise ValueError(f"timeout {self.timeout:g}s must be less than interval {self.interval:g}s")
        return self


class StaticTarget(Section):
    """A Triton at a known address, where there is no Kubernetes to ask."""

    namespace: _Name = "default"
    pod: _Name
    metrics_url: HttpUrl
    http_url: HttpUrl | None = None
    """Triton's HTTP API, for the models' configuration."""
    workload: _Name | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)

    def target(self) -> Target:
        return Target(
            key=PodKey(self.namespace, self.pod, ""),
            metrics_url=self.metrics_url,
            http_url=self.http_url.rstrip("/") if self.http_url else None,
            phase=Phase.RUNNING,
            ready=True,
            workload=Workload("Static", self.workload) if self.workload else None,
            labels=self.labels,
        )


class KubernetesTargets(Section):
    """Triton pods as the Kubernetes API shows them."""

    namespaces: tuple[_Name, ...] = ()
    """Namespaces to watch; none means all, which needs rights in all."""
    selector: str = ""
    """Label selector of Triton pods, as `kubectl get pods -l` takes it; empty means every pod of the namespaces."""

    @model_validator(mode="after")
    def _selector_parses(self) -> Self:
        try:
            parse_selector(self.selector)
        except SelectorError as error:
            raise ValueError(f"selector: {error}") from error
        return self


class TargetsSection(Section):
    static: tuple[StaticTarget, ...] = ()
    kubernetes: KubernetesTargets | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.static) == (self.kubernetes is not None):
            raise ValueError("give either static targets or kubernetes, one of them")
        names = [(target.namespace, target.pod) for target in self.static]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"static target {'/'.join(name)} is given twice; pods need names of their own"
                )
        return self


class DeclaredModel(Section):
    """What the daemon cannot read for itself where Triton's model-config API is closed to it."""

    name: _Name
    decoupled: bool = False
    ensemble_of: tuple[_Name, ...] = ()


class ServiceSection(Section):
    """The Service that the APIService names, for the serving certificate."""

    namespace: _Name = "triton-ops"
    name: _Name = "triton-autoscaler"


class TlsFiles(Section):
    """A certificate for `SERVICE.NAMESPACE.svc` that somebody else keeps in files, such as cert-manager; read again when it
    changes. Its CA must stand in the APIService's caBundle (cert-manager's CA injector does that)."""

    certificate: Annotated[str, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]


class ServerSection(Section):
    address: _Name = "0.0.0.0"  # noqa: S104 -- kube-apiserver calls from outside the pod
    port: _Port = 6443
    """External metrics over TLS, for the front proxy alone."""
    plain_port: _Port = 8080
    """/livez, /readyz, /metrics and, where it is switched on, the JSON route."""
    service: ServiceSection = ServiceSection()
    tls: TlsFiles | None = None
    """None: an own CA in memory, which this program puts into the APIService's caBundle."""


class JsonRouteSection(Section):
    """The same numbers as plain JSON on the plain port, for KEDA's metrics-api trigger where another adapter owns the external
    metrics API. The plain port knows no callers: whoever reaches it may read the numbers of these namespaces, and of no other."""

    namespaces: Annotated[tuple[_Name, ...], Field(min_length=1)]


class Config(Section):
    targets: TargetsSection
    source: Literal["scrape", "prometheus", "auto"] = "scrape"
    """Where the pods' metrics are read: from each pod, from the Prometheus that scrapes them, or from both."""
    scrape: ScrapeSection = ScrapeSection()
    prometheus: PrometheusSection | None = None
    gpu: GpuSection | None = None
    gateway: GatewaySection | None = None
    """Gateways in front of Triton, which the Prometheus scrapes; also beside `source: scrape`."""
    model_index: ModelIndexSection = ModelIndexSection()
    pod_labels: tuple[_PodLabel, ...] = ()
    """Pod labels that an HPA's selector may name, beside model, version, workload and node."""
    models: tuple[DeclaredModel, ...] = ()
    json_route: JsonRouteSection | None = None
    server: ServerSection = ServerSection()

    @model_validator(mode="after")
    def _source_is_given(self) -> Self:
        if self.source != "scrape" and self.prometheus is None:
            raise ValueError(f"source is {self.source}, and there is no section prometheus with its url")
        if self.gpu is not None and self.gpu.exporters and self.targets.kubernetes is None:
            raise ValueError(
                "gpu.exporters are found through Kubernetes, and targets are static: read them through a Prometheus"
            )
        if self.gpu is not None and not self.gpu.exporters and self.prometheus is None:
            raise ValueError("gpu is given with neither exporters nor a section prometheus with its url")
        self.gpu_settings(0.0)
        if self.gateway is not None and self.prometheus is None:
            raise ValueError(
                "gateway needs the section prometheus, with the url of the Prometheus that scrapes it"
            )
        return self

    def settings(self) -> Settings:
        """What the evaluator needs of this."""
        ages = self.ages()
        return Settings(
            max_age=ages.prometheus if self.source == PROMETHEUS else ages.scrape,
            pod_labels=self.pod_labels,
            models={m.name: ModelFacts(m.decoupled, m.ensemble_of) for m in self.models},
            source=self.source,
        )

    def ages(self) -> Ages:
        """How long a pod's last sample stands, by source."""
        return Ages(self._longest_scrape_age(), self.prometheus.longest_age if self.prometheus else 0.0)

    def _longest_scrape_age(self) -> float:
        interval, timeout = self.scrape.interval, self.scrape.timeout
        return self.scrape.max_age or max(min(2 * interval + timeout, 30.0), interval + timeout)

    def scrape_settings(self) -> ScrapeSettings:
        return ScrapeSettings(self.scrape.interval, self.scrape.timeout, self.scrape.statistics)

    def prometheus_settings(self) -> PrometheusSettings | None:
        """None where pods are only scraped."""
        found = self.prometheus
        if self.source == "scrape" or found is None:
            return None
        kubernetes = self.targets.kubernetes
        static = {target.namespace for target in self.targets.static}
        return found.settings(kubernetes.namespaces if kubernetes is not None else tuple(sorted(static)))

    def gpu_settings(self, window: float) -> GpuSettings | None:
        """None where no exporter is read through a Prometheus; `window` as of `GpuSection.settings`."""
        if self.gpu is None or self.gpu.exporters or self.prometheus is None:
            return None
        return self.gpu.settings(self.prometheus, window)

    def gateway_settings(self) -> GatewaySettings:
        """Of the Prometheus that scrapes the gateways."""
        found = self.prometheus
        assert found is not None  # noqa: S101 -- checked with the configuration
        return GatewaySettings(
            interval=found.interval,
            scrape_interval=found.scrape_interval,
            timeout=found.timeout,
            delay=found.delay,
            max_age=found.longest_age,
        )

    def index_settings(self) -> IndexSettings:
        return IndexSettings(self.model_index.interval, self.model_index.timeout)


def keep_server(new: Config, old: Config) -> tuple[Config, tuple[str, ...]]:
    """`new` with the `server` section of `old`, which only a restart changes, and the keys in which they differ."""
    before, after = (config.server.model_dump() for config in (old, new))
    changed = tuple(f"server.{key}" for key in before if before[key] != after[key])
    return new.model_copy(update={"server": old.server}), changed


def read_config(path: Path, gateways: Mapping[str, GatewayKind] | None = None) -> Config:
    """The file; `gateways` are the kinds that there are, None where nobody knows. Raises InvalidFileError with every mistake."""
    return read_located(Config, path, gateways)


def parse_config(
    text: str, file: str = "configuration", gateways: Mapping[str, GatewayKind] | None = None
) -> Config:
    """The same from text. Raises InvalidFileError."""
    return parse_located(Config, text, file, gateways)
