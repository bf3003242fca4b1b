"""The service's configuration: one YAML file, checked whole before anything starts. Secrets are files, and never stand in it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from telemetry.durations import Seconds
from telemetry.located_yaml import NOT_SHOWN, read_located
from telemetry.prometheus import check_prometheus_url
from triage.slack.mentions import check_mentions

_Port = Annotated[int, Field(ge=0, le=65535, strict=True)]
_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,30}")
_Name = Annotated[str, Field(min_length=1, max_length=253)]
_File = Annotated[str, Field(min_length=1)]
_Workload = Annotated[str, Field(pattern=r"^[^/\s]+/[^/\s]+$")]


def _address(url: str) -> str:
    if "@" in url.partition("://")[2].partition("/")[0]:
        said = "holds credentials, which would stand in every report; give a token_file"
        raise PydanticCustomError(NOT_SHOWN, said)
    return check_prometheus_url(url)


def _channel(text: str) -> str:
    if not _CHANNEL.fullmatch(text):
        raise ValueError(
            "is no id of a channel such as C0123456789: in Slack, open the channel's details, the id is at their end"
        )
    return text


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsSection(_Section):
    """Files, read again when they change."""

    certificate: _File
    key: _File
    client_ca: _File | None = None
    """Who may send alerts shows a certificate that this signed."""


class WebhookSection(_Section):
    """Where Alertmanager sends to. Who may send has the token, or a client certificate."""

    address: _Name = "0.0.0.0"  # noqa: S104 -- Alertmanager calls from outside the pod
    port: _Port = 9095
    token_file: _File | None = None
    """Bearer token, as Alertmanager's http_config.authorization.credentials_file has it."""
    tls: TlsSection | None = None

    @model_validator(mode="after")
    def _closed(self) -> Self:
        if self.token_file is None and (self.tls is None or self.tls.client_ca is None):
            raise ValueError(
                "anybody could send alerts: give token_file, or tls with client_ca (a client certificate)"
            )
        return self


class TritonsSection(_Section):
    """Triton's pods: they are watched, so that a model that fails to load is looked at without an alert."""

    namespaces: Annotated[tuple[_Name, ...], Field(min_length=1)]
    """The only ones that are looked at, and the only ones where rights are needed."""
    selector: str = "app.kubernetes.io/name=triton"
    unready_after: Seconds = 120.0
    """A pod that is not ready for so long, with a failed model or a server that ends again and again, is looked at."""


class PrometheusSection(_Section):
    """Prometheus, Thanos, Mimir or VictoriaMetrics: it has the history."""

    url: Annotated[str, AfterValidator(_address)]
    token_file: _File | None = None
    ca_file: _File | None = None
    headers: Mapping[str, str] = Field(default_factory=dict)
    """Such as X-Scope-OrgID; not for secrets."""
    gateway_services: Mapping[_Workload, Annotated[tuple[_Name, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """By NAMESPACE/WORKLOAD: what gateways call it (a Service, an Envoy cluster), where that is not its name."""
    window: Annotated[Seconds, Field(ge=60.0, le=86_400.0)] = 7200.0
    """How far back slow requests are looked at; less for a Prometheus that keeps less than two hours."""


class RecordSection(_Section):
    """Where incidents are kept: as TriageReports in `namespace`, or in the folder `data` where that is not given."""

    namespace: _Name | None = None
    data: _File = "/var/lib/triton-triage"
    """Folder of the bundles and the audit record, and of incidents that are not TriageReports."""
    keep: Seconds = 30 * 86400.0
    """Closed incidents, with their bundles, are removed after so long."""
    most: Annotated[int, Field(ge=10, le=20_000, strict=True)] = 1000
    """Incidents kept; past it the oldest closed ones go first."""
    most_bundle_bytes: Annotated[int, Field(ge=1 << 20, strict=True)] = 4 << 30


class SlackSection(_Section):
    token_file: _File
    channel: Annotated[str, AfterValidator(_channel)]
    """The channel's id, not its name: a name can be given to another channel."""
    mentions: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """By severity: who is called when an incident begins."""
    api_url: str = "https://slack.com/api/"
    """A proxy's, where Slack is not reached directly."""

    @model_validator(mode="after")
    def _mentions_are_some(self) -> Self:
        if wrong := check_mentions(self.mentions):
            raise ValueError("; ".join(wrong))
        return self


class PlainSection(_Section):
    address: _Name = "0.0.0.0"  # noqa: S104 -- the kubelet and Prometheus ask from outside the pod
    port: _Port = 8080
    """/livez, /readyz, /metrics."""


class OncallConfig(_Section):
    tritons: TritonsSection
    webhook: WebhookSection
    prometheus: PrometheusSection | None = None
    record: RecordSection = RecordSection()
    slack: SlackSection | None = None
    """None: the record alone."""
    plain: PlainSection = PlainSection()
    at_once: Annotated[int, Field(ge=1, le=16, strict=True)] = 2
    """Triages that run side by side; each is a process that takes up to half a gigabyte for a large fleet."""
    follow_up: Seconds = 600.0
    """So long after the alerts have ended it is looked whether it worked."""

    @property
    def data(self) -> Path:
        return Path(self.record.data)


def read_oncall_config(path: Path) -> OncallConfig:
    """The file. Raises InvalidFileError with every mistake."""
    return read_located(OncallConfig, path)
