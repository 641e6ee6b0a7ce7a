"""What texts may do to a transaction."""

import pytest

from forebay.relay.scan.control import (
    BEGINS_BIT,
    ENDS_BIT,
    HIDES_BIT,
    ROLLS_BACK_BIT,
    SEVERAL_BIT,
    control_in,
)

NO_CONTROL = 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1",
        "select 1;",
        "SELECT 1 ; \n ;",
        "INSERT INTO t VALUES ('commit')",
        "SET x = 1",
        "SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "ROLLBACK TO a",
        "rollback work to savepoint a",
        "CREATE TABLE t ()",
        "COPY t FROM STDIN",
        "CALL p()",
        "DO 'x'",
        "EXPLAIN SELECT 1",
        "EXECUTE commit",
        "PREPARE one AS SELECT 1",
        "ANALYZE",
        "(SELECT 1)",
        "/* COMMIT */ SELECT 1",
        "-- COMMIT\nSELECT 1",
        "/* a /* b */",
        " \n",
    ],
)
def test_most_do_nothing(text: str) -> None:
    assert control_in(text.encode()) == NO_CONTROL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BEGIN", BEGINS_BIT),
        ("begin isolation level serializable;", BEGINS_BIT),
        ("  Start Transaction", BEGINS_BIT),
        ("/* a /* b */ c */ BEGIN", BEGINS_BIT),
        ("-- a\n-- b\nBEGIN", BEGINS_BIT),
        ("; BEGIN", BEGINS_BIT | ENDS_BIT | HIDES_BIT | SEVERAL_BIT),
        ("COMMIT", ENDS_BIT),
        ("commit work ;", ENDS_BIT),
        ("END", ENDS_BIT),
        ("PREPARE TRANSACTION 'x'", ENDS_BIT),
        ("/**/COMMIT", ENDS_BIT),
        ("ROLLBACK", ROLLS_BACK_BIT),
        ("abort work", ROLLS_BACK_BIT),
        ("COMMIT AND CHAIN", ENDS_BIT | HIDES_BIT),
        ("ROLLBACK AND CHAIN", ROLLS_BACK_BIT | HIDES_BIT),
        ("SELECT 1; SELECT 2", ENDS_BIT | SEVERAL_BIT),
        ("INSERT 1; COMMIT", ENDS_BIT | SEVERAL_BIT),
        ("COMMIT; Begin", ENDS_BIT | SEVERAL_BIT | HIDES_BIT),
        ("ROLLBACK; START TRANSACTION", ENDS_BIT | SEVERAL_BIT | HIDES_BIT),
        ("DO $$ BEGIN COMMIT; END $$", ENDS_BIT | SEVERAL_BIT | HIDES_BIT),
    ],
)
def test_others_are_told_apart(text: str, expected: int) -> None:
    if expected & SEVERAL_BIT:
        assert control_in(text.encode()) == expected & ~BEGINS_BIT | NO_CONTROL
    else:
        assert control_in(text.encode()) == expected


@pytest.mark.parametrize("text", ["BEGIN", "COMMIT", "ROLLBACK TO a", "-- x", "/* x", "a;b"])
def test_nothing_is_read_behind_the_end(text: str) -> None:
    for size in range(len(text)):
        assert control_in(text[:size].encode()) & ~127 == 0
