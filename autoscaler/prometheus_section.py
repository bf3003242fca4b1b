"""The section `prometheus`: where one is, how to be let in, and what to ask it for."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from autoscaler.config_section import HttpUrl, Section
from telemetry.durations import Seconds
from telemetry.located_yaml import NOT_SHOWN
from telemetry.prometheus import PrometheusAccess
from telemetry.prometheus_pages import LabelNames
from telemetry.prometheus_reader import PrometheusSettings

_MATCHER = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"\s*'
_MATCHERS = re.compile(rf"{_MATCHER}(?:,{_MATCHER})*")


def check_matchers(text: str) -> str:
    """Raises ValueError for what cannot stand in a selector."""
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


class ClientCertificate(Section):
    """PEM files by which Prometheus knows this client."""

    certificate: _File
    key: _File


class PrometheusLabels(Section):
    """Where the usual names do not hold: the labels that name a pod, and its cluster where one Prometheus holds several."""

    namespace: _LabelName | None = None
    """None: the first of namespace, exported_namespace and kubernetes_namespace under which known pods are found."""
    pod: _LabelName | None = None
    """None: the first of pod, exported_pod and kubernetes_pod_name."""
    cluster: _LabelName = "cluster"


class PrometheusSection(Section):
    """A Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics), that scrapes the Tritons."""

    url: HttpUrl
    """With the path in front of /api/v1 if there is one."""
    token_file: _File | None = None
    """A bearer token, read anew for every query."""
    ca_file: _File | None = None
    client_certificate: ClientCertificate | None = None
    headers: Mapping[_HeaderName, Annotated[str, AfterValidator(_header_value)]] = Field(default_factory=dict)
    """Such as X-Scope-OrgID, the tenant of Mimir and Cortex."""
    matchers: Annotated[str, AfterValidator(check_matchers)] = ""
    """In every selector, where one Prometheus holds more than this cluster: cluster="eu1"."""
    labels: PrometheusLabels = PrometheusLabels()
    interval: Seconds = 15.0
    """Between ticks. Each reads the newest samples of all pods. Recording rules generated for them have the same."""
    scrape_interval: Seconds = 15.0
    """How often this Prometheus scrapes the Tritons. Where it is rarer than said here, samples are too old and answers errors."""
    timeout: Seconds = 10.0
    """For one tick; less than the interval."""
    delay: Seconds = 1.0
    """After its timestamp by which a sample can be queried; longer behind remote write or a slow receiver."""
    max_age: Seconds | None = None
    """How long a pod's last contribution stands in a total when no newer sample comes; by default until one scrape of Prometheus or
    one tick has failed and the next would have come, at most a minute. With one that is too short for the way through recording
    rules these are not read."""

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
        """Seconds: `max_age`, or what truth 3 asks for: one scrape or one tick may fail and the next succeed. Any tick may find
        recordings, so their longer way is in it."""
        one_more = self._recorded_age + max(self.interval, self.scrape_interval)
        return self.max_age or max(min(one_more, 60.0), self._recorded_age)

    @property
    def _recorded_age(self) -> float:
        """So old gets a sample that recording rules hand on: rules are evaluated once an interval, too, and what they record can be
        queried after the delay."""
        return self._usual_age + self.interval + self.delay

    def access(self) -> PrometheusAccess:
        pair = self.client_certificate
        return PrometheusAccess(
            Path(self.token_file) if self.token_file else None,
            Path(self.ca_file) if self.ca_file else None,
            (Path(pair.certificate), Path(pair.key)) if pair else None,
            self.headers,
        )

    def settings(self, namespaces: tuple[str, ...]) -> PrometheusSettings:
        """For the pods of these namespaces; none means all."""
        return PrometheusSettings(
            interval=self.interval,
            scrape_interval=self.scrape_interval,
            timeout=self.timeout,
            delay=self.delay,
            matchers=self.matchers,
            namespaces=namespaces,
            labels=LabelNames(self.labels.namespace, self.labels.pod, self.labels.cluster),
            recordings=self.longest_age >= self._recorded_age,
        )
