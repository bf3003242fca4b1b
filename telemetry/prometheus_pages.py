"""Prometheus read as if it were the scraper: what to ask, and a page for each pod out of what it answers.

A query asks for one family with the newest value of each series; a page is made of all families. `max by` makes one series of
what two Prometheus replicas or two jobs tell twice. Which value is fresh, only its timestamp says: Prometheus gives a value for
five minutes after its series was last scraped. What is older than `fresh_seconds` is left out, since the last values of a replica
that died would hide, as the larger ones, that the process began anew: a busy pod would look idle.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from threading import Lock
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from telemetry.exposition import Series
from telemetry.prometheus_vector import Vector
from telemetry.statistics import FAMILIES as TOLD_BY_STATISTICS
from telemetry.window import Families

ALIVE: Final = (
    "nv_inference_request_success",
    "nv_cpu_utilization",
    "nv_pinned_memory_pool_total_bytes",
    "nv_gpu_utilization",
)
"""Of these every Triton shows one at least, also before the first model is loaded (triton-inference-server/core:src/metrics.cc)."""

SERIES_LABELS: Final = (
    "model",
    "version",
    "gpu_uuid",
    "quantile",
    "reason",
    "le",
    "request_type",
    "kv_cache_block_type",
    "runtime_memory_type",
    "inflight_batcher_specific_metric",
    "general_type",
)
"""Labels by which one Triton's page tells the series of a family apart, TensorRT-LLM's gauges too; `reason` is a failure's."""

NAMESPACE_LABELS: Final = ("namespace", "exported_namespace", "kubernetes_namespace")
POD_LABELS: Final = ("pod", "exported_pod", "kubernetes_pod_name")
"""As Prometheus' own examples, kube-prometheus and older charts have them; `exported_` is put before a label of the scraped page
that the target has too, unless `honor_labels` is set."""


class PodName(NamedTuple):
    namespace: str
    pod: str


class PodLabels(NamedTuple):
    """The labels by which Prometheus names a pod."""

    namespace: str
    pod: str


@dataclass(frozen=True, slots=True)
class LabelNames:
    """What the configuration says of labels; None is found out from the usual ones."""

    namespace: str | None = None
    pod: str | None = None
    cluster: str = "cluster"

    def candidates(self) -> tuple[PodLabels, ...]:
        """In the order in which they are preferred."""
        namespaces = (self.namespace,) if self.namespace else NAMESPACE_LABELS
        pods = (self.pod,) if self.pod else POD_LABELS
        usual = [PodLabels(*pair) for pair in product(namespaces, pods)]
        return tuple(sorted(usual, key=lambda pair: namespaces.index(pair[0]) + pods.index(pair[1])))


@dataclass(frozen=True, slots=True)
class Stamps:
    """When each pod was last scraped, in seconds of Prometheus' clock."""

    newest: Mapping[PodName, float]
    in_clusters: frozenset[PodName]
    """Pods of which there are two, in clusters of different names."""


def stamps_query(
    labels: Collection[PodLabels],
    names: LabelNames,
    matchers: str,
    fresh_seconds: float,
    offset_seconds: float = 0.0,
    kept: Collection[str] = (),
) -> str:
    """The timestamp of the newest fresh sample of each pod, `offset_seconds` before the time for which it is asked. `kept`: more
    labels to tell pods apart by."""
    by = dict.fromkeys([*(name for pair in labels for name in pair), names.cluster, *kept])
    alive = " or ".join(f"timestamp({family}{{{matchers}}}{_offset(offset_seconds)})" for family in ALIVE)
    return f"max by ({', '.join(by)}) (({alive}) > {_since(fresh_seconds + offset_seconds)})"


def family_query(
    family: str,
    labels: PodLabels,
    matchers: str,
    fresh_seconds: float,
    quantiles: Collection[str],
    offset_seconds: float = 0.0,
    kept: Collection[str] = (),
) -> str:
    """The family's newest fresh values by pod and series, as `stamps_query` tells the timestamps."""
    if quantiles:
        wanted = f"quantile=~{_quoted('|'.join(map(re.escape, sorted(quantiles))))}"
        matchers = f"{wanted},{matchers}" if matchers else wanted
    shown = f"{family}{{{matchers}}}{_offset(offset_seconds)}"
    fresh = f"timestamp({shown}) > {_since(fresh_seconds + offset_seconds)}"
    by = dict.fromkeys([*labels, *kept, *SERIES_LABELS])
    return f"max by ({', '.join(by)}) ({shown} and ({fresh}))"


