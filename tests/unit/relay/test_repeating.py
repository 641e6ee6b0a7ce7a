"""A write that is refused with 25006 is sent again, unless the client has asked for that itself; so
is a BEGIN that is lost with its connection."""

import pytest

from forebay.relay.loss import WAITS
from tests.playbooks import wording
from tests.unit.relay.fakes import Settings
from tests.unit.relay.loopback import FarClient, Loopback

INSERT = "Query 'INSERT 1'"
BEGUN = "CommandComplete BEGIN, Ready T"
DONE = "CommandComplete 'INSERT 0 1', Ready I"
READ_ONLY = "Error 25006 'cannot execute INSERT in a read-only transaction'"
REFUSED = f"{READ_ONLY}, Ready I"
ASKS = "Query 'WRITES?'"
NEVER = "RowDescription, DataRow f, CommandComplete 'SELECT 1', Ready I"
BATCH = "Parse '' 'INSERT 1', Bind, Describe P, Execute, Sync"
BATCH_REFUSED = f"ParseComplete, BindComplete, NoData, {READ_ONLY}, Ready I"
BATCH_DONE = f"ParseComplete, BindComplete, NoData, {DONE}"


def keeping(loopback: Loopback) -> FarClient:
    """A client whose requests may be sent again."""
    client = loopback.client()
    client.peer.keeps_requests = True
    return client


