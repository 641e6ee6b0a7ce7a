"""A client whose connection is lost: what is said of the exchange, and how the client goes on.

(What it is told at each point is in the playbooks, lost.playbook.)
"""

import pytest

from forebay.relay import Loss
from forebay.relay.loss import STAYS, STAYS_ABORTED
from forebay.relay.scan.control import BEGINS_BIT, ENDS_BIT, HIDES_BIT, SEVERAL_BIT
from tests.playbooks import wording
from tests.unit.relay.fakes import Settings
from tests.unit.relay.loopback import Loopback

BEGUN = "CommandComplete BEGIN, Ready T"
ABORTS = "Query 'BEGIN; ROLLBACK TO SAVEPOINT _forebay_transaction_lost'"
ABORTED = "CommandComplete BEGIN, Error 3B001 'no such savepoint', Ready E"


def lost_after(loopback: Loopback, *sent: str, status: str = "") -> Loss:
    """What is said of a connection that is lost behind these messages."""
    database, client = loopback.database(), loopback.client()
    if status:
        client.asks("Query BEGIN", database, BEGUN)
    for each in sent:
        client.sends(each)
    database.leaves()
    (loss,) = loopback.sessions.losses
    return loss


class TestWhatIsKnown:
    def test_a_statement(self, loopback: Loopback) -> None:
        loss = lost_after(loopback, "Query 'INSERT 1'")
        assert (loss.sent, loss.unsynced, loss.status) == (True, False, ord("I"))
        assert loss.control & (BEGINS_BIT | ENDS_BIT | HIDES_BIT) == 0
        assert loopback.manager.seen == ["lost"]

    def test_idle_in_a_transaction(self, loopback: Loopback) -> None:
        loss = lost_after(loopback, status="T")
        assert (loss.sent, loss.status, loss.control) == (False, ord("T"), 0)

    @pytest.mark.parametrize(
        "sent", ["Query COMMIT", "Parse '' COMMIT, Bind", "Parse one COMMIT, Bind one, Execute"]
    )
    def test_a_commit(self, loopback: Loopback, sent: str) -> None:
        loss = lost_after(loopback, sent, status="T")
        assert loss.control & ENDS_BIT
        assert not loss.control & HIDES_BIT

    def test_a_portal_of_a_commit_is_known_as_long_as_its_transaction(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, BEGUN)
        client.asks("Parse '' COMMIT, Bind, Sync", database, "ParseComplete, BindComplete, Ready T")
        client.sends("Execute, Sync")
        database.leaves()
        assert loopback.sessions.losses[0].control & ENDS_BIT

    def test_what_is_answered_counts_no_more(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks("Query BEGIN", database, BEGUN)
        client.asks("Query 'SELECT 1; SELECT 2'", database, "Result, Result, Ready T")
        client.sends("Query 'SELECT 1'")
        database.leaves()
        assert not loopback.sessions.losses[0].control & (ENDS_BIT | SEVERAL_BIT)

    def test_a_transaction_that_begins_behind_something_else(self, loopback: Loopback) -> None:
        loss = lost_after(loopback, "Query 'INSERT 1', Query BEGIN")
        assert loss.control & HIDES_BIT

    def test_what_comes_behind_a_rollback_may_be_done(self, loopback: Loopback) -> None:
        loss = lost_after(loopback, "Query ROLLBACK, Query 'INSERT 1'", status="T")
        assert loss.control & ENDS_BIT

    def test_a_long_statement_may_do_anything(self, loopback: Loopback) -> None:
        loss = lost_after(loopback, f"Query '{'x' * 300_000}'")
        assert loss.control & HIDES_BIT

    def test_half_a_row(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query 'SELECT 1'")
        database.transmits(wording.encode("DataRow x 1000")[:500])
        database.leaves()
        assert loopback.sessions.losses[0].half_forwarded
        assert client.is_let_go


class TestStaying:
    def test_it_goes_on_behind_the_error(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.outcome = STAYS
        client.sends("Query 'INSERT 1', Query 'INSERT 2'")
        database.leaves()
        client.gets("Error 08007, Ready I, Error 08007, Ready I")
        client.asks("Query 'SELECT 1'", loopback.database(), "Result, Ready I")

    def test_half_a_message_of_its_own_is_dropped(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.outcome = STAYS
        long = wording.encode(f"Query '{'x' * 100_000}'")
        client.transmits(long[:90_000])
        database.leaves()
        client.gets("Error 08007, Ready I")
        client.transmits(long[90_000:])
        client.asks("Query 'SELECT 1'", loopback.database(), "Result, Ready I")

    def test_in_a_transaction_that_can_only_be_ended(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.outcome = STAYS_ABORTED
        client.asks("Query BEGIN", database, BEGUN)
        client.sends("Query 'INSERT 1'")
        database.leaves()
        client.gets("Error 08007, Ready E")
        assert client.peer.aborted
        client.sends("Query 'INSERT 2'")
        other = loopback.database()
        other.gets(ABORTS)
        client.gets("")
        other.sends(ABORTED)
        other.answers("Query 'INSERT 2'", "Error 25P02 aborted, Ready E")
        client.gets("Error 25P02 aborted, Ready E")
        client.asks("Query ROLLBACK", other, "CommandComplete ROLLBACK, Ready I")
        assert not client.peer.aborted
        assert other.is_idle

    def test_its_settings_come_first(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client(Settings("mine"))
        loopback.sessions.outcome = STAYS_ABORTED
        client.sends("Query BEGIN")
        database.changes_to("mine", "Query BEGIN")
        database.leaves()
        client.gets("Error 08007, Ready E")
        client.sends("Query 'INSERT 2'")
        other = loopback.database()
        other.answers("Query 'CHANGE mine'", "Result, Ready I")
        other.answers(ABORTS, ABORTED)
        other.gets("Query 'INSERT 2'")

    def test_who_leaves_meanwhile_leaves_a_clean_connection(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.outcome = STAYS_ABORTED
        client.asks("Query BEGIN", database, BEGUN)
        database.leaves()
        client.sends("Query 'INSERT 1', Query 'INSERT 2'")
        client.gets("Error 08007, Ready E")
        other = loopback.database()
        other.gets(ABORTS)
        client.leaves()
        other.sends(ABORTED)
        other.answers("Query ROLLBACK", "CommandComplete ROLLBACK, Ready I")
        assert other.is_idle


class TestCut:
    def test_nothing_of_it_reaches_the_client(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        loopback.sessions.outcome = STAYS
        client.sends("Query 'INSERT 1'")
        database.transmits(wording.encode("CommandComplete 'INSERT 0 1'")[:-3])
        database.actor.sock.send(wording.encode("Bytes 00, Ready I"))  # not read yet
        database.peer.cut("another server is the writer")
        client.gets("Error 08007, Ready I")
        assert loopback.manager.seen == []
        assert loopback.manager.lost == [(database.peer, "another server is the writer")]
        database.gets("Query 'INSERT 1'")  # no Terminate
        assert database.is_let_go

    def test_nor_what_has_not_left_for_it(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client(buffer_bytes=4096)
        client.sends("Query 'SELECT 1'")
        database.transmits(wording.encode("DataRow x 20000"))
        assert client.peer.queued_bytes
        database.peer.cut("another server is the writer")
        got = client.received()
        assert len(got) < 20_000
        assert client.is_let_go

    def test_is_done_once(self, loopback: Loopback) -> None:
        database = loopback.database()
        database.peer.cut("first")
        database.peer.cut("second")
        assert loopback.manager.lost == [(database.peer, "first")]
