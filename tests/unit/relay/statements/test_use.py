"""Parse, Bind, Describe and Close of prepared statements with names."""

import pytest

from forebay.protocol.messages import message
from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

DONE = "ParseComplete, Ready I"
MISSING = "Describe S _forebay_0"
FAILS = "Error 26000 'prepared statement \"_forebay_0\" does not exist', Ready I"


@pytest.fixture
def ends(loopback: Loopback) -> tuple[FarDatabase, FarClient]:
    """A client that has prepared SELECT 1 as `one`."""
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", DONE)
    client.gets(DONE)
    return database, client


class TestNames:
    def test_are_rewritten(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Bind one, Describe S one, Execute, Sync")
        database.gets("Bind _forebay_#, Describe S _forebay_#, Execute, Sync")

    def test_of_portals_are_not(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Bind one one, Describe P one, Execute one, Close P one, Sync")
        database.gets("Bind _forebay_# one, Describe P one, Execute one, Close P one, Sync")

    def test_that_there_are_not_are_told_by_the_clients_name(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Bind nothing, Sync")
        database.answers(f"{MISSING}, Sync", FAILS)
        told = client.received()
        assert b'C26000\0Mprepared statement "nothing" does not exist\0' in told
        assert b"\0RFetchPreparedStatement\0" in told

    def test_of_forebays_own_reach_nobodys_statement(
        self, ends: tuple[FarDatabase, FarClient], loopback: Loopback
    ) -> None:
        database, client = ends
        name = loopback.sessions.texts.make(b"SELECT 1").known.name.decode()
        client.peer.suspect = True
        client.sends(f"Bind {name}, Sync")
        database.gets(f"{MISSING}, Sync")


class TestParse:
    def test_of_a_taken_name_fails_behind_what_is_wrong_with_the_text(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Parse one 'SELECT 2', Sync")
        database.answers(
            "Parse _forebay_taken '', Parse _forebay_taken 'SELECT 2', Sync",
            "ParseComplete, Error 42P05 'statement \"_forebay_taken\" already exists', Ready I",
        )
        told = client.received()
        assert b'C42P05\0Mprepared statement "one" already exists\0' in told
        client.sends("Parse one nonsense, Sync")
        database.answers(
            "Parse _forebay_taken nonsense, Sync", "Error 42601 'syntax error', Ready I"
        )
        client.gets("Error 42601 'syntax error', Ready I")
        assert list(client.peer.statements or ()) == [b"one"]

    def test_of_what_the_connection_has_is_answered_here(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Parse two 'SELECT 1', Sync")
        client.gets("ParseComplete")
        database.answers("Sync", "Ready T")
        client.gets("Ready T")

    def test_in_an_aborted_transaction_fails(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.asks("Query 'SELECT 1'", database, "Error 22012 no, Ready E")
        client.sends("Parse two 'SELECT 1', Sync")
        database.answers(
            "Close S _forebay_#, Parse _forebay_# 'SELECT 1', Sync",
            "CloseComplete, Error 25P02 aborted, Ready E",
        )
        client.gets("Error 25P02 aborted, Ready E")

    def test_that_is_too_long_to_be_kept_fails(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.transmits(message(b"P", b"long\0SELECT" + b" " * (8 << 20) + b"1\0\0\0"))
        client.sends("Sync")
        database.answers(f"{MISSING}, Sync", FAILS)
        told = client.received()
        assert b"C54000\0Ma prepared statement is too long: 8388" in told

    def test_that_leaves_types_asks_which_the_database_has_found(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Parse two 'SELECT $1', Sync")
        database.answers(
            "Parse _forebay_# 'SELECT $1', Describe S _forebay_#, Sync",
            "ParseComplete, ParameterDescription 23, RowDescription a, Ready I",
        )
        client.gets(DONE)

    def test_too_long_of_a_taken_name_fails_for_the_name(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.transmits(message(b"P", b"one\0SELECT" + b" " * (8 << 20) + b"1\0\0\0"))
        client.sends("Sync")
        database.answers(f"{MISSING}, Sync", FAILS)
        client.gets("Error 42P05, Ready I")


class TestWaiting:
    """What an earlier batch decides, and is not answered yet, is not guessed."""

    def test_for_what_the_client_calls_so(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Close S one, Parse one nonsense, Sync, Bind one, Sync")
        database.answers("Parse _forebay_# nonsense, Sync", "Error 42601 'syntax error', Ready I")
        client.gets("CloseComplete, Error 42601 'syntax error', Ready I")
        database.gets(f"{MISSING}, Sync")

    def test_for_a_close_that_may_be_skipped(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Parse '' nonsense, Close S one, Sync, Bind one, Sync")
        database.answers("Parse '' nonsense, Sync", "Error 42601 'syntax error', Ready I")
        database.gets("Bind _forebay_#, Sync")

    def test_for_what_the_connection_has(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync, Parse two 'SELECT 1', Sync")
        database.gets("Parse _forebay_# 'SELECT 1', Sync")
        database.sends("ParseComplete")
        # A statement behind which an error may come is prepared again.
        database.gets("Close S _forebay_#, Parse _forebay_# 'SELECT 1', Sync")

    def test_not_for_other_statements(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Parse two 'SELECT 2', Sync, Bind one, Sync, Bind nothing, Sync")
        database.gets(f"Parse _forebay_# 'SELECT 2', Sync, Bind _forebay_#, Sync, {MISSING}, Sync")

    def test_not_while_the_database_waits_for_copy_data(
        self, ends: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = ends
        client.sends("Parse two 'SELECT 2', Sync, Query 'COPY t FROM STDIN'")
        database.received()
        database.sends("ParseComplete, Ready I, CopyInResponse")
        client.sends("Parse three 'SELECT 3', Sync, Bind three, Sync, CopyDone")
        assert database.received().endswith(b"c\0\0\0\4")


class TestClose:
    def test_is_answered_here_in_its_turn(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Bind one, Close S one, Sync")
        client.gets("")
        database.answers("Bind _forebay_#, Sync", "BindComplete, Ready I")
        client.gets("BindComplete, CloseComplete, Ready I")
        assert client.peer.statements == {}

    def test_of_nothing_succeeds(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Close S nothing, Sync")
        database.answers("Sync", "Ready I")
        client.gets("CloseComplete, Ready I")

    def test_frees_the_name(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Close S one, Parse one 'SELECT 2', Bind one, Sync")
        database.gets("Parse _forebay_# 'SELECT 2', Bind _forebay_#, Sync")


class TestPreparedBySQL:
    """The database knows it by the client's name."""

    def test_of_a_pinned_client_is_used_as_sql_would(
        self, ends: tuple[FarDatabase, FarClient], loopback: Loopback
    ) -> None:
        database, client = ends
        client.peer.set_pinned(True)
        client.sends("Bind x, Describe S x, Close S x, Sync")
        database.gets("Bind x, Describe S x, Close S x, Sync")
        told = loopback.sessions.texts.of("examine")
        assert told == [b'EXECUTE "x"', b'DEALLOCATE "x"']

    def test_of_others_there_is_none(self, ends: tuple[FarDatabase, FarClient]) -> None:
        database, client = ends
        client.sends("Bind x, Sync")
        database.gets(f"{MISSING}, Sync")


def test_behind_a_change_of_meaning_it_is_prepared_as_it_means_now(
    ends: tuple[FarDatabase, FarClient], loopback: Loopback
) -> None:
    database, client = ends
    client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.peer.meanwhile = (object(),)
    client.sends("Bind one, Sync")  # the connection has it, and goes on with it
    database.answers("Bind _forebay_#, Sync", "BindComplete, Ready T")
    database.peer.was_reset(database.peer.settings)  # not any more
    now = loopback.sessions.texts.make(b"SELECT now")
    loopback.sessions.texts.again_is = now
    client.sends("Bind one, Sync")
    database.gets("Parse _forebay_# 'SELECT now', Bind _forebay_#, Sync")


def test_what_ends_all_statements_in_a_batch_ends_them(
    ends: tuple[FarDatabase, FarClient], loopback: Loopback
) -> None:
    database, client = ends
    texts = loopback.sessions.texts
    texts.following.add(b"DEALLOCATE ALL")
    texts.ends_all.add(b"DEALLOCATE ALL")
    client.sends("Parse '' 'DEALLOCATE ALL', Bind, Execute, Parse one 'SELECT 1', Sync")
    database.gets("Parse '' 'DEALLOCATE ALL', Bind, Execute, Parse _forebay_# 'SELECT 1', Sync")
