"""The section `gpu`: GPUs as dcgm-exporter or triton-gpu-agent tell of them, through the Prometheus of the section `prometheus`, or
asked directly."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from autoscaler.config_section import Section
from autoscaler.prometheus_section import PrometheusSection, check_matchers
from autoscaler.selector import SelectorError, parse_selector
from telemetry.durations import Seconds
from telemetry.gpu_exporters.prometheus_reader import GpuSettings


def _selector(text: str) -> str:
    try:
        parse_selector(text)
    except SelectorError as error:
        raise ValueError(str(error)) from error
    return text


class ExporterPodsSection(Section):
    """Pods of an exporter: such as those of NVIDIA's GPU operator."""

    namespace: Annotated[str, Field(min_length=1, max_length=63)]
    selector: Annotated[str, Field(min_length=1), AfterValidator(_selector)]
    """As `kubectl get pods -l` takes it: app=nvidia-dcgm-exporter."""


class GpuSection(Section):
    """Where it is there, signals of GPUs are read so, whatever `source` says; without it only from Triton's own pages."""

    exporters: tuple[ExporterPodsSection, ...] = ()
    """Asked directly, those on the nodes of our pods; none: the Prometheus of the section prometheus is asked."""
    interval: Seconds = 15.0
    """Between looks at all GPUs."""
    scrape_interval: Seconds = 30.0
    """How often that Prometheus scrapes the exporters. dcgm-exporter itself samples every 30 s unless told otherwise."""
    timeout: Seconds = 10.0
    """For one look; less than the interval."""
    matchers: Annotated[str, AfterValidator(check_matchers)] = ""
    """In every selector, where one Prometheus holds more than this cluster. Those of the section prometheus are for Tritons and not
    used here."""
    max_age: Seconds | None = None
    """How long a device's newest sample stands; by default until one scrape or one look has failed and the next would have come."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timeout >= self.interval:
            raise ValueError(f"timeout {self.timeout:g}s must be less than interval {self.interval:g}s")
        if self.exporters and self.matchers:
            raise ValueError(
                "matchers are for a Prometheus, and exporters are asked directly: give one of them"
            )
        if self.exporters and "scrape_interval" in self.model_fields_set:
            raise ValueError(
                "scrape_interval is a Prometheus', and exporters are asked directly, each interval: leave it out"
            )
        usual = self.interval + self.timeout
        if self.exporters and self.max_age is not None and self.max_age < usual:
            raise ValueError(f"max_age {self.max_age:g}s must be at least interval and timeout, {usual:g}s")
        return self

    @property
    def direct_age(self) -> float:
        """Seconds for which a page stands that was asked for directly: until two looks have failed."""
        return self.max_age or 2 * self.interval + self.timeout

    def settings(self, prometheus: PrometheusSection, window: float) -> GpuSettings:
        """`window`: the longest of a signal of devices, in seconds. Raises ValueError for a max_age below what a sample takes."""
        usual = self.scrape_interval + prometheus.delay + self.interval + self.timeout
        if self.max_age is not None and self.max_age < usual:
            raise ValueError(
                f"gpu.max_age {self.max_age:g}s must be at least {usual:g}s (scrape_interval, prometheus.delay, interval "
                "and timeout): so old is a sample just before the next look takes over when nothing fails"
            )
        longest = self.max_age or max(min(usual + max(self.interval, self.scrape_interval), 90.0), usual)
        return GpuSettings(
            interval=self.interval,
            timeout=self.timeout,
            delay=prometheus.delay,
            max_age=longest,
            window=window,
            matchers=self.matchers,
            cluster_label=prometheus.labels.cluster,
        )
