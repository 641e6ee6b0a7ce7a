"""What a database connection sends: what is passed on, and what is not believed."""

import pytest

from forebay.protocol import errors
from forebay.protocol.messages import message
from forebay.relay.loss import STAYS
from tests.playbooks import wording
from tests.unit.relay.fakes import as_parameters
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
        assert client.received().endswith(errors.server_lost(reason).encode())

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
        database.sends("Fatal 25P03 'terminating connection'")
        client.gets("Fatal 25P03 'terminating connection'")
        assert client.is_let_go
        assert not loopback.sessions.losses
        assert loopback.manager.seen == []
        assert [server for server, _ in loopback.manager.lost] == [database.peer]

    @pytest.mark.parametrize(
        ("sqlstate", "kind"),
        [("57P01", "terminated"), ("57P02", "crashed"), ("57P03", "starting")],
    )
    def test_a_server_that_ends_its_connections_is_no_client_s_end(
        self, loopback: Loopback, sqlstate: str, kind: str
    ) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.outcome = STAYS
        client.sends("Query 'SELECT 1'")
        database.sends(f"Fatal {sqlstate} 'terminating connection'")
        client.gets("Error 08007, Ready I")
        assert not client.is_let_go
        word = loopback.sessions.losses[0].word
        assert word == wording.encode(f"Fatal {sqlstate} 'terminating connection'")[5:]
        assert loopback.manager.seen == [kind]
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


class TestCancelRequestsThatNoClientHasAskedFor:
    """They may arrive when what they are about is answered: they must hit nothing else."""

    def test_the_same_client_s_next_request_waits(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Query 'SELECT 1'")
        database.peer.timeouts_in_flight += 2
        database.answers("Query 'SELECT 1'", "Result, Ready T")
        client.gets("Result, Ready T")
        client.sends("Query 'SELECT 2'")
        database.gets("")
        database.peer.timeout_finished()
        database.gets("")
        database.peer.timeout_finished()
        database.answers("Query 'SELECT 2'", "Result, Ready T")
        client.gets("Result, Ready T")

    def test_what_belongs_to_the_cancelled_one_does_not(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse '' 'SELECT 1', Bind, Execute")
        database.gets("Parse '' 'SELECT 1', Bind, Execute")
        database.peer.timeouts_in_flight += 1
        client.sends("Sync, Query 'SELECT 2'")
        database.gets("Sync, Query 'SELECT 2'")
        database.peer.timeout_finished()

    def test_who_waits_so_and_leaves(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        database.peer.timeouts_in_flight += 1
        client.sends("Query 'SELECT 2'")
        client.leaves()
        database.answers("Query ROLLBACK", "CommandComplete ROLLBACK, Ready I")
        database.peer.timeout_finished()
        assert database.is_idle

    def test_who_waits_so_and_loses_the_connection(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        database.peer.timeouts_in_flight += 1
        client.sends("Query 'SELECT 2'")
        database.leaves()
        assert client.received().startswith(b"E")
        database.peer.timeout_finished()
