"""An established client: what the relay and Python ask of it."""

import pytest

from forebay.protocol import errors
from forebay.protocol.messages import query
from forebay.relay.scan.names import FunctionNames
from tests.playbooks import wording
from tests.unit.relay.loopback import Loopback

RESULT = "Result, Ready I"
ERROR = wording.encode("Error 53300 'too many'")
FATAL = errors.borrow_timed_out().encode()


class TestBeginning:
    def test_it_is_greeted_before_what_it_has_sent_is_answered(self, loopback: Loopback) -> None:
        loopback.sessions.greeting = wording.encode("ParameterStatus a 1, Ready I")
        client = loopback.client(early=wording.encode("Sync"))
        client.gets("ParameterStatus a 1, Ready I, Ready I")

    def test_it_learns_its_parameters_of_an_idle_connection(self, loopback: Loopback) -> None:
        database = loopback.database()
        client = loopback.client(parameters=None)
        assert client.peer.greeted
        assert client.peer.parameters is database.peer.parameters
        assert database.is_idle

    def test_what_it_sends_before_its_greeting_is_held(self, loopback: Loopback) -> None:
        query = wording.encode("Query 'SELECT 1'")
        client = loopback.client(parameters=None, early=query[:7])
        client.transmits(query[7:])
        database = loopback.database()
        database.answers("Query 'SELECT 1'", RESULT)
        client.gets(RESULT)

    def test_it_may_be_told_to_part_before_its_greeting(self, loopback: Loopback) -> None:
        client = loopback.client(parameters=None)
        client.peer.part(FATAL)
        client.gets("")
        loopback.database()
        assert client.received() == FATAL
        assert client.is_let_go


