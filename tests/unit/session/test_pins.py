"""What the notes of a session make of effects."""

import pytest

from forebay.session.causes import PinReason
from forebay.session.pins import Notes, note_effects
from forebay.sql.effects import effects

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


def test_each_pin_knows_its_end() -> None:
    notes = Notes()
    for reason in PinReason:
        notes.tie(reason)
        assert notes.end_of(reason) == reason.cause.ends
    # The database could not be asked yet, which is no change of settings for good.
    waiting = Notes(held=frozenset({PinReason.SETTING}))
    assert waiting.end_of(PinReason.SETTING) == "the database has told what the session holds"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("LOAD 'x'", PinReason.LOAD),
        ("SELECT setseed(1)", PinReason.SESSION_FUNCTION),
        ("SET seed = 0.5", PinReason.SESSION_FUNCTION),
        ("DO $$ BEGIN EXECUTE 'x'; END $$", PinReason.DO_BLOCK),
        ("SELECT set_config($1, 'x', false)", PinReason.SETTING),
        ("SET " + ".".join(["x" * 60] * 5) + " = 1", PinReason.TOO_MANY_SETTINGS),
        ("SET LOCAL standard_conforming_strings = off", PinReason.UNREADABLE),
    ],
)
def test_what_cannot_be_asked_for_has_its_own_statement_as_the_cause(
    text: str, reason: PinReason
) -> None:
    notes = Notes()
    for each in (text, "LISTEN a", "SET work_mem = '1MB'"):
        notes.statement = each.encode()
        note_effects(notes, effects(each))
    assert reason in notes.lasting
    assert notes.causes[reason] == text.encode()
    notes.forget()
    assert notes.causes == {}