def _offset(seconds: float) -> str:
    return f" offset {round(seconds * 1000)}ms" if seconds else ""


def _since(seconds: float) -> str:
    return f"(time() - {seconds:g})"


def build_matchers(namespaces: Collection[str], label: str | None, more: str) -> str:
    """What narrows a selector: the namespaces, if their label is known, and matchers of the user's own."""
    parts = [more] if more else []
    if namespaces and label:
        parts.append(f"{label}=~{_quoted('|'.join(map(re.escape, sorted(namespaces))))}")
    return ",".join(parts)


def choose_labels(
    vector: Vector, known: Collection[PodName], candidates: Collection[PodLabels]
) -> PodLabels | None:
    """The labels under which most of the known pods are found; None where none is."""
    found: dict[PodLabels, set[PodName]] = {pair: set() for pair in candidates}
    for labels, _ in vector.rows:
        for pair, pods in found.items():
            pods.add(PodName(labels.get(pair.namespace, ""), labels.get(pair.pod, "")))
    best = max(found, key=lambda pair: len(found[pair].intersection(known)))
    return best if not found[best].isdisjoint(known) else None


def read_stamps(vector: Vector, labels: PodLabels, names: LabelNames) -> Stamps:
    newest: dict[PodName, float] = {}
    clusters: dict[PodName, set[str]] = defaultdict(set)
    for row, at in vector.rows:
        name = PodName(row.get(labels.namespace, ""), row.get(labels.pod, ""))
        newest[name] = max(at, newest.get(name, at))
        clusters[name].add(row.get(names.cluster, ""))
    return Stamps(newest, frozenset(name for name, seen in clusters.items() if len(seen) > 1))


Page = dict[Series, float]
"""A number for each series: `max by` gives each once."""


class FamilyReader:
    """Makes parts of pages out of one family's answers, for one thread after the other.

    A series is the same object for as long as a history holds it, whatever was answered meanwhile: another object would be
    another series, whose whole count is new."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._known: WeakValueDictionary[tuple[str | None, ...], Series] = WeakValueDictionary()
        self._turn = Lock()

    def pages(self, vector: Vector, labels: PodLabels) -> Mapping[PodName, Page]:
        shown: dict[tuple[str | None, ...], Series] = {}
        pages: defaultdict[PodName, Page] = defaultdict(dict)
        with self._turn:
            for row, value in vector.rows:
                key = tuple(map(row.get, SERIES_LABELS))
                series = shown.get(key)
                if series is None:
                    series = shown[key] = self._series(key)
                pages[PodName(row.get(labels.namespace, ""), row.get(labels.pod, ""))][series] = value
        return pages

    def _series(self, key: tuple[str | None, ...]) -> Series:
        found = self._known.get(key)
        if found is None:
            labels = {
                name: value for name, value in zip(SERIES_LABELS, key, strict=True) if value is not None
            }
            found = self._known[key] = Series(f"{self._family} {labels}", self._family, labels)
        return found


def family_quantiles(families: Families) -> Mapping[str, frozenset[str]]:
    """All families to ask for, each with the quantiles wanted of it; none for what is no summary. What a Triton's statistics tell
    is on no page, and in no Prometheus."""
    wanted: dict[str, frozenset[str]] = dict.fromkeys(families.names() - TOLD_BY_STATISTICS, frozenset())
    for family, quantile in families.quantiles:
        wanted[family] |= {quantile}
    return wanted


def join_pages(parts: Iterable[Mapping[PodName, Page]]) -> dict[PodName, Page]:
    """Each pod's page out of the families' parts."""
    pages: defaultdict[PodName, Page] = defaultdict(dict)
    for part in parts:
        for name, page in part.items():
            pages[name] |= page
    return pages


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
