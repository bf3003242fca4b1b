"""The recording rules that go with signals and a configuration, as a file of Prometheus' or an object of its operator's."""

from collections.abc import Mapping
from typing import Final

from autoscaler.prometheus_section import PrometheusSection
from autoscaler.signal import Signal, needed_families
from telemetry.prometheus_reader import PrometheusSettings
from telemetry.prometheus_recorded_reader import settings_recordings
from telemetry.prometheus_recordings import rule_file

HEADER: Final = """\
# Recording rules for `source: prometheus`: of each pod the newest values of the families that the signals need, and when it was
# scraped. Made by `triton-autoscaler recording-rules`, with the --config and --rules of the daemon that reads them. The digest says
# whether they are its own; without its own it reads the raw series. Take the group as it is: its order, its interval, and no limit.
"""
OBJECT: Final = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: triton-ops-recordings
  namespace: triton-ops
  labels:
    app.kubernetes.io/part-of: triton-ops
spec:
"""


def render_recording_rules(
    rows: Mapping[str, Signal], section: PrometheusSection | None, *, operator: bool
) -> str:
    """YAML for `rule_files`, or a PrometheusRule. Without a section: for a configuration that says nothing but the address."""
    settings = section.settings(()) if section is not None else PrometheusSettings()
    recordings = settings_recordings(needed_families(rows), settings)
    rules = recordings.rules(settings.matchers, settings.delay)
    if operator:
        return HEADER + OBJECT + rule_file(rules, recordings.digest, recordings.interval, indent=2)
    return HEADER + rule_file(rules, recordings.digest, recordings.interval)
