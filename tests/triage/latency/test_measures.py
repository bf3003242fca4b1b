"""Rows of measures: what may be written, and where a mistake is shown."""

from pathlib import Path

import pytest

from telemetry.located_yaml import InvalidFileError, parse_located
from telemetry.rules_dir import rules_dir
from triage.latency.measures import MeasureFile, read_measures

GOOD = """source: platform
measures:
  - {measure: a, unit: s, by: [pod], says: a thing, family: f, kind: rate}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFileError) as raised:
        parse_located(MeasureFile, text, "m.yaml")
    return [f"{one.line}:{one.column} {one.message}" for one in raised.value.problems]


def test_the_measures_that_the_design_names_are_all_there() -> None:
    found = read_measures(rules_dir() / "measures")
    names = {row.measure for rows in found.values() for row in rows}
    text = (Path(__file__).parents[3] / "docs/design/p99.md").read_text()
    section = text.partition("## Measures of the platform and the gateway")[2].partition("## Leaves")[0]
    wanted = {word.strip("`") for word in section.split("`")[1::2]}
    assert wanted - names == set()
    assert {source: len(rows) for source, rows in found.items()}["triton"] == 25


def test_mistakes_are_all_told_at_their_places() -> None:
    text = """source: platform
measures:
  - {measure: a, unit: s, by: [pod], says: x, family: f, kind: quantile}
  - {measure: b, unit: s, by: [pod], says: x, any_of: [{family: f, kind: rate, scope: {pod: "{pots}"}}]}
  - {measure: c, unit: s, by: [pod], says: x, any_of: [{family: f, kind: rate, where: {code: "("}}]}
  - {measure: d, unit: s, by: [pod], says: x, any_of: [{family: f, kind: expression, expr: "f{p=~$nods}"}]}
  - {measure: e, unit: s, by: [pod], says: x, sclae: 2, family: f, kind: rate}
  - {measure: f, unit: s, by: [pod], says: x}
"""
    told = problems(text)
    assert [one.split(" ")[0].split(":")[0] for one in told] == ["3", "4", "5", "6", "7", "8"]
    assert "'quantile' belongs to kinds" in told[0]
    assert "the target has no 'pots'" in told[1]
    assert "no regular expression" in told[2]
    assert "the target has no 'nods'" in told[3]
    assert "did you mean 'scale'" in told[4]
    assert "'any_of'" in told[5]


def test_a_measure_has_one_row_in_all_files(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(GOOD)
    (tmp_path / "two.yaml").write_text(GOOD)
    with pytest.raises(InvalidFileError) as raised:
        read_measures(tmp_path)
    (problem,) = raised.value.problems
    assert (problem.file, problem.line, problem.column) == (str(tmp_path / "two.yaml"), 3, 15)


def test_a_way_that_may_clash_is_tried_by_exported_names_second_and_another_is_not() -> None:
    text = """source: platform
measures:
  - measure: a
    unit: s
    by: [pod, node]
    says: x
    any_of:
      - {family: f, kind: last, scope: {pod: "{pods}"}, labels: {node: Hostname}, clash: true}
      - {family: g, kind: last, scope: {pod: "{pods}"}}
      - {family: h, kind: last, scope: {pod: "{pods}", namespace: "{namespace}"}, clash: true}
"""
    (row,) = parse_located(MeasureFile, text, "m.yaml").measures
    first, second, third = row.alternatives
    assert [dict(way.labels) for way in first.variants()] == [
        {"node": "Hostname"},
        {"node": "Hostname", "pod": "exported_pod"},
    ]
    assert len(list(second.variants())) == 1
    assert [dict(way.labels) for way in third.variants()] == [
        {},
        {"pod": "exported_pod", "namespace": "exported_namespace"},
        {"namespace": "exported_namespace"},  # each label is renamed for itself
    ]
