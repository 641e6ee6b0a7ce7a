"""Who has a connection, and what is done before the next client gets it."""

import pytest

from forebay.protocol.messages import query
from tests.playbooks import wording
from tests.unit.relay.fakes import PLAIN, Settings
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"
ROLLED_BACK = "CommandComplete ROLLBACK, Ready I"
DISCARDED = "CommandComplete 'DISCARD ALL', Ready I"


def test_a_connection_serves_one_transaction_after_the_other(loopback: Loopback) -> None:
    database = loopback.database()
    first, second = loopback.client(), loopback.client()
    first.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    second.sends("Query 'SELECT 2'")
    database.gets("")
    assert second.peer.is_waiting
    first.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
    database.answers("Query 'SELECT 2'", RESULT)
    second.gets(RESULT)
    assert database.is_idle


def test_a_transaction_that_was_left_is_rolled_back_before_the_next_client(
    loopback: Loopback,
) -> None:
    database = loopback.database()
    client, other = loopback.client(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.leaves()
    other.sends("Query 'SELECT 2'")
    database.answers("Query ROLLBACK", ROLLED_BACK)
    database.answers("Query 'SELECT 2'", RESULT)
    other.gets(RESULT)


def test_a_transaction_that_cannot_be_rolled_back_costs_the_connection(
    loopback: Loopback,
) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.leaves()
    database.answers("Query ROLLBACK", "Error 57014 canceled, Ready E")
    database.gets("Terminate")
    assert database.is_let_go


def test_a_session_that_was_pinned_is_discarded(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query 'SELECT 1'", database, RESULT)
    client.peer.set_pinned(True)
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.leaves()
    database.answers("Query ROLLBACK", ROLLED_BACK)
    assert not database.is_idle
    database.answers("Query 'DISCARD ALL'", DISCARDED)
    assert database.is_idle


def test_settings_that_may_not_stay_are_taken_off(loopback: Loopback) -> None:
    resting = Settings("resting", at_rest=PLAIN)
    database, client = loopback.database(), loopback.client(resting)
    client.sends("Query 'SELECT 1'")
    database.changes_to("resting", "Query 'SELECT 1'")
    database.sends(f"Changed, {RESULT}")
    client.gets(RESULT)
    database.answers("Query REST", "CommandComplete RESET, Ready I")
    assert database.is_idle
    assert database.peer.settings is PLAIN


def test_half_a_message_cannot_be_taken_back(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.transmits(query(f"SELECT {'1 + ' * 50_000}1")[:100_000])
    client.leaves()
    assert database.received().endswith(wording.encode("Terminate"))
    assert database.is_let_go


def test_replies_to_a_client_that_is_gone_are_dropped(loopback: Loopback) -> None:
    database = loopback.database()
    client, other = loopback.client(), loopback.client()
    client.sends("Query 'SELECT 1', Query 'SELECT 2'")
    client.leaves()
    other.sends("Query 'SELECT 3'")
    database.gets("Query 'SELECT 1', Query 'SELECT 2'")
    database.sends(f"{RESULT}, {RESULT}")
    database.answers("Query 'SELECT 3'", RESULT)
    other.gets(RESULT)


@pytest.mark.parametrize("extended", [False, True])
def test_a_copy_whose_client_is_gone_is_failed(loopback: Loopback, extended: bool) -> None:
    database, client = loopback.database(), loopback.client()
    if extended:
        client.sends("Parse '' 'COPY t FROM STDIN', Bind, Execute, Flush")
        database.gets("Parse '' 'COPY t FROM STDIN', Bind, Execute, Flush")
        database.sends("ParseComplete, BindComplete, CopyInResponse")
    else:
        client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
    client.leaves()
    database.gets(f"CopyFail 'client disconnected'{', Sync' if extended else ''}")
    assert loopback.manager.copies == [database.peer]
    database.sends("Error 57014 'COPY failed', Ready I")
    assert database.is_idle


def test_a_cancel_request_under_way_keeps_a_connection_from_the_next(loopback: Loopback) -> None:
    database = loopback.database()
    client, other = loopback.client(), loopback.client()
    client.sends("Query 'SELECT 1'")
    database.peer.cancels_in_flight += 1
    database.answers("Query 'SELECT 1'", RESULT)
    client.gets(RESULT)
    other.sends("Query 'SELECT 2'")
    database.gets("")
    assert other.peer.is_waiting
    database.peer.cancel_finished()
    database.answers("Query 'SELECT 2'", RESULT)
    other.gets(RESULT)


def test_a_retired_connection_is_taken_away_when_it_is_free(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    database.peer.retired = True
    client.sends("Query COMMIT")
    database.answers("Query COMMIT", "CommandComplete COMMIT, Ready I")
    client.gets("CommandComplete COMMIT, Ready I")
    assert loopback.manager.taken == [database.peer]
    assert database.received() == wording.encode("Terminate")


def test_a_copy_of_which_too_many_answers_may_come_costs_the_connection(
    loopback: Loopback,
) -> None:
    """Whether the database had read a Sync before the copy failed cannot be known."""
    database, client = loopback.database(), loopback.client()
    client.sends("Parse '' 'COPY t FROM STDIN', Bind, Execute, Sync")
    database.answers(
        "Parse '' 'COPY t FROM STDIN', Bind, Execute, Sync",
        "ParseComplete, BindComplete, CopyInResponse",
    )
    client.received()
    client.sends("CopyData x, CopyDone, Sync")
    database.gets("CopyData x, CopyDone, Sync")
    database.sends("Error 22P04 'bad data', Ready I")
    client.gets("Error 22P04 'bad data', Ready I")
    client.sends("Terminate")
    database.gets("Terminate")
    assert database.is_let_go
