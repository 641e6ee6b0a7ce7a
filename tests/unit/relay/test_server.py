"""What a database connection sends: what is passed on, what is noted, what is not believed."""

import pytest

from forebay.protocol.messages import message
from tests.playbooks import wording
from tests.unit.relay.fakes import PARAMETERS, as_parameters
from tests.unit.relay.loopback import BACKEND_PID, Loopback

RESULT = "Result, Ready I"


class TestNonsense:
    @pytest.mark.parametrize(
        "answer",
        [
            "ParseComplete",
            "RowDescription, Bytes 5a0000000558",  # ReadyForQuery with an unknown status
            "RowDescription, Bytes 4400000001",  # a length that counts less than itself
            "Bytes 2300000004",
            "BindComplete",
            "ParameterDescription",
        ],
    )
    def test_an_unexpected_message_closes_the_connection(
        self, loopback: Loopback, answer: str
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.answers("Query 'SELECT 1'", answer)
        database.gets("Terminate")
        assert database.is_let_go
        (_, reason), *_ = loopback.manager.lost
        assert reason.startswith("the database sent an unexpected message (type ")
        assert client.received().endswith(loopback.sessions.server_lost(client.peer, reason))

    def test_a_row_while_nothing_is_owed_too(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.sends("DataRow x")
        database.gets("Terminate")

    def test_a_parameter_that_cannot_be_read_too(self, loopback: Loopback) -> None:
        database = loopback.database()
        loopback.changeover.unreadable = True
        database.sends("ParameterStatus a 1")
        database.gets("Terminate")


class TestReplies:
    def test_they_are_passed_on_before_they_are_whole(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        row = wording.encode("DataRow x 300000")
        database.transmits(row[:100_000])
        assert client.received() == row[:100_000]
        database.transmits(row[100_000:] + wording.encode("CommandComplete 'SELECT 1', Ready I"))
        assert client.received() == row[100_000:] + wording.encode(
            "CommandComplete 'SELECT 1', Ready I"
        )
        assert database.is_idle

    @pytest.mark.parametrize("at", [3, 6, 30, -2])
    def test_in_any_two_parts(self, loopback: Loopback, at: int) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        answer = wording.encode(RESULT)
        database.transmits(answer[:at])
        database.transmits(answer[at:])
        client.gets(RESULT)
        assert database.is_idle

    def test_notices_while_idle_are_nobodys(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        database.sends("Notice hello, Notification news")
        client.asks("Query 'SELECT 1'", database, RESULT)

    def test_what_came_behind_the_opening_is_read(self, loopback: Loopback) -> None:
        database = loopback.database(early=wording.encode("ParameterStatus a 1"))
        assert as_parameters(database.peer.parameters).values["a"] == "1"


class TestParameters:
    def test_a_change_is_noted_and_passed_on(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SELECT change_it()'", database, f"ParameterStatus a 1, {RESULT}")
        assert as_parameters(database.peer.parameters).values == {**PARAMETERS.values, "a": "1"}

    def test_a_change_makes_its_client_suspect(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query 'SELECT 1'", database, f"ParameterStatus a 1, {RESULT}")
        database.gets("Query 'what does the session hold?'")

    def test_a_change_of_how_names_and_literals_mean_is_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.sends("ParameterStatus DateStyle ISO")
        assert loopback.sessions.texts.told == [("undone", b"")]
        database.sends("ParameterStatus a 1")
        assert loopback.sessions.texts.told == [("undone", b"")]

    def test_how_texts_are_read_may_change_for_a_transaction_alone(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Query 'SELECT 1'")
        database.sends("ParameterStatus standard_conforming_strings off, Result, Ready T")
        assert client.peer.suspect


class TestNotifications:
    def test_of_the_clients_own_name_it_as_it_was_told(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.set_pinned(True)
        client.asks("Query 'SELECT 1'", database, RESULT)
        for pid, told in ((BACKEND_PID + 1, client.peer.process_id), (7, 7)):
            database.transmits(message(b"A", pid.to_bytes(4, "big") + b"news\0\0"))
            assert client.received() == message(b"A", told.to_bytes(4, "big") + b"news\0\0")


class TestClientsThatAreGone:
    def test_a_copy_that_begins_is_failed(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'COPY t FROM STDIN'")
        client.leaves()
        database.answers("Query 'COPY t FROM STDIN'", "CopyInResponse")
        database.answers("CopyFail 'client disconnected'", "Error 57014 failed, Ready I")
        assert database.is_idle

    def test_so_is_one_of_who_has_said_goodbye(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'COPY t FROM STDIN', Terminate")
        database.answers("Query 'COPY t FROM STDIN'", "CopyInResponse")
        database.gets("CopyFail 'client disconnected'")

    def test_a_client_that_becomes_suspect_while_it_does_nothing_is_asked_about(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.set_pinned(True)
        client.asks("Sync", database, "Ready I")
        database.peer.look_again()
        database.gets("")
        client.peer.suspect = True
        database.peer.look_again()
        database.gets("Query 'what does the session hold?'")


class TestTheEnd:
    def test_a_fatal_error_is_the_clients_last_word(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.sends("Fatal 57P01 'terminating connection'")
        client.gets("Fatal 57P01 'terminating connection'")
        assert client.is_let_go
        assert [server for server, _ in loopback.manager.lost] == [database.peer]

    def test_of_an_idle_connection_is_the_managers(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.sends("Fatal 57P01 'terminating connection'")
        said = wording.encode("Fatal 57P01 'terminating connection'")
        assert loopback.manager.last_words == [said[5:]]
        assert database.is_let_go

    def test_a_connection_that_closes_leaves_its_pool(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.leaves()
        assert loopback.pool.idle == []
        assert loopback.pool.size == 0


class TestTags:
    def test_what_alters_the_schema_counts_when_it_is_committed(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.asks("Query 'ALTER'", database, "CommandComplete 'ALTER TABLE', Ready T")
        assert loopback.manager.changes == 0
        client.asks("Query COMMIT", database, "CommandComplete COMMIT, Ready I")
        assert loopback.manager.changes == 1

    @pytest.mark.parametrize("temporary", [False, True])
    def test_temporary_tables_alter_nothing_for_others(
        self, loopback: Loopback, temporary: bool
    ) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.pinner.temporary = temporary
        client.asks("Query CREATE", database, "CommandComplete 'CREATE TABLE', Ready I")
        assert loopback.manager.changes == (0 if temporary else 1)

    def test_a_result_that_has_changed_tells_of_the_schema(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        error = "Error 0A000 'cached plan must not change result type' RevalidateCachedQuery"
        client.asks("Query 'EXECUTE x'", database, f"{error}, Ready I")
        assert loopback.manager.changes == 1

    @pytest.mark.parametrize(("tag", "undone"), [("COMMIT", 1), ("ROLLBACK", 1), ("SELECT 1", 0)])
    def test_what_was_changed_in_a_transaction_ends_with_it(
        self, loopback: Loopback, tag: str, undone: int
    ) -> None:
        """Though the transaction goes on behind COMMIT AND CHAIN, say."""
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.peer.meanwhile = (object(),)
        client.asks("Query 'SELECT 1'", database, f"CommandComplete '{tag}', Ready T")
        assert len(loopback.sessions.texts.of("undone")) == undone

    def test_discard_all_ends_what_was_prepared(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Sync")
        database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
        client.received()
        assert client.peer.statements
        client.asks("Query 'DISCARD ALL'", database, "CommandComplete 'DISCARD ALL', Ready I")
        assert not client.peer.statements