class TestRefusing:
    def test_a_query_is_answered_in_its_place(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.sends("Query 'SELECT 1', Query 'SELECT 2'")
        client.peer.refuse(ERROR)
        client.gets("Error 53300 'too many', Ready I")
        assert client.peer.is_waiting  # for the second
        loopback.database().gets("Query 'SELECT 2'")

    def test_a_batch_is_skipped_to_its_sync(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.sends("Parse '' 'SELECT 1', Bind, Execute, Sync, Sync")
        client.peer.refuse(ERROR)
        client.gets("Error 53300 'too many', Ready I, Ready I")
        assert loopback.pool.waiting == 0

    def test_a_batch_that_is_not_whole_is_skipped_as_it_comes(self, loopback: Loopback) -> None:
        database, other = loopback.database(), loopback.client()
        client = loopback.client()
        other.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.sends("Parse '' 'SELECT 1', Bind")
        client.peer.refuse(ERROR)
        client.gets("Error 53300 'too many'")
        client.sends("Execute, Query 'SELECT 1', Sync")
        client.gets("Ready I")
        database.gets("")

    def test_who_waits_for_its_greeting_is_ended(self, loopback: Loopback) -> None:
        client = loopback.client(parameters=None)
        client.peer.refuse(FATAL)
        assert client.received() == FATAL
        assert client.is_let_go
        assert loopback.sessions.ended == [(client.peer, "it could not be served")]

    def test_who_is_to_part_does(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.sends("Query 'SELECT 1'")
        client.peer.part(FATAL)
        client.gets("")
        client.peer.refuse(ERROR)
        assert client.received() == ERROR + wording.encode("Ready I") + FATAL
        assert client.is_let_go

    def test_who_does_not_wait_is_not_refused(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.peer.refuse(ERROR)
        client.gets("")
        client.asks("Query 'SELECT 1'", database, RESULT)


class TestWhatItIsDoing:
    def test_idle(self, loopback: Loopback) -> None:
        peer = loopback.client().peer
        assert (peer.is_busy, peer.is_stalled, peer.is_waiting) == (False, False, False)

    def test_waiting_for_a_connection(self, loopback: Loopback) -> None:
        client = loopback.client()
        client.sends("Query 'SELECT 1'")
        assert (client.peer.is_busy, client.peer.is_stalled) == (True, False)
        assert client.peer.is_waiting

    def test_waiting_for_an_answer(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        assert (client.peer.is_busy, client.peer.is_stalled) == (True, False)
        database.sends(RESULT)
        client.gets(RESULT)
        assert not client.peer.is_busy

    def test_half_a_request_is_not_waited_for(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        text = query(f"SELECT {'1 + ' * 50_000}1")
        client.transmits(text[:100_000])
        assert (client.peer.is_busy, client.peer.is_stalled) == (False, True)
        database.received()
        client.transmits(text[100_000:])
        assert client.peer.is_busy

    def test_a_flush_is_waited_for(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse '' 'SELECT 1'")
        assert not client.peer.is_busy
        client.sends("Flush")
        assert client.peer.is_busy
        database.sends("ParseComplete")
        assert not client.peer.is_busy

    def test_a_database_that_does_not_take_what_is_sent_is_waited_for(
        self, loopback: Loopback
    ) -> None:
        database = loopback.database(buffer_bytes=16384)
        client = loopback.client(buffer_bytes=16384)
        client.asks("Query 'COPY t FROM STDIN'", database, "CopyInResponse")
        with pytest.raises(AssertionError, match="not taken"):
            client.transmits(wording.encode("CopyData x 30000") * 100)
        assert (client.peer.is_busy, client.peer.is_stalled) == (True, False)

    def test_who_does_not_take_its_result_is_stalled(self, loopback: Loopback) -> None:
        database = loopback.database(buffer_bytes=16384)
        client = loopback.client(buffer_bytes=16384)
        client.sends("Query 'SELECT 1'")
        with pytest.raises(AssertionError, match="not taken"):
            database.transmits(wording.encode("DataRow x 30000") * 100)
        assert (client.peer.is_busy, client.peer.is_stalled) == (False, True)
        before = client.peer.last_progress
        assert client.actor.sock.recv(1 << 20)  # a part of what there is
        client.settle()
        assert client.peer.is_stalled
        assert client.peer.last_progress > before

    def test_stalled_within_a_message_a_batch_or_a_copy(self, loopback: Loopback) -> None:
        for begins, answer in (
            (wording.encode("Query 'SELECT 1'")[:8], ""),
            (wording.encode("Parse '' 'SELECT 1'"), "ParseComplete"),
            (wording.encode("Query 'COPY t FROM STDIN'"), "CopyInResponse"),
        ):
            database, client = loopback.database(), loopback.client()
            client.transmits(begins)
            database.sends(answer)
            assert (client.peer.is_busy, client.peer.is_stalled) == (False, True)


class TestItsStatements:
    def test_are_listed_by_name(self, loopback: Loopback) -> None:
        loopback.database()
        client = loopback.client()
        assert client.peer.statements is None
        client.sends("Parse one 'SELECT 1', Parse two 'SELECT 2', Close S one, Sync")
        make = loopback.sessions.texts.make
        assert client.peer.statements == {b"two": make(b"SELECT 2")}

    def test_of_which_one_may_be_no_longer_harmless(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks(
            "Parse '' 'SELECT lower(x)', Bind, Sync",
            database,
            "ParseComplete, BindComplete, Ready I",
        )
        assert loopback.sessions.texts.told == []
        client.peer.look_for(FunctionNames([b"lower"]))
        client.sends("Bind, Sync")
        assert loopback.sessions.texts.of("binds") == [b"SELECT lower(x)"]

    def test_can_be_given_another_meaning_or_none(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Parse one 'SELECT 1', Parse two 'SELECT 2', Sync")
        database.received()
        database.sends("ParseComplete, ParseComplete, Ready I")
        client.peer.redefine(b"one", None)
        three = loopback.sessions.texts.make(b"SELECT 3")
        client.peer.redefine(b"two", three)
        assert client.peer.statements == {b"two": three}
        client.sends("Bind two, Sync")
        database.gets("Parse _forebay_# 'SELECT 3', Bind _forebay_#, Sync")


def test_dropping_leaves_at_once_whatever_was_to_be_sent(loopback: Loopback) -> None:
    client = loopback.client()
    client.peer.drop()
    assert client.is_let_go
    assert client.peer.is_closed
    assert loopback.sessions.ended == []


def test_a_note_on_what_drops_all_statements_makes_them_doubtful(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
    loopback.sessions.texts.ends_all.add(b"DEALLOCATE ALL")
    client.sends("Query 'DEALLOCATE ALL', Bind one, Sync")
    database.gets("Query 'DEALLOCATE ALL'")  # the rest waits for the answer
    database.sends("CommandComplete 'DEALLOCATE ALL', Ready I")
    database.answers("Query 'what does the session hold?'", "HoldsNothing, Ready I")
    database.gets("Describe S _forebay_0, Sync")
