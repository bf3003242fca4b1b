"""Metrics pages against `prometheus_client`'s parser, and the pages that must be refused."""

import contextlib
import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from telemetry.exposition import MalformedExpositionError, SeriesTable, parse_exposition, parse_in_blocks

Sample = tuple[str, Mapping[str, str], float]


def parsed(text: str, table: SeriesTable | None = None) -> list[Sample]:
    samples = parse_exposition(text, table or SeriesTable())
    return [(series.family, dict(series.labels), value) for series, value in samples]


def by_oracle(text: str) -> list[Sample]:
    families = text_string_to_metric_families(text)
    return [(s.name, dict(s.labels), s.value) for family in families for s in family.samples]


def comparable(samples: Sequence[Sample]) -> list[tuple[str, list[tuple[str, str]], str]]:
    """NaN is NaN, and order does not matter: the oracle groups by family."""
    return sorted((name, sorted(labels.items()), repr(float(value))) for name, labels, value in samples)


_NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
# Names that begin with two underscores are Prometheus' own, and its parser refuses them on a page.
_LABELS = st.from_regex(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True)
_TEXTS = st.text(
    st.sampled_from('ab 1}{,="\\\nnü\t#') | st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]),
    max_size=12,
)
_VALUES = st.sampled_from(
    ["NaN", "Nan", "+Inf", "-Inf", "0", "1e9", "-0.5", "12345678901234567"]
) | st.floats(allow_nan=False, allow_infinity=False).map(repr)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@st.composite
def lines(draw: st.DrawFn) -> str:
    labels = draw(st.dictionaries(_LABELS, _TEXTS, max_size=3))
    inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
    comma = draw(st.sampled_from(["", ","])) if labels else ""
    bare = draw(st.sampled_from(["", "{}"]))
    braces = f"{{{inner}{comma}}}" if labels else bare
    stamp = draw(st.sampled_from(["", " 1712345678901"]))
    return f"{draw(_NAMES)}{braces} {draw(_VALUES)}{stamp}"


# A type for none of the samples: the oracle gives a counter's sample the suffix _total.
_PAGES = st.lists(
    lines() | st.sampled_from(["", "# a comment } 1", "# HELP m } text 1", "# TYPE longer_than_any counter"]),
    max_size=8,
)


@given(_PAGES)
def test_a_page_reads_as_prometheus_reads_it(page: list[str]) -> None:
    """Twice with one table: the first time each series is new, the second time it is known."""
    text = "\n".join([*page, ""]) or "\n"
    table = SeriesTable()
    wanted = comparable(by_oracle(text))
    assert [comparable(parsed(text, table)), comparable(parsed(text, table))] == [wanted, wanted]


def test_a_tritons_page_in_order_with_twins_and_an_empty_summary() -> None:
    page = (
        "# HELP nv_inference_request_success Number of successful inference requests, all batch sizes\n"
        "# TYPE nv_inference_request_success counter\n"
        'nv_inference_request_success{model="a b",version="1"} 0\n'
        'nv_inference_request_success{gpu_uuid="GPU-1",model="a b",version="1"} 12\n'
        'nv_inference_request_summary_us{model="a b",version="1",quantile="0.99"} Nan\n'
    )
    name, twin = {"model": "a b", "version": "1"}, {"gpu_uuid": "GPU-1"}
    assert repr(parsed(page)) == repr(
        [
            ("nv_inference_request_success", name, 0.0),
            ("nv_inference_request_success", twin | name, 12.0),
            ("nv_inference_request_summary_us", name | {"quantile": "0.99"}, math.nan),
        ]
    )


def test_lines_may_end_as_windows_ends_them() -> None:
    page = '# c\r\nm{a="1"} 2\r\n\r\nn 3\r\n'
    table = SeriesTable()
    wanted = [("m", {"a": "1"}, 2.0), ("n", {}, 3.0)]
    assert [parsed(page, table), parsed(page, table)] == [wanted, wanted]


