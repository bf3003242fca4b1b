"""The section `gateway`: which gateways stand in front of Triton, and what they call the workloads behind them."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from autoscaler.config_section import Section
from telemetry.gateways.kind import (
    Family,
    GatewayKind,
    Label,
    Matchers,
    TargetPatterns,
    check_patterns,
    target_pattern,
)
from telemetry.gateways.queries import UP, GatewayNames
from telemetry.gateways.window import Target

_Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _known_kind(kind: str, info: ValidationInfo) -> str:
    kinds = info.context
    if kinds is not None and kind not in kinds:
        raise ValueError(f"rules/gateways has no such kind; there are {', '.join(sorted(kinds)) or 'none'}")
    return kind


def _checked(patterns: TargetPatterns) -> TargetPatterns:
    check_patterns(patterns)
    return patterns


class GatewayWorkload(Section):
    """A workload whose requests gateways count."""

    namespace: _Name
    workload: _Name
    """As HPAs select it."""
    service: _Name | None = None
    """What the gateway calls it: a Service for Istio and ingress-nginx, a cluster for Envoy. None: as the workload."""

    def target(self) -> Target:
        return Target(self.namespace, self.workload, self.service or self.workload)


class GatewayFamilies(Section):
    """Where a gateway's families are called otherwise than in rules/gateways."""

    presence: Family | None = None
    requests: Family | None = None
    buckets: Family | None = None
    knows: Family | None = None
    active: Family | None = None


class GatewaySection(Section):
    """Gateways that the Prometheus of the section `prometheus` scrapes. What is left out is as the kind's file has it."""

    kind: Annotated[_Name, AfterValidator(_known_kind)]
    """A file of rules/gateways."""
    workloads: Annotated[tuple[GatewayWorkload, ...], Field(min_length=1)]
    """Of no others is anything read."""
    families: GatewayFamilies = GatewayFamilies()
    matchers: Matchers | None = None
    """Which series of requests and durations count, in place of the kind's own: reporter="source",source_workload="gateway"."""
    instances: Matchers | None = None
    """Which series of the presence family are gateways, in place of the kind's own: job="istio-ingressgateway"."""
    target: Annotated[TargetPatterns, AfterValidator(_checked)] | None = None
    """By label a regular expression with {service} and {namespace}, in place of the kind's own."""
    code: Label | None = None
    """The label of requests that tells the response's code."""
    milliseconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """What a bucket's bound of 1 is."""
    instance_labels: Annotated[tuple[Label, ...], Field(min_length=1)] = UP
    """Labels that tell one gateway from another, on its series and on `up`."""
    replica_labels: tuple[Label, ...] = ("prometheus_replica", "replica", "__replica__")
    """Labels that tell Prometheus servers apart which scrape the same gateways."""

    @model_validator(mode="after")
    def _workloads_are_different(self) -> Self:
        keys = [(each.namespace, each.workload) for each in self.workloads]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"workload {'/'.join(key)} is given twice; keep one")
        return self

    @model_validator(mode="after")
    def _gateways_tell_workloads_apart(self, info: ValidationInfo) -> Self:
        """What one series counts can be of one workload alone."""
        kind = (info.context or {}).get(self.kind)
        told: dict[tuple[tuple[str, str], ...], GatewayWorkload] = {}
        for patterns in self.names(kind, "").kind.targets if kind else ():
            for each in self.workloads:
                _, _, service = target = each.target()
                named = tuple(
                    (label, target_pattern(text, target.namespace, service))
                    for label, text in patterns.items()
                )
                if (other := told.setdefault(named, each)) is not each:
                    raise ValueError(
                        f"the gateway calls both {other.namespace}/{other.workload} and {each.namespace}/{each.workload} "
                        f"{service!r} and cannot tell their requests apart; give each its own service, or keep one"
                    )
        return self

    def names(self, kind: GatewayKind, matchers: str) -> GatewayNames:
        """What to ask for of this `kind`; `matchers` are those of the section `prometheus`."""
        own = {key: name for key, name in self.families.model_dump().items() if name is not None}
        own |= {
            key: value
            for key in ("matchers", "instances", "code", "milliseconds")
            if (value := getattr(self, key)) is not None
        }
        own |= {"targets": (self.target,)} if self.target else {}
        return GatewayNames(
            kind.model_copy(update=own),
            tuple(workload.target() for workload in self.workloads),
            self.instance_labels,
            self.replica_labels,
            matchers,
        )
