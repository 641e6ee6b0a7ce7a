"""What the notes of a session make of effects."""

import pytest

from forebay.sql.effects import effects
from forebay.worker.session.pins import Notes, PinReason, note_effects

TEMPORARY = PinReason.TEMPORARY_OBJECT


@pytest.mark.parametrize(
    ("text", "asked", "said"),
    [
        ("CREATE TEMP TABLE t ()", True, True),
        ("SELECT 1 INTO TEMP t", True, True),
        ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_temp", True, True),
        ("SET search_path = pg_temp", True, True),
        ("CREATE TABLE t ()", True, False),
        ("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", True, False),
        ("SELECT * FROM pg_temp.t", True, False),
        ("SET search_path = tenant, pg_temp", True, False),
        ("SELECT set_config('search_path', $1, false)", True, False),
        ("SET search_path = tenant", False, False),
        ("CREATE INDEX ON t (a)", False, False),
    ],
)
def test_what_may_be_temporary_is_asked_for(text: str, asked: bool, said: bool) -> None:
    notes = Notes(statement=text.encode())
    note_effects(notes, effects(text))
    assert (TEMPORARY in notes.doubts) == said
    assert (TEMPORARY in notes.causes) == asked
    assert notes.reasons == frozenset()
    assert (TEMPORARY in notes.take_doubts()) == asked
    assert notes.take_doubts() == frozenset()


def test_what_is_held_is_asked_for_again() -> None:
    notes = Notes(held=frozenset({PinReason.CURSOR}))
    notes.doubt(PinReason.LISTEN)
    notes.doubt_creation()
    assert notes.take_doubts() == {PinReason.CURSOR, PinReason.LISTEN, TEMPORARY}
    assert notes.take_doubts() == {PinReason.CURSOR}


def test_the_statement_that_says_so_is_told_as_the_cause() -> None:
    notes = Notes()
    for text in ("CREATE TABLE a ()", "CREATE TEMP TABLE b ()", "CREATE TABLE c ()"):
        notes.statement = text.encode()
        note_effects(notes, effects(text))
    assert notes.causes[TEMPORARY] == b"CREATE TEMP TABLE b ()"
