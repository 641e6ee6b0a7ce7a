"""How a client ends: it says goodbye, vanishes, or is told to go."""

from forebay.protocol import errors
from tests.playbooks import wording
from tests.unit.relay.loopback import Loopback

FAREWELL = errors.admin_shutdown().encode()
RESULT = "Result, Ready I"


class TestGoodbye:
    def test_of_an_idle_client(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Terminate")
        assert client.is_let_go
        reason = "the client requested that the connection close"
        assert loopback.sessions.ended == [(client.peer, reason)]
        assert database.is_idle
        assert loopback.manager.left == []

    def test_behind_a_running_statement_waits_for_its_answer(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'INSERT', Terminate")
        database.gets("Query 'INSERT'")
        assert not client.is_let_go
        database.sends("CommandComplete 'INSERT 0 1', Ready I")
        client.gets("CommandComplete 'INSERT 0 1', Ready I")
        assert client.is_let_go
        assert database.is_idle
        assert loopback.manager.left == []

    def test_behind_a_batch_without_sync_ends_the_connection(self, loopback: Loopback) -> None:
        """A Sync would commit what the client has not ended."""
        database, client = loopback.database(), loopback.client()
        client.sends("Batch 'INSERT', Terminate")
        database.gets("Batch 'INSERT', Terminate")
        database.leaves()
        assert client.is_let_go
        assert database.peer.is_closed

    def test_in_copy_fails_the_copy(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
        client.sends("CopyData x, Terminate")
        database.gets("CopyData x, CopyFail 'client disconnected'")
        assert client.is_let_go
        assert loopback.manager.copies == [database.peer]
        database.sends("Error 57014 'COPY failed', Ready I")
        assert database.is_idle


class TestVanishing:
    def test_in_the_middle_of_a_message_costs_the_connection(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
        client.transmits(wording.encode("CopyData x 300000")[:200_000])
        client.leaves()
        assert database.received().endswith(wording.encode("Terminate"))
        assert database.is_let_go
        assert [server for server, _ in loopback.manager.lost] == [database.peer]

    def test_behind_a_running_statement_is_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        client.leaves()
        assert loopback.manager.left == [(database.peer, True)]
        database.answers("Query 'SELECT 1'", "Error 57014 'canceled', Ready I")
        assert database.is_idle

    def test_behind_goodbye_in_the_queue_does_what_was_asked(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.sends("Query 'INSERT', Terminate")
        client.leaves()
        assert loopback.pool.waiting == 1
        database = loopback.database()
        database.answers("Query 'INSERT'", "CommandComplete 'INSERT 0 1', Ready I")
        assert database.is_idle
        assert client.peer.is_closed

    def test_behind_half_a_message_in_the_queue_ends_with_it(self, loopback: Loopback) -> None:
        """What looks like Terminate is a part of it."""
        client = loopback.client()
        text = wording.encode(f"Query 'SELECT {'x' * 50}'")
        client.transmits(wording.encode("Query 'SELECT 1'") + text[:30] + b"X\0\0\0\4")
        client.leaves()
        assert loopback.pool.waiting == 1
        database = loopback.database()
        assert database.received().startswith(wording.encode("Query 'SELECT 1'"))
        database.sends(RESULT)
        assert client.peer.is_closed

    def test_without_a_word_in_the_queue_does_nothing(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.sends("Query 'INSERT'")
        client.leaves()
        assert loopback.pool.waiting == 0
        loopback.database().gets("")


class TestParting:
    def test_who_vanishes_before_it_has_taken_its_last_word_is_let_go(
        self, loopback: Loopback
    ) -> None:
        client = loopback.client(buffer_bytes=16384)
        client.peer.say(wording.encode("Notice x") * 10_000)
        client.peer.fail(FAREWELL, "it was told to go")
        assert not client.peer.is_closed
        client.leaves()
        assert client.peer.is_closed
        assert len(loopback.sessions.ended) == 1

    def test_an_idle_client_parts_at_once(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.peer.part(FAREWELL)
        client.gets("Fatal 57P01")
        assert client.is_let_go

    def test_a_transaction_ends_first(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.part(FAREWELL)
        client.asks("Query 'SELECT 1'", database, "Result, Ready T")
        client.sends("Query COMMIT")
        database.answers("Query COMMIT", "CommandComplete COMMIT, Ready I")
        client.gets("CommandComplete COMMIT, Ready I, Fatal 57P01")
        assert client.is_let_go
        assert database.is_idle

    def test_half_a_batch_ends_first(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse '' 'SELECT 1', Bind")
        client.peer.part(FAREWELL)
        client.gets("")
        client.sends("Execute, Sync")
        database.answers(
            "Parse '' 'SELECT 1', Bind, Execute, Sync",
            "ParseComplete, BindComplete, CommandComplete 'SELECT 0', Ready I",
        )
        client.gets("ParseComplete, BindComplete, CommandComplete 'SELECT 0', Ready I, Fatal 57P01")

    def test_an_error_is_not_sent_into_half_a_reply(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        row = wording.encode("DataRow x 300000")
        database.transmits(row[:200_000])
        client.peer.fail(FAREWELL, "it was told to go")
        assert client.received() == row[:200_000]
        assert client.is_let_go
