"""What Prometheus is asked, and the pages that its answers make."""

import gc
import math

import pytest

from telemetry.exposition import Series
from telemetry.prometheus_pages import (
    ALIVE,
    FamilyReader,
    LabelNames,
    PodLabels,
    PodName,
    Stamps,
    build_matchers,
    choose_labels,
    family_quantiles,
    family_query,
    read_stamps,
    stamps_query,
)
from telemetry.prometheus_vector import Vector, parse_vector
from tests.telemetry.timeline import FAMILIES, P99, SUCCESS, M, Pod

USUAL = PodLabels("namespace", "pod")
OLD = PodLabels("kubernetes_namespace", "kubernetes_pod_name")
EXPORTED = PodLabels("exported_namespace", "exported_pod")
A, B = PodName("prod", "a"), PodName("prod", "b")


def vector(*rows: tuple[dict[str, str], float]) -> Vector:
    return Vector(
        100.0 if rows else None, [labels for labels, _ in rows], [number for _, number in rows], (), 0
    )


def row(pod: str, value: float, **labels: str) -> tuple[dict[str, str], float]:
    return {"namespace": "prod", "pod": pod, **labels}, value


def test_one_query_asks_for_the_timestamps_of_all_pods_a_little_before_the_present() -> None:
    alive = " or ".join(f'timestamp({family}{{namespace=~"prod"}} offset 1500ms)' for family in ALIVE)
    assert stamps_query([USUAL], LabelNames(), 'namespace=~"prod"', 30.0, 1.5) == (
        f"max by (namespace, pod, cluster) (({alive}) > (time() - 31.5))"
    )
    assert " offset " not in stamps_query([USUAL], LabelNames(), "", 30.0)


def test_a_family_is_asked_for_by_pod_and_series_and_a_summary_for_its_quantile() -> None:
    query = family_query(P99, USUAL, 'cluster="eu1"', 31.0, family_quantiles(FAMILIES)[P99])
    assert query.startswith("max by (namespace, pod, model, version, gpu_uuid, quantile, reason, ")
    shown = f'{P99}{{quantile=~"0\\\\.99",cluster="eu1"}}'
    assert query.endswith(f") ({shown} and (timestamp({shown}) > (time() - 31)))")


@pytest.mark.parametrize(
    ("namespaces", "label", "more", "matchers"),
    [
        ((), "namespace", "", ""),
        (("prod", "dev"), "namespace", "", 'namespace=~"dev|prod"'),
        (("prod",), None, 'cluster="eu1"', 'cluster="eu1"'),
        (('a.b"',), "exported_namespace", 'cluster="eu1"', 'cluster="eu1",exported_namespace=~"a\\\\.b\\""'),
    ],
)
def test_selectors_are_narrowed_by_namespaces_and_by_matchers_of_ones_own(
    namespaces: tuple[str, ...], label: str | None, more: str, matchers: str
) -> None:
    assert build_matchers(namespaces, label, more) == matchers


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([{"namespace": "prod", "pod": "a"}], USUAL),
        ([{"kubernetes_namespace": "prod", "kubernetes_pod_name": "a"}], OLD),
        # A collector in between: the target's own labels are the collector's.
        ([{"namespace": "m", "pod": "collector-0", "exported_namespace": "prod", "exported_pod": "a"}], EXPORTED),
        # Triton's model namespacing shows a label `namespace` of its own.
        ([{"namespace": "prod", "pod": "a", "exported_namespace": "models"}], USUAL),
        ([{"namespace": "prod", "exported_pod": "a", "pod": "x"}], PodLabels("namespace", "exported_pod")),
        ([{"namespace": "other", "pod": "a"}], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_labels_that_name_a_pod_are_those_under_which_known_pods_are_found(
    rows: list[dict[str, str]], labels: PodLabels | None
) -> None:
    answer = vector(*[(labels, 1.0) for labels in rows])
    assert choose_labels(answer, {A, B}, LabelNames().candidates()) == labels


def test_given_labels_are_taken_and_no_other() -> None:
    assert LabelNames(pod="kube_pod").candidates()[0] == PodLabels("namespace", "kube_pod")
    assert LabelNames("n", "p").candidates() == (PodLabels("n", "p"),)


def test_the_newest_of_a_pods_timestamps_counts_and_two_clusters_are_told() -> None:
    answer = vector(
        row("a", 90.0, exported_namespace="m1"),
        row("a", 95.0, exported_namespace="m2"),
        row("b", 91.0, cluster="eu1"),
        row("b", 92.0, cluster="eu2"),
    )
    assert read_stamps(answer, USUAL, LabelNames()) == Stamps({A: 95.0, B: 92.0}, frozenset({B}))


def test_a_page_has_the_series_of_a_pod_and_twins_stay_apart() -> None:
    pages = FamilyReader(SUCCESS).pages(
        vector(
            row("a", 5.0, model="m", version="1", gpu_uuid="GPU-1"),
            row("a", 0.0, model="m", version="1"),
            row("b", 7.0, model="m", version="1"),
        ),
        USUAL,
    )
    assert {name: list(page.values()) for name, page in pages.items()} == {A: [5.0, 0.0], B: [7.0]}
    history = Pod().history
    history.add(100.0, pages[A].items())
    assert set(history.add(105.0, pages[A].items())[30.0].rows) == {M}


def test_pods_share_a_series_that_stays_the_same_while_somebody_holds_it() -> None:
    """A history knows series by identity: another object would be another series, with its whole count new."""
    reader, answer = FamilyReader(SUCCESS), vector(row("a", 5.0, model="m"), row("b", 7.0, model="m"))
    held: list[Series] = [next(iter(page)) for page in reader.pages(answer, USUAL).values()]
    reader.pages(vector(), USUAL)
    gc.collect()
    held += [next(iter(page)) for page in reader.pages(answer, USUAL).values()]
    assert len({id(series) for series in held}) == 1


def test_an_answer_keeps_its_numbers_as_they_are() -> None:
    body = (
        b'{"status":"success","data":{"resultType":"vector","result":['
        b'{"metric":{"pod":"a"},"value":[100.5,"NaN"]},{"metric":{},"value":[100.5,"+Inf"]}]},"isPartial":true,"warnings":["w"]}'
    )
    answer = parse_vector(body)
    (_, first), second = answer.rows
    assert math.isnan(first)
    assert (answer.at, second, answer.size_bytes) == (100.5, ({}, math.inf), len(body))
    assert answer.warnings == ("w", "the answer is partial (isPartial)")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"status":"success"}',
        b'{"data":{"resultType":"matrix","result":[]}}',
        b'{"data":{"resultType":"vector","result":[{"metric":{},"values":[[1,"2"]]}]}}',
        b'{"data":{"resultType":"vector","result":[{"metric":{},"value":[1,"two"]}]}}',
    ],
)
def test_what_is_no_instant_vector_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- msgspec's own words
        parse_vector(body)
