"""A database connection and the client that borrows it, as they know each other."""

from forebay.protocol import errors
from forebay.relay import Command, Server
from tests.playbooks import wording
from tests.unit.relay.fakes import PLAIN, Parameters, Settings
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"


def test_they_know_each_other_for_the_time_of_a_lease(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    assert (database.peer.client, client.peer.server) == (None, None)
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    assert (database.peer.client, client.peer.server) == (client.peer, database.peer)
    assert database.peer.in_transaction
    assert not database.peer.is_pinned
    client.peer.set_pinned(True)
    assert database.peer.is_pinned
    client.peer.set_pinned(False)
    client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
    assert (database.peer.client, client.peer.server) == (None, None)
    assert not database.peer.in_transaction


def test_a_place_in_the_queue_is_the_clients(loopback: Loopback) -> None:
    client = loopback.client()
    client.sends("Query 'SELECT 1'")
    assert client.peer.place is loopback.pool.first_waiter
    assert client.peer.place is not None
    assert client.peer.place.borrower is client.peer


def test_what_is_said_to_a_client_comes_in_order(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Query 'SELECT 1'")
    database.sends("Notice one")
    client.peer.say(wording.encode("Notice two"))
    database.sends(f"Notice three, {RESULT}")
    client.gets(f"Notice one, Notice two, Notice three, {RESULT}")


def test_what_forebay_runs_is_not_heard_by_the_client(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    done: list[tuple[Server, Command]] = []
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    command = database.peer.run(b"SHOW x", lambda *told: done.append(told))
    client.sends("Query 'SELECT 1'")
    database.gets("Query 'SHOW x', Query 'SELECT 1'")
    database.sends("RowDescription, Row x, CommandComplete SHOW")
    assert done == []
    database.sends("Ready T, Result, Ready T")
    client.gets("Result, Ready T")
    assert done == [(database.peer, command)]


def test_what_forebay_runs_ends_the_unnamed_statement(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.asks("Parse '' 'SELECT 1', Sync", database, "ParseComplete, Ready T")
    database.peer.run(b"SHOW x", None)
    database.answers("Query 'SHOW x'", "CommandComplete SHOW, Ready T")
    client.sends("Bind, Sync")
    database.gets("Parse '' 'SELECT 1', Bind, Sync")


def test_what_decides_whether_a_session_stays_goes_with_its_client(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Query COMMIT")
    database.answers("Query COMMIT", "CommandComplete COMMIT, Ready T")
    database.peer.ask(b"LOOK", lambda *_: None)
    database.gets("Query LOOK")
    client.leaves()
    database.sends("CommandComplete LOOK, Ready I")
    database.gets("Query 'DISCARD ALL'")


def test_a_reset_forgets_what_was_prepared(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
    database.peer.was_reset(PLAIN)
    client.sends("Bind one, Sync")
    database.gets("Parse _forebay_# 'SELECT 1', Bind _forebay_#, Sync")


def test_a_reset_says_which_settings_there_are(loopback: Loopback) -> None:
    database, mine = loopback.database(), Settings("mine")
    database.peer.was_reset(mine)
    client = loopback.client(mine)
    client.asks("Query 'SELECT 1'", database, RESULT)


def test_a_client_is_read_as_its_connection_reports(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    now = Parameters({"standard_conforming_strings": "off"})
    database.peer.parameters = now
    assert client.peer.parameters_now() is now
    assert client.peer.parameters is not now


def test_what_a_session_may_hold_cannot_be_had_elsewhere(loopback: Loopback) -> None:
    """So who waits for the answer of a connection that is lost is not given another."""
    loopback.database()
    database, client = loopback.database(), loopback.client()
    client.asks("Query 'SET x = 1'", database, "CommandComplete SET, Ready I")
    client.sends("Query 'SELECT 1'")
    database.gets("Query 'what does the session hold?'")
    database.leaves()
    client.gets("Fatal 08006")


class TestShutting:
    def test_says_goodbye_to_the_database_and_why_to_the_rest(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.peer.shut("it is of no use")
        assert loopback.manager.lost == [(database.peer, "it is of no use")]
        assert client.received() == errors.server_lost("it is of no use").encode()
        database.gets("Query 'SELECT 1', Terminate")
        assert database.is_let_go

    def test_is_done_once(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.peer.shut("first")
        database.peer.shut("second")
        assert loopback.manager.lost == [(database.peer, "first")]
        database.gets("Terminate")
