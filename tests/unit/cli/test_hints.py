"""Each reason for a pin has a hint, and each effect its words."""

import pytest

from forebay.cli.hints import deed, hint, rds_hint
from forebay.session.causes import PinReason
from forebay.sql.effects import effects


@pytest.mark.parametrize("reason", PinReason)
def test_hints_are_sentences(reason: PinReason) -> None:
    for text in (hint(reason, ()), rds_hint(reason)):
        assert text[0].isupper()
        assert text.endswith(".")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (b"SET work_mem = 1", "sets work_mem for the session"),
        (b"SET LOCAL work_mem = 1", "sets work_mem until the transaction ends"),
        (b"RESET work_mem", "resets work_mem"),
        (b"RESET ALL", "resets all settings"),
        (b"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "that outlives the transaction"),
        (b"CREATE TEMP TABLE t (a int)", "creates the temporary table t"),
        (b"CREATE TEMP TABLE t (a int) ON COMMIT DROP", ", dropped at commit"),
        (b"LISTEN news", "listens for notifications on news"),
        (b"SELECT pg_advisory_lock(1)", "whose locks belong to the session"),
        (b"SELECT nextval('s')", "whose value belongs to the session"),
        (b"DO $$ begin end $$", "runs a code block"),
        (b"LOAD 'x'", "loads a library"),
        (b"PREPARE p AS SELECT 1", "prepares the statement p"),
        (b"DISCARD ALL", "discards session state"),
    ],
)
def test_what_a_text_does_in_words(sql: bytes, words: str) -> None:
    assert any(words in deed(each) for each in effects(sql))


def test_a_search_path_that_begins_with_pg_temp() -> None:
    found = effects(b"SET search_path = pg_temp, public")
    assert "pg_temp" in hint(PinReason.SETTING, found)
    assert hint(PinReason.SETTING, ()) == PinReason.SETTING.cause.hint
