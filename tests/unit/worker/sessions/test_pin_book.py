"""Pins of one kind together."""

from forebay.session.causes import PinReason
from forebay.worker.sessions.pin_book import (
    DIGEST_CHARACTERS,
    NAME_CHARACTERS,
    OTHERS,
    Entry,
    PinBook,
)

LISTEN, CURSOR = PinReason.LISTEN, PinReason.CURSOR


def test_pins_of_one_kind_are_counted_together() -> None:
    book = PinBook()
    book.begin(1, LISTEN, "listen news", "web", 100.0)
    book.begin(2, LISTEN, "listen news", "web", 110.0)
    book.end(1, LISTEN, 104.0)
    assert book.kinds(130.0) == [((LISTEN, "listen news", "web"), Entry(2, 24.0, 20.0), 1)]
    book.end(2, LISTEN, 131.0)
    assert book.kinds(500.0) == [((LISTEN, "listen news", "web"), Entry(2, 25.0, 21.0), 0)]


def test_what_has_cost_most_comes_first() -> None:
    book = PinBook()
    book.begin(1, LISTEN, "a", "", 100.0)
    book.begin(2, CURSOR, "b", "", 101.0)
    book.begin(1, CURSOR, "b", "", 102.0)
    assert [kind[0] for kind, _, _ in book.kinds(103.0)] == [LISTEN, CURSOR]
    assert [kind[0] for kind, _, _ in book.kinds(110.0)] == [CURSOR, LISTEN]


def test_a_pin_that_is_not_known_ends_without_a_trace() -> None:
    book = PinBook()
    book.end(1, LISTEN, 100.0)
    assert book.kinds(100.0) == []


def test_clients_names_are_cut() -> None:
    book = PinBook()
    book.begin(1, LISTEN, "x" * 10_000, "y" * 10_000, 1.0)
    (kind, _, _) = book.kinds(2.0)[0]
    assert kind == (LISTEN, "x" * DIGEST_CHARACTERS, "y" * NAME_CHARACTERS)


def test_the_number_of_kinds_is_bounded_and_nothing_is_lost() -> None:
    book = PinBook(kinds_limit=3)
    for number in range(100):
        book.begin(number, LISTEN, f"digest {number}", "web", float(number))
        if number % 2:
            book.end(number, LISTEN, number + 1.0 + number / 100)
    rows = book.kinds(200.0)
    assert len(rows) <= 5
    assert sum(entry.count for _, entry, _ in rows) == 100
    assert sum(open_now for _, _, open_now in rows) == 50
    assert ((LISTEN, OTHERS, OTHERS) in {kind for kind, _, _ in rows}) is True
    for number in range(0, 100, 2):
        book.end(number, LISTEN, 200.0)
    assert sum(entry.count for _, entry, _ in book.kinds(200.0)) == 100
    assert sum(open_now for _, _, open_now in book.kinds(300.0)) == 0
