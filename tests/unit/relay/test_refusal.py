"""Errors of Forebay's own in the middle of a batch: in order, with PostgreSQL's consequences."""

import pytest

from tests.unit.relay.fakes import NO_ROOM
from tests.unit.relay.loopback import Loopback

MISSING = "Describe S _forebay_0"  # what fails, in the place of what is refused
FAILS = "Error 26000 'prepared statement \"_forebay_0\" does not exist'"


def test_it_comes_in_the_order_of_the_other_replies(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse '' 'SELECT 1', Bind missing, Execute, Sync")
    database.gets(f"Parse '' 'SELECT 1', {MISSING}, Execute, Sync")
    client.gets("")
    database.sends("ParseComplete")
    client.gets("ParseComplete")
    database.sends(f"{FAILS}, Ready I")
    client.gets("Error 26000, Ready I")
    assert database.is_idle


def test_its_text_is_the_clients(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Bind missing, Sync")
    database.answers(f"{MISSING}, Sync", f"{FAILS}, Ready I")
    told = client.received()
    assert b'"missing" does not exist' in told
    assert b"_forebay_" not in told


def test_another_error_before_it_is_passed_on(loopback: Loopback) -> None:
    """An earlier message of the batch may fail, or a cancel hit what stands for it."""
    database, client = loopback.database(), loopback.client()
    client.sends("Bind missing, Sync")
    database.answers(f"{MISSING}, Sync", "Error 57014 canceled, Ready I")
    client.gets("Error 57014 canceled, Ready I")


def test_what_is_sent_behind_it_without_a_sync_is_skipped(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Bind missing")
    database.answers(MISSING, FAILS)
    client.gets("Error 26000")
    client.sends("Parse one 'SELECT 1', Sync")
    database.received()
    database.sends("Ready I")
    client.gets("Ready I")
    client.sends("Bind one, Sync")  # its Parse was skipped
    database.gets(f"{MISSING}, Sync")


def test_what_stands_for_it_must_not_succeed(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Bind missing, Sync")
    database.answers(f"{MISSING}, Sync", "ParameterDescription, NoData, Ready I")
    database.gets("Terminate")
    client.gets("Fatal 08006")


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        ("Error 42703 'no such column', Ready T", "Error 0A000, Ready T"),
        ("Error 25P02 aborted, Ready E", "Error 25P02 aborted, Ready E"),
    ],
)
def test_in_an_aborted_transaction_a_changed_result_is_not_heard_of(
    loopback: Loopback, answer: str, heard: str
) -> None:
    first, second = loopback.database(), loopback.database()
    client, other = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT * FROM t', Describe S one, Sync")
    second.answers(
        "Parse _forebay_# 'SELECT * FROM t', Describe S _forebay_#, Sync",
        "ParseComplete, ParameterDescription, RowDescription x, Ready I",
    )
    client.received()
    other.asks("Query BEGIN", second, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Execute, Sync")
    first.answers(
        "Parse _forebay_# 'SELECT * FROM t', Describe S _forebay_#, Flush",
        "ParseComplete, ParameterDescription, RowDescription x y",
    )
    first.answers("Parse _forebay_0 'SELECT _forebay_0', Execute, Sync", answer)
    client.gets(heard)


def test_statements_for_which_there_is_no_room_are_refused(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    loopback.sessions.texts.has_room = False
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers(f"{MISSING}, Sync", f"{FAILS}, Ready I")
    assert client.received().startswith(NO_ROOM)
