"""What a connection has prepared, and what hangs on messages to it that are unanswered."""

from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

PREPARES = "Parse _forebay_# 'SELECT 1', Sync"
DONE = "ParseComplete, Ready I"


def prepared(loopback: Loopback) -> tuple[FarDatabase, FarClient]:
    """A client that has prepared SELECT 1 as `one`."""
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers(PREPARES, DONE)
    client.gets(DONE)
    return database, client


class TestBelief:
    def test_what_was_answered_is_there(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        client.sends("Bind one, Sync")
        database.gets("Bind _forebay_#, Sync")

    def test_what_was_skipped_is_not(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        database.peer.stale = True  # so it is prepared again
        client.sends("Query 'SELECT 0'")
        database.received()
        database.sends("Changed, Result, Ready I")
        client.sends("Parse '' nonsense, Bind one, Sync")
        database.answers(
            "Parse '' nonsense, Parse _forebay_# 'SELECT 1', Bind _forebay_#, Sync",
            "Error 42601 'syntax error', Ready I",
        )
        client.sends("Bind one, Sync")
        database.gets("Parse _forebay_# 'SELECT 1', Bind _forebay_#, Sync")

    def test_what_is_not_answered_yet_is_not_guessed_in_a_later_batch(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync, Bind one, Sync")
        database.gets(PREPARES)
        database.sends("ParseComplete")
        database.gets("Bind _forebay_#, Sync")

    def test_in_its_own_batch_it_is(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Bind one, Bind one, Sync")
        database.gets("Parse _forebay_# 'SELECT 1', Bind _forebay_#, Bind _forebay_#, Sync")

    def test_an_unnamed_statement_that_failed_leaves_none(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Parse '' 'SELECT 1', Sync", database, DONE)
        client.asks("Parse '' nonsense, Sync", database, "Error 42601 'syntax error', Ready I")
        client.sends("Bind, Sync")
        database.gets("Describe S _forebay_0, Sync")


class TestErrors:
    def test_they_name_what_the_client_has_called_it(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        name = loopback.sessions.texts.make(b"SELECT 1").known.name.decode()
        client.sends("Parse two 'SELECT 1', Bind one, Bind two, Sync")
        database.gets(f"Bind {name}, Bind {name}, Sync")
        database.sends(f"BindComplete, Error 08P01 'statement \"{name}\" requires 1', Ready I")
        client.gets(
            "ParseComplete, BindComplete, Error 08P01 'statement \"two\" requires 1', Ready I"
        )

    def test_name_a_statement_that_only_one_client_has_by_its_name(
        self, loopback: Loopback
    ) -> None:
        """Whatever message they come for."""
        database, client = prepared(loopback)
        name = loopback.sessions.texts.make(b"SELECT 1").known.name.decode()
        client.sends("Query 'SELECT 1'")
        database.sends(f"Error XX000 'not \"{name}\" now', Ready I")
        client.gets("Error XX000 'not \"one\" now', Ready I")

    def test_of_others_statements_are_passed_on(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        client.sends("Query 'SELECT 1'")
        database.sends("Error XX000 'not \"_forebay_99\" now', Ready I")
        client.gets("Error XX000 'not \"_forebay_99\" now', Ready I")

    def test_that_a_statement_is_gone_make_the_connection_stale(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        name = loopback.sessions.texts.make(b"SELECT 1").known.name.decode()
        client.sends("Bind one, Sync")
        database.sends(f"Error 26000 'prepared statement \"{name}\" does not exist', Ready I")
        client.gets("Error 26000 'prepared statement \"one\" does not exist', Ready I")
        assert database.peer.stale


class TestProofs:
    """What one client has had accepted is known to be accepted of others."""

    def test_who_prepares_the_same_waits_for_no_connection(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        other = loopback.client()
        other.sends("Parse two 'SELECT 1', Sync")
        other.gets(DONE)
        other.sends("Parse three 'SELECT 3', Sync")
        assert other.peer.is_waiting

    def test_not_once_the_schema_has_changed(self, loopback: Loopback) -> None:
        database, client = prepared(loopback)
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        loopback.manager.schema_changed(loopback.pool)
        other = loopback.client()
        other.sends("Parse two 'SELECT 1', Sync")
        other.gets("")
        assert other.peer.is_waiting

    def test_what_comes_in_a_transaction_proves_nothing(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Parse one 'SELECT 1', Sync")
        database.answers(PREPARES, "ParseComplete, Ready T")
        other = loopback.client()
        other.sends("Parse two 'SELECT 1', Sync")
        assert other.peer.is_waiting

    def test_the_types_that_the_database_has_found_are_proven_too(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT $1', Sync")
        database.answers(
            "Parse _forebay_# 'SELECT $1', Describe S _forebay_#, Sync",
            "ParseComplete, ParameterDescription 23, RowDescription a, Ready I",
        )
        client.gets(DONE)
        other = loopback.client()
        other.sends("Parse two 'SELECT $1', Sync")
        other.gets(DONE)
        database.gets("")
