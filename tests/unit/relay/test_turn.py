"""A client's turns: what follows one, how it ends, and when the connection lets go."""

from forebay.protocol.messages import query
from tests.playbooks import wording
from tests.unit.relay.fakes import AUDIT, Notes, Settings
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"
HOLDS_NOTHING = "HoldsNothing, Ready I"
SUCCESS = "CommandComplete SET, Ready I"
AUDITED = f"Query '{AUDIT.decode()}'"


class TestTheEnd:
    def test_a_transaction_keeps_the_connection(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        for status in "TE":
            client.asks("Query 'SELECT 1'", database, f"Result, Ready {status}")
            assert database.serves(client)
        client.asks("Query ROLLBACK", database, "CommandComplete ROLLBACK, Ready I")
        assert database.is_idle
        assert loopback.pool.tally.transactions == 1

    def test_a_pinned_client_keeps_it_too(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.set_pinned(True)
        client.asks("Query 'SELECT 1'", database, RESULT)
        assert database.serves(client)

    def test_the_database_is_asked_what_a_suspect_session_holds(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SET x = 1'", database, SUCCESS)
        assert database.serves(client)
        client.sends("Query 'SELECT 1'")  # waits for the answer
        database.answers(AUDITED, HOLDS_NOTHING)
        database.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)
        assert database.is_idle

    def test_what_holds_something_stays(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'LISTEN news'", database, "CommandComplete LISTEN, Ready I")
        database.answers(AUDITED, "Holds LISTEN, Ready I")
        assert database.serves(client)
        client.asks("Query 'SELECT 1'", database, RESULT)
        # It is pinned, so it is asked again whenever something may have changed.
        assert loopback.sessions.auditor.commands[0].rows

    def test_a_client_that_goes_while_its_session_is_asked_leaves_it_dirty(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SET x = 1'", database, SUCCESS)
        client.leaves()
        database.answers(AUDITED, HOLDS_NOTHING)
        database.answers("Query 'DISCARD ALL'", "CommandComplete 'DISCARD ALL', Ready I")
        assert database.is_idle

    def test_settings_that_the_answer_has_changed_are_put_in_place(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SET x = 1'", database, SUCCESS)
        client.peer.settings = Settings("again")
        client.peer.set_pinned(True)
        database.answers(AUDITED, HOLDS_NOTHING)
        database.answers("Query 'CHANGE again'", "CommandComplete SET, Ready I")
        assert database.peer.settings is client.peer.settings


class TestWhatFollows:
    """Of a Query for outside a transaction block, and one for in it, the fitting one is sent, and
    the client hears only behind it that its turn is over."""

    FOLLOW_UP = (query("SET outside"), query("SET inside"))

    def test_it_follows_success(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.follow_up = self.FOLLOW_UP
        client.sends("Query 'RESET ALL'")
        database.answers("Query 'RESET ALL'", "CommandComplete RESET, Ready T")
        client.gets("CommandComplete RESET")
        client.sends("Query 'SELECT 1'")  # waits
        database.answers("Query 'SET inside'", "CommandComplete SET, Ready T")
        client.gets("Ready T")
        database.gets("Query 'SELECT 1'")

    def test_nothing_follows_failure(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.notes = notes = Notes({"work_mem": "1MB"})
        client.peer.follow_up = self.FOLLOW_UP
        client.sends("Query 'RESET ALL'")
        database.answers("Query 'RESET ALL'", "Error 42601 no, Ready I")
        client.gets("Error 42601 no, Ready I")
        database.answers(AUDITED, HOLDS_NOTHING)
        assert notes.restored == {}
        assert database.is_idle

    def test_nothing_follows_what_is_skipped(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.notes = notes = Notes({"work_mem": "1MB"})
        client.sends("Parse '' nonsense")
        database.answers("Parse '' nonsense", "Error 42601 no")
        client.gets("Error 42601 no")
        client.peer.follow_up = self.FOLLOW_UP
        client.sends("Bind, Execute, Query 'RESET ALL', Sync")
        database.answers("Bind, Execute, Query 'RESET ALL', Sync", "Ready I")
        client.gets("Ready I")
        assert notes.restored == {}

    def test_nothing_may_be_to_follow_in_a_block(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.follow_up = (query("SET outside"), b"")
        client.asks("Query 'RESET ALL'", database, "CommandComplete RESET, Ready T")
        database.gets("")

    def test_behind_pipelined_statements_its_turn_is_waited_for(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        client.peer.follow_up = self.FOLLOW_UP
        client.sends("Query 'RESET ALL'")
        database.answers("Query 'SELECT 1', Query 'RESET ALL'", RESULT)
        client.gets(RESULT)
        database.sends("CommandComplete RESET, Ready I")
        database.gets("Query 'SET outside'")

    def test_the_client_hears_of_its_parameters_once(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.follow_up = self.FOLLOW_UP
        client.sends("Query 'RESET ALL'")
        database.gets("Query 'RESET ALL'")
        database.sends("ParameterStatus a 1, ParameterStatus b 1, CommandComplete RESET, Ready I")
        database.gets("Query 'SET outside'")
        database.sends("ParameterStatus a 2, CommandComplete SET, Ready I")
        client.gets("CommandComplete RESET, ParameterStatus a 2, ParameterStatus b 1, Ready I")
        database.answers(AUDITED, HOLDS_NOTHING)
        assert database.is_idle


def test_copy_data_behind_an_error_goes_where_it_has_begun_to_go(loopback: Loopback) -> None:
    """Nothing is owed for it."""
    database, client = loopback.database(), loopback.client()
    client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
    data = wording.encode("CopyData x 200000")
    client.transmits(data[:100_000])
    assert database.received() == data[:100_000]
    database.sends("Error 22P04 'bad data', Ready I")
    client.gets("Error 22P04 'bad data', Ready I")
    assert database.serves(client)
    client.transmits(data[100_000:])
    assert database.received() == data[100_000:]
    assert database.is_idle


def test_half_a_message_keeps_the_connection(loopback: Loopback) -> None:
    """Its beginning has gone there."""
    database, client = loopback.database(), loopback.client()
    text = query(f"SELECT {'1 + ' * 50_000}1")
    client.transmits(wording.encode("Query 'SELECT 1'") + text[:100_000])
    assert database.received() == wording.encode("Query 'SELECT 1'") + text[:100_000]
    database.sends(RESULT)
    client.gets(RESULT)
    assert database.serves(client)
    client.transmits(text[100_000:])
    assert database.received() == text[100_000:]
    database.sends(RESULT)
    client.gets(RESULT)
    assert database.is_idle
