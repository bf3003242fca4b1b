"""What docs/stability.md shows is what docs/stability.json recorded."""

from tests.stability.page import RECORDED, pages
from tests.stability.table import from_json, to_json


def test_the_record_is_read_back_as_it_was_written() -> None:
    recorded = RECORDED.read_text()
    assert to_json(from_json(recorded)) == recorded


def test_page_and_drawings_are_those_of_the_record() -> None:
    stale = [file.name for file, text in pages(RECORDED.read_text()).items() if file.read_text() != text]
    assert stale == [], "run `python -m tests.stability.page`"