class TestEverybodyIsRefused:
    @pytest.mark.parametrize(
        ("request_", "refused", "done"),
        [(INSERT, REFUSED, DONE), (BATCH, BATCH_REFUSED, BATCH_DONE)],
        ids=["simple", "extended"],
    )
    @pytest.mark.parametrize("step", [0, 1, 7])
    def test_it_is_sent_again(
        self, loopback: Loopback, request_: str, refused: str, done: str, step: int
    ) -> None:
        database, client = loopback.database(), keeping(loopback)
        data = wording.encode(request_)
        for at in range(0, len(data), step or len(data)):
            client.transmits(data[at : at + (step or len(data))])
        database.answers(request_, refused)
        client.gets("")
        assert client.peer.is_busy
        database.answers(ASKS, NEVER)
        client.gets("")
        assert client.peer.is_waiting
        loopback.database().answers(request_, done)
        client.gets(done)
        assert loopback.sessions.asked_to_repeat == [b"INSERT 1"]
        assert loopback.sessions.repeated == 1
        assert loopback.manager.seen == []
        client.leaves()

    def test_what_was_sent_behind_it_follows(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(INSERT)
        database.gets(INSERT)
        database.sends(READ_ONLY)
        client.sends("Query 'SELECT 2'")
        database.sends("Ready I")
        database.answers(ASKS, NEVER)
        other = loopback.database()
        other.gets(f"{INSERT}, Query 'SELECT 2'")
        other.sends(f"{DONE}, Result, Ready I")
        client.gets(f"{DONE}, Result, Ready I")

    def test_a_name_is_given_once(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends("Parse one 'INSERT 1', Bind one, Execute, Sync")
        database.received()
        database.sends(f"ParseComplete, BindComplete, {REFUSED}")
        client.gets("ParseComplete")
        database.answers(ASKS, NEVER)
        other = loopback.database()
        assert b"INSERT 1" in other.received()
        other.sends(f"ParseComplete, BindComplete, {DONE}")
        client.gets(f"BindComplete, {DONE}")
        client.sends("Bind one, Execute, Sync")
        other.received()
        other.sends(f"BindComplete, {DONE}")
        client.gets(f"BindComplete, {DONE}")

    def test_so_is_what_is_bound_by_name(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends("Parse one 'INSERT 1', Bind one, Execute, Sync")
        database.received()
        database.sends(f"ParseComplete, BindComplete, {DONE}")
        client.received()
        client.sends("Bind one, Execute, Sync")
        database.received()
        database.sends(f"BindComplete, {REFUSED}")
        client.gets("")
        database.answers(ASKS, NEVER)
        other = loopback.database()
        assert b"INSERT 1" in other.received()
        other.sends(f"ParseComplete, BindComplete, {DONE}")
        client.gets(f"BindComplete, {DONE}")

    def test_a_connection_that_is_lost_meanwhile_is_another_reason(
        self, loopback: Loopback
    ) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(INSERT)
        database.answers(INSERT, REFUSED)
        database.gets(ASKS)
        database.leaves()
        client.gets("")
        loopback.database().answers(INSERT, DONE)
        client.gets(DONE)

    def test_before_it_was_asked_too(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(INSERT)
        database.answers(INSERT, READ_ONLY)
        database.peer.cut("another server writes by now")
        client.gets("")
        loopback.database().answers(INSERT, DONE)
        client.gets(DONE)

    @pytest.mark.parametrize("answers", ["", "Ready I"])
    def test_a_client_that_goes_is_waited_for_by_nobody(
        self, loopback: Loopback, answers: str
    ) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(INSERT)
        database.answers(INSERT, READ_ONLY)
        database.sends(answers)
        client.leaves()
        if answers:
            database.answers(ASKS, NEVER)
        else:
            database.sends("Ready I")
        assert database.peer.client is None
        assert loopback.sessions.repeated == 0


class TestTheClientsOwn:
    @pytest.fixture(autouse=True)
    def writes(self, loopback: Loopback) -> None:
        loopback.manager.has_stopped = False

    @pytest.mark.parametrize(("request_", "refused"), [(INSERT, REFUSED), (BATCH, BATCH_REFUSED)])
    def test_the_error_comes_as_it_is(
        self, loopback: Loopback, request_: str, refused: str
    ) -> None:
        database, client = loopback.database(), keeping(loopback)
        for _ in range(2):
            client.sends(request_)
            database.answers(request_, refused)
            client.gets("")
            database.answers(ASKS, NEVER)
            client.gets(refused)
            assert database.is_idle
        client.asks(INSERT, database, DONE)
        assert loopback.sessions.repeated == 0
        assert loopback.pool.tally.queries == 3

    def test_what_was_sent_behind_it_follows(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(INSERT)
        database.answers(INSERT, REFUSED)
        client.sends("Query 'SELECT 2'")
        database.answers(ASKS, NEVER)
        client.gets(REFUSED)
        database.answers("Query 'SELECT 2'", "Result, Ready I")
        client.gets("Result, Ready I")

    def test_the_next_in_the_queue_is_served(self, loopback: Loopback) -> None:
        database, client, other = loopback.database(), keeping(loopback), keeping(loopback)
        client.sends(INSERT)
        other.sends("Query 'SELECT 2'")
        database.answers(INSERT, REFUSED)
        database.answers(ASKS, NEVER)
        client.gets(REFUSED)
        database.answers("Query 'SELECT 2'", "Result, Ready I")
        other.gets("Result, Ready I")


class TestWhatIsNot:
    @pytest.mark.parametrize(
        ("sent", "answer"),
        [
            ("Query 'INSERT 1', Query 'INSERT 2'", f"{REFUSED}, {REFUSED}"),
            ("Query 'INSERT 1; INSERT 2'", REFUSED),
            ("Query 'COMMIT'", REFUSED),
            (INSERT, f"RowDescription, DataRow x, {REFUSED}"),
            (INSERT, "Error 42501 'not allowed', Ready I"),
            (
                "Parse '' 'INSERT 1', Bind, Execute, Bind, Execute, Sync",
                "ParseComplete, BindComplete, CommandComplete 'INSERT 0 1', BindComplete, "
                + REFUSED,
            ),
            (
                "Parse '' 'INSERT 1', Bind, Execute, Flush, Sync",
                f"ParseComplete, BindComplete, {REFUSED}",
            ),
        ],
    )
    def test_is_told_at_once(self, loopback: Loopback, sent: str, answer: str) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(sent)
        database.gets(sent)
        head, comma, tail = (
            answer.partition(f", {REFUSED}") if "DataRow" in answer else (answer, "", "")
        )
        database.sends(head)  # what has gone to the client has gone
        database.sends((comma + tail).removeprefix(", "))
        client.gets(answer)

    def test_in_a_transaction(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
        client.asks(INSERT, database, f"{READ_ONLY}, Ready E")
        assert loopback.manager.seen == ["read_only"]

    def test_of_a_client_that_holds_its_connection(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.peer.set_pinned(True)
        client.asks(INSERT, database, REFUSED)

    def test_what_is_long(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.asks(f"Query 'INSERT {'x' * 20_000}'", database, REFUSED)

    def test_what_may_have_run(self, loopback: Loopback) -> None:
        loopback.sessions.may_be_repeated = False
        database, client = loopback.database(), keeping(loopback)
        client.asks("Query 'SELECT f()'", database, REFUSED)

    def test_where_nothing_is_kept(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.asks(INSERT, database, REFUSED)

    def test_its_settings_are_in_place_by_then(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client(Settings("mine"))
        client.peer.keeps_requests = True
        client.sends(INSERT)
        database.changes_to("mine", INSERT)
        database.sends(f"Changed, {REFUSED}")
        database.answers(ASKS, NEVER)
        other = loopback.database()
        other.changes_to("mine", INSERT)
        other.sends(f"Changed, {DONE}")
        client.gets(DONE)


class TestBeginAlone:
    """A BEGIN that its connection took with it, where nothing else was sent."""

    @pytest.mark.parametrize(
        "sent", ["BEGIN", "begin isolation level serializable", " START TRANSACTION;"]
    )
    def test_is_kept(self, loopback: Loopback, sent: str) -> None:
        database, client = loopback.database(), keeping(loopback)
        loopback.sessions.outcome = WAITS
        client.sends(f"Query '{sent}'")
        database.gets(f"Query '{sent}'")
        database.leaves()
        client.gets("")
        (loss,) = loopback.sessions.losses
        assert (loss.begin, loss.waits) == (wording.encode(f"Query '{sent}'"), True)
        assert client.peer.is_waiting
        other = loopback.database()
        other.answers(f"Query '{sent}'", BEGUN)
        client.gets(BEGUN)
        client.asks(INSERT, other, "CommandComplete 'INSERT 0 1', Ready T")
        client.leaves()

    def test_what_comes_behind_it_meanwhile_follows(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        loopback.sessions.outcome = WAITS
        client.sends("Query BEGIN")
        database.leaves()
        client.sends(INSERT)
        other = loopback.database()
        other.gets(f"Query BEGIN, {INSERT}")
        other.sends(f"{BEGUN}, CommandComplete 'INSERT 0 1', Ready T")
        client.gets(f"{BEGUN}, CommandComplete 'INSERT 0 1', Ready T")

    @pytest.mark.parametrize(
        "sent",
        [
            "Query BEGIN, Query 'INSERT 1'",
            "Query 'BEGIN; INSERT 1'",
            "Query 'INSERT 1'",
            "Query 'SELECT 1', Query BEGIN",
            "Parse '' BEGIN, Bind, Execute, Sync",
            "Parse '' BEGIN, Bind, Execute",
        ],
    )
    def test_all_else_is_not(self, loopback: Loopback, sent: str) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends(sent)
        database.leaves()
        assert loopback.sessions.losses[0].begin is None

    def test_nor_is_one_in_a_transaction(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.asks("Query BEGIN", database, BEGUN)
        client.sends("Query BEGIN")
        database.leaves()
        assert loopback.sessions.losses[0].begin is None

    def test_nor_one_that_is_answered_in_part(self, loopback: Loopback) -> None:
        database, client = loopback.database(), keeping(loopback)
        client.sends("Query BEGIN")
        database.sends("CommandComplete BEGIN")
        client.gets("CommandComplete BEGIN")
        database.leaves()
        assert loopback.sessions.losses[0].begin is None

    def test_where_nothing_is_kept(self, loopback: Loopback) -> None:
        database, client = loopback.database(), loopback.client()
        client.sends("Query BEGIN")
        database.leaves()
        assert loopback.sessions.losses[0].begin is None
