"""The daemon's configuration: one YAML file, checked whole before anything starts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from autoscaler.selection import POD_LABELS, ROW_LABELS, Settings
from autoscaler.selector import SelectorError, key_problem, parse_selector
from telemetry.durations import Seconds
from telemetry.index_reader import IndexSettings
from telemetry.located_yaml import NOT_SHOWN, parse_located, read_located
from telemetry.model_config import ModelFacts
from telemetry.prometheus import PrometheusAccess
from telemetry.prometheus_pages import LabelNames
from telemetry.prometheus_scrape import PrometheusSettings
from telemetry.scrape import ScrapeSettings
from telemetry.target import Phase, PodKey, Target, Workload


def _without_credentials(url: str) -> str:
    if "@" in url.split("/", 3)[2]:
        said = "holds credentials: addresses stand in the log and in answers to HPAs; leave them out"
        raise PydanticCustomError(NOT_SHOWN, said)
    return url


_HttpUrl = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$"), AfterValidator(_without_credentials)
]
_Port = Annotated[int, Field(ge=0, le=65535, strict=True)]
_Name = Annotated[str, Field(min_length=1, max_length=253)]


def _selectable_pod_label(label: str) -> str:
    if label in (*ROW_LABELS, *POD_LABELS):
        raise ValueError("always selectable, and means something else than the pod label; leave it out")
    if (problem := key_problem(label)) is not None:
        raise ValueError(f"not a label key: {problem}")
    return label


_PodLabel = Annotated[str, AfterValidator(_selectable_pod_label)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScrapeSection(_Section):
    """How often and how patiently targets are asked."""

    interval: Seconds = 5.0
    """Between scrapes of one target."""
    timeout: Seconds = 2.0
    """For one scrape; less than the interval, so that a mute target is known before it is asked again."""
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


_MATCHER = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"\s*'
_MATCHERS = re.compile(rf"{_MATCHER}(?:,{_MATCHER})*")


def _matchers(text: str) -> str:
    if text and not _MATCHERS.fullmatch(text):
        raise ValueError(
            'expected label matchers as they stand in a selector, such as cluster="eu1",env=~"prod.*"'
        )
    if re.search(r"(?:^|,)\s*__name__\s*[=!]", text):
        raise ValueError("matchers narrow the families that the signals need; __name__ is chosen by them")
    return text


def _header_value(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise PydanticCustomError(NOT_SHOWN, "a header's value is printable ASCII in one line")
    return text


_LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
_HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
_File = Annotated[str, Field(min_length=1)]


class ClientCertificate(_Section):
    """PEM files by which Prometheus knows this client."""

    certificate: _File
    key: _File


class PrometheusLabels(_Section):
    """Where the usual names do not hold: the labels that name a pod, and its cluster where one Prometheus holds several."""

    namespace: _LabelName | None = None
    """None: the first of namespace, exported_namespace and kubernetes_namespace under which known pods are found."""
    pod: _LabelName | None = None
    """None: the first of pod, exported_pod and kubernetes_pod_name."""
    cluster: _LabelName = "cluster"


class PrometheusSection(_Section):
    """A Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics), that scrapes the Tritons."""

    url: _HttpUrl
    """With the path in front of /api/v1 if there is one."""
    token_file: _File | None = None
    """A bearer token, read anew for every query."""
    ca_file: _File | None = None
    client_certificate: ClientCertificate | None = None
    headers: Mapping[_HeaderName, Annotated[str, AfterValidator(_header_value)]] = Field(default_factory=dict)
    """Such as X-Scope-OrgID, the tenant of Mimir and Cortex."""
    matchers: Annotated[str, AfterValidator(_matchers)] = ""
    """In every selector, where one Prometheus holds more than this cluster: cluster="eu1"."""
    labels: PrometheusLabels = PrometheusLabels()
    interval: Seconds = 15.0
    """Between ticks. Each reads the newest samples of all pods."""
    scrape_interval: Seconds = 15.0
    """How often this Prometheus scrapes the Tritons. Where it is rarer than said here, samples are too old and answers errors."""
    timeout: Seconds = 10.0
    """For one tick; less than the interval."""
    delay: Seconds = 1.0
    """After its timestamp by which a sample can be queried; longer behind remote write or a slow receiver."""
    max_age: Seconds | None = None
    """How long a pod's last contribution stands in a total when no newer sample comes; by default until one scrape of Prometheus or
    one tick has failed and the next would have come, at most a minute."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timeout >= self.interval:
            raise ValueError(f"timeout {self.timeout:g}s must be less than interval {self.interval:g}s")
        if self.max_age is not None and self.max_age < self._usual_age:
            raise ValueError(
                f"max_age {self.max_age:g}s must be at least {self._usual_age:g}s (scrape_interval, delay, interval and timeout): "
                "so old is a sample just before the next tick takes over when nothing fails"
            )
        names = [name.lower() for name in self.headers]
        if self.token_file and "authorization" in names:
            raise ValueError("give either token_file or a header Authorization, one of them")
        return self

    @property
    def _usual_age(self) -> float:
        return self.scrape_interval + self.delay + self.interval + self.timeout

    @property
    def longest_age(self) -> float:
        """Seconds: `max_age`, or what truth 3 asks for: one scrape or one tick may fail and the next succeed."""
        one_more = self._usual_age + max(self.interval, self.scrape_interval)
        return self.max_age or max(min(one_more, 60.0), self._usual_age)

    def access(self) -> PrometheusAccess:
        pair = self.client_certificate
        return PrometheusAccess(
            Path(self.token_file) if self.token_file else None,
            Path(self.ca_file) if self.ca_file else None,
            (Path(pair.certificate), Path(pair.key)) if pair else None,
            self.headers,
        )