@pytest.mark.parametrize(
    "line",
    [
        "m",
        "m one",
        "m 1 2 3",
        "1m 1",
        'm{a="1" 1',
        'm{a="1"x} 1',
        "m{a=1} 1",
        'm{a="1} 1',
        "m{a} 1",
        'm{a="1"}} 1',
        'm{,a="1"} 1',
        "<html><body>hello</body></html>",
        '{"error": "no"}',
        "{} 1",
    ],
)
def test_a_malformed_line_is_refused_by_its_number_and_nothing_of_the_page_is_used(line: str) -> None:
    table = SeriesTable()
    with pytest.raises(MalformedExpositionError, match=r"^line 3: "):
        parse_exposition(f"m 1\n# c\n{line}\nm 2\n", table)
    assert parsed("m 4\n", table) == [("m", {}, 4.0)]


@pytest.mark.parametrize("page", ["", "m 1", 'm 1\nm{a="1"} 12'])
def test_a_page_that_was_cut_short_is_refused(page: str) -> None:
    """The last number may have lost digits."""
    with pytest.raises(MalformedExpositionError, match="cut short"):
        parse_exposition(page, SeriesTable())


@given(_PAGES, st.integers(0, 200))
def test_whatever_is_cut_off_the_rest_is_refused_or_read_whole(page: list[str], at: int) -> None:
    whole = "\n".join([*page, ""]) or "\n"
    try:
        rest = parsed(whole[:at])
    except MalformedExpositionError:
        return
    assert repr(rest) == repr(parsed(whole)[: len(rest)])


@given(st.text(max_size=60))
def test_garbage_is_refused_and_nothing_worse(text: str) -> None:
    with contextlib.suppress(MalformedExpositionError):
        parse_exposition(text + "\n", SeriesTable())


def test_families_that_nobody_asked_for_are_left_out_and_their_numbers_not_read() -> None:
    table = SeriesTable({"m"})
    page = 'm{a="1"} 1\nother{a="1"} 2\nm_sum 3\n'
    assert [parsed(page, table), parsed(page, table)] == [[("m", {"a": "1"}, 1.0)]] * 2
    assert parsed('other{a="1"} garbage\n', table) == []


def test_a_series_is_one_object_for_all_targets_and_scrapes() -> None:
    first, second = SeriesTable(), SeriesTable()
    page = 'm{a="1"} 1\n'
    series = [parse_exposition(page, table)[0][0] for table in (first, first, second)]
    other = parse_exposition('m{a="2"} 1\n', first)[0][0]
    assert (series[0] is series[1] is series[2], series[0] is other) == (True, False)


def test_labels_that_change_at_every_scrape_do_not_grow_the_table() -> None:
    table = SeriesTable()
    for scrape in range(5000):
        parse_exposition(f'm{{id="{scrape}"}} 1\nstays 1\n', table)
    assert len(table.known) < 1100
    assert "stays" in table.known


def test_a_table_of_many_targets_forgets_what_none_of_them_shows() -> None:
    table = SeriesTable()
    for scrape in range(100):
        for target in range(50):
            page = f'm{{id="{scrape}-{target}"}} 1\nm{{id="{target}"}} 1\n'
            for _ in parse_in_blocks(page, table, []):
                pass
        table.end_round()
        assert len(table.known) <= 1200, "two rounds, and a thousand"
        assert not table.known or all(f'm{{id="{target}"}}' in table.known for target in range(50))


def test_a_series_that_is_still_held_survives_the_table_that_forgot_it() -> None:
    """The window tells series apart by identity: forgetting must not make an old series new."""
    table = SeriesTable()
    held = parse_exposition("m 1 1712345678901\n", table)[0][0]
    for scrape in range(3000):
        parse_exposition(f'other{{id="{scrape}"}} 1\n', table)
    assert "m" not in table.known
    assert parse_exposition("m 2 1712345678902\n", table)[0][0] is held
