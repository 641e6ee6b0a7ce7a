"""How explanations are told."""

import pytest

from forebay.cli.explain_report import Total, in_words, lines, place, report
from forebay.cli.explanation import Explanation, Reader, explain_text


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 1, 1), "1 statement: 1 pins, 1 calls functions that cannot be seen"),
        ((9, 0, 2), "9 statements: 0 pin, 2 call functions that cannot be seen"),
    ],
)
def test_the_total(counts: tuple[int, int, int], said: str) -> None:
    statements, pin, unseen = counts
    assert in_words(Total(statements=statements, pin=pin, cannot_be_seen=unseen)) == said


def test_a_statement_may_pin_and_not_be_seen() -> None:
    found = explain_text(b"SELECT f(), pg_advisory_lock(1); SELECT 1")
    total = report(found, Reader()).total
    assert (total.statements, total.pin, total.cannot_be_seen) == (2, 1, 1)
    assert "  unseen calls f(): what that does to the session cannot be seen" in lines(found[0])


def test_a_place_is_one_line() -> None:
    each = Explanation(file="a\n\x1b[31m.sql", line=7, statement="", does=[], pins=False)
    assert place(each) == "a??[31m.sql:7: "
    assert place(Explanation(statement="", does=[], pins=False)) == ""