class ModelIndexSection(_Section):
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


class StaticTarget(_Section):
    """A Triton at a known address, where there is no Kubernetes to ask."""

    namespace: _Name = "default"
    pod: _Name
    metrics_url: _HttpUrl
    http_url: _HttpUrl | None = None
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


class KubernetesTargets(_Section):
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


class TargetsSection(_Section):
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


class DeclaredModel(_Section):
    """What the daemon cannot read for itself where Triton's model-config API is closed to it."""

    name: _Name
    decoupled: bool = False
    ensemble_of: tuple[_Name, ...] = ()


class ServiceSection(_Section):
    """The Service that the APIService names, for the serving certificate."""

    namespace: _Name = "triton-ops"
    name: _Name = "triton-autoscaler"


class TlsFiles(_Section):
    """A certificate for `SERVICE.NAMESPACE.svc` that somebody else keeps in files, such as cert-manager; read again when it
    changes. Its CA must stand in the APIService's caBundle (cert-manager's CA injector does that)."""

    certificate: Annotated[str, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]


class ServerSection(_Section):
    address: _Name = "0.0.0.0"  # noqa: S104 -- kube-apiserver calls from outside the pod
    port: _Port = 6443
    """External metrics over TLS, for the front proxy alone."""
    plain_port: _Port = 8080
    """/livez, /readyz, /metrics and, where it is switched on, the JSON route."""
    service: ServiceSection = ServiceSection()
    tls: TlsFiles | None = None
    """None: an own CA in memory, which this program puts into the APIService's caBundle."""


class JsonRouteSection(_Section):
    """The same numbers as plain JSON on the plain port, for KEDA's metrics-api trigger where another adapter owns the external
    metrics API. The plain port knows no callers: whoever reaches it may read the numbers of these namespaces, and of no other."""

    namespaces: Annotated[tuple[_Name, ...], Field(min_length=1)]


class Config(_Section):
    targets: TargetsSection
    source: Literal["scrape", "prometheus"] = "scrape"
    """Where the pods' metrics are read: from each pod, or from the Prometheus that scrapes them."""
    scrape: ScrapeSection = ScrapeSection()
    prometheus: PrometheusSection | None = None
    model_index: ModelIndexSection = ModelIndexSection()
    pod_labels: tuple[_PodLabel, ...] = ()
    """Pod labels that an HPA's selector may name, beside model, version, workload and node."""
    models: tuple[DeclaredModel, ...] = ()
    json_route: JsonRouteSection | None = None
    server: ServerSection = ServerSection()

    @model_validator(mode="after")
    def _source_is_given(self) -> Self:
        if self.source == "prometheus" and self.prometheus is None:
            raise ValueError("source is prometheus, and there is no section prometheus with its url")
        return self

    def settings(self) -> Settings:
        """What the evaluator needs of this."""
        return Settings(
            max_age=self._longest_age(),
            pod_labels=self.pod_labels,
            models={m.name: ModelFacts(m.decoupled, m.ensemble_of) for m in self.models},
            source=self.source,
        )

    def _longest_age(self) -> float:
        if self.source == "prometheus" and self.prometheus is not None:
            return self.prometheus.longest_age
        interval, timeout = self.scrape.interval, self.scrape.timeout
        return self.scrape.max_age or max(min(2 * interval + timeout, 30.0), interval + timeout)

    def scrape_settings(self) -> ScrapeSettings:
        return ScrapeSettings(self.scrape.interval, self.scrape.timeout)

    def prometheus_settings(self) -> PrometheusSettings | None:
        """None where pods are scraped."""
        found = self.prometheus
        if self.source != "prometheus" or found is None:
            return None
        kubernetes = self.targets.kubernetes
        static = {target.namespace for target in self.targets.static}
        return PrometheusSettings(
            interval=found.interval,
            scrape_interval=found.scrape_interval,
            timeout=found.timeout,
            delay=found.delay,
            matchers=found.matchers,
            namespaces=kubernetes.namespaces if kubernetes is not None else tuple(sorted(static)),
            labels=LabelNames(found.labels.namespace, found.labels.pod, found.labels.cluster),
        )

    def index_settings(self) -> IndexSettings:
        return IndexSettings(self.model_index.interval, self.model_index.timeout)


def keep_server(new: Config, old: Config) -> tuple[Config, tuple[str, ...]]:
    """`new` with the `server` section of `old`, which only a restart changes, and the keys in which they differ."""
    before, after = (config.server.model_dump() for config in (old, new))
    changed = tuple(f"server.{key}" for key in before if before[key] != after[key])
    return new.model_copy(update={"server": old.server}), changed


def read_config(path: Path) -> Config:
    """The file. Raises InvalidFileError with every mistake."""
    return read_located(Config, path)


def parse_config(text: str, file: str = "configuration") -> Config:
    """The same from text. Raises InvalidFileError."""
    return parse_located(Config, text, file)
