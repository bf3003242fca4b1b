"""Rows of numbers come out as they went in, however often their names change."""

from hypothesis import given
from hypothesis import strategies as st

from telemetry.packed_rows import PackedRows

_ROWS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.floats(allow_nan=False)), max_size=3
)


@given(st.lists(_ROWS, max_size=5))
def test_each_row_is_what_was_put_in_with_its_names_in_order(
    several: list[dict[str, dict[str, float]]],
) -> None:
    packed: PackedRows[str, str] | None = None
    for rows in several:
        packed = PackedRows(rows, packed)
        assert {key: list(packed.row(key).items()) for key in packed} == {
            key: list(row.items()) for key, row in rows.items()
        }
        assert {key: packed.names(key) for key in packed} == {key: tuple(row) for key, row in rows.items()}
        assert ("d" in packed, packed.row("d"), packed.names("d")) == (False, {}, ())


def test_what_has_the_same_rows_shares_their_names_whoever_made_it() -> None:
    first = PackedRows({"a": {"x": 1.0}, "b": {"x": 2.0}})
    after = PackedRows({"a": {"x": 3.0}, "b": {"x": 4.0}}, first)
    other = PackedRows({"a": {"x": 5.0}, "b": {"x": 6.0}})
    assert first._shape is after._shape is other._shape
