"""A row is shown whole or counted, and nothing stands after what was left out."""

from tests.slack.block_kit import shown
from triage.slack.layout import Group, Row, box, bullet, lay_out, line
from triage.slack.rich import say


def row(text: str) -> Row:
    return (bullet(say(text)),)


def test_rows_of_a_group_share_a_block_and_a_list() -> None:
    laid = lay_out([Group("Impact", (row("a"), row("b"))), Group("Why", (row("c"),), more=4)], most_pages=1)
    assert [shown([block]) for block in laid.pages[0]] == ["Impact\n- a\n- b\n", "Why\n- c\n- 4 more\n"]
    assert [len(block["elements"]) for block in laid.pages[0]] == [2, 2]


def test_a_row_of_several_pieces_is_not_torn() -> None:
    whole = (line(say("1. Scale")), box("kubectl scale"), bullet(say("undo: " + "u" * 400)))
    laid = lay_out([Group("Do", (whole,) * 40)], most_pages=2)
    for page in laid.pages:
        text = shown(page)
        assert text.count("1. Scale") == text.count("| kubectl scale") == text.count("u" * 400)
    assert sum(shown(page).count("1. Scale") for page in laid.pages) + laid.dropped == 40


def test_once_a_row_found_no_room_a_shorter_one_after_it_is_counted_too() -> None:
    laid = lay_out(
        [Group("", tuple(row("x" * 900) for _ in range(12))), Group("Last", (row("y"),), more=5)],
        most_pages=1,
    )
    assert "y" not in shown(laid.pages[0])
    assert shown(laid.pages[0]).count("x" * 900) + laid.dropped == 12 + 1 + 5


def test_a_group_that_goes_on_in_another_message_has_its_title_there_too() -> None:
    laid = lay_out([Group("Path", tuple(row("x" * 900) for _ in range(12)))], most_pages=2)
    assert [shown(page).startswith("Path\n") for page in laid.pages] == [True, True]
    assert laid.dropped == 0
