"""A statement that needs a database for itself: who is closed, who waits, and for how long."""

from collections.abc import Iterator
from typing import cast

import pytest

from forebay.channel import Evacuate, Evacuated, EvacuationMessage, Reopen
from forebay.protocol.errors import PgError, Severity
from forebay.worker.agenda import Agenda
from forebay.worker.evacuation import EVACUATED_TIMEOUT_S, Evacuations, Evacuator
from forebay.worker.pool.holds import HOLD_LIMIT_S
from tests.playbooks import wording
from tests.playbooks.rig import Rig

SERVER = ("db.internal", 5432)
DROP = "Query 'DROP DATABASE shop'"
TERMINATE = b"X\x00\x00\x00\x04"


class Worker(Rig):
    """A rig whose proxy is before SERVER. `node`: there is one; ``told`` is what it has heard."""

    def __init__(self, *, node: bool = False, limit: int = 5) -> None:
        super().__init__(limit=limit)
        self.told: list[EvacuationMessage] = []
        self.evacuator = Evacuator(cast(Agenda, self.agenda))
        self.evacuator.add(SERVER, self.manager.holds)
        self.manager.holds.forget = self.sessions.greetings.forget_databases
        self.sessions.evacuations = Evacuations(self.evacuator, SERVER, self.sessions.texts)
        if node:
            self.evacuator.tell = self.tell

    def tell(self, message: EvacuationMessage) -> bool:
        self.told.append(message)
        return True

    def say(self, name: str, words: str) -> None:
        self.send(name, wording.encode(words))

    def serve(self, client: str, database: str) -> None:
        """A client comes, and has asked something."""
        self.client(client, database=database)
        self.say(client, "Query 'SELECT 1'")
        name = list(self.servers)[-1]
        self.say(name, "Result, Ready I")
        for each in (client, name):
            self.actors[each].receive()
            self.actors[each].inbox = b""

    def took(self, name: str) -> bytes:
        """What an actor has received since it was asked last."""
        data = self.received(name)
        self.actors[name].inbox = b""
        return data


@pytest.fixture
def alone() -> Iterator[Worker]:
    """db1 is idle, and connected to shop; db2 is idle, too, and elsewhere."""
    with Worker() as rig:
        rig.serve("stays", "shop")
        rig.serve("drops", "postgres")
        yield rig


@pytest.fixture
def one_of_many() -> Iterator[Worker]:
    """The same with a node, and so maybe other workers."""
    with Worker(node=True) as rig:
        rig.serve("stays", "shop")
        rig.serve("drops", "postgres")
        yield rig


def test_idle_connections_are_closed_before_it_is_sent(alone: Worker) -> None:
    alone.say("drops", DROP)
    assert alone.took("db1") == TERMINATE
    assert alone.servers["db1"].is_closed
    assert b"DROP" in alone.took("db2")


def test_others_wait_until_it_is_answered(alone: Worker) -> None:
    alone.say("drops", DROP)
    alone.say("stays", "Query 'SELECT 2'")
    assert len(alone.servers) == 2
    alone.opening_errors = [PgError(Severity.FATAL, "3D000", 'database "shop" does not exist')]
    alone.say("db2", "Result, Ready I")
    assert b"3D000" in alone.took("stays")
    assert not alone.clients["stays"].is_closed
    # What has refused it is forgotten when there is such a database again.
    alone.say("drops", "Query 'CREATE DATABASE shop'")
    alone.say("db2", "Result, Ready I")
    alone.say("stays", "Query 'SELECT 3'")
    assert b"SELECT 3" in alone.took("db3")
    alone.took("db1"), alone.took("db2"), alone.took("drops")
    alone.say("db3", "Result, Ready I")
    alone.took("stays")


def test_of_who_needs_it_twice(alone: Worker) -> None:
    """Two clients drop it; it is held back until both are answered."""
    alone.serve("too", "postgres2")
    alone.say("drops", DROP)
    alone.say("too", DROP)
    alone.say("stays", "Query 'SELECT 2'")
    alone.say("db2", "Error ERROR 55006, Ready I")
    assert len(alone.servers) == 3
    alone.say("db3", "Result, Ready I")
    assert b"SELECT 2" in alone.took("db4")
    alone.say("db4", "Result, Ready I")
    for name in ("db1", "db2", "db3", "drops", "too", "stays"):
        alone.took(name)


def test_a_connection_in_use_is_closed_when_it_comes_free(alone: Worker) -> None:
    """And one that was being opened."""
    alone.say("stays", "Query 'SELECT 2'")
    alone.client("waits", database="shop")
    alone.say("drops", DROP)
    assert b"DROP" in alone.took("db2")
    alone.say("waits", "Query 'SELECT 3'")
    alone.say("db1", "Result, Ready I")
    assert alone.took("db1").endswith(TERMINATE)
    assert len(alone.servers) == 2
    alone.say("db2", "Result, Ready I")
    assert b"SELECT 3" in alone.took("db3")
    alone.say("db3", "Result, Ready I")
    for name in ("db2", "drops", "stays", "waits"):
        alone.took(name)


@pytest.mark.parametrize("leaves", ["drops", "db2"])
def test_it_ends_with_its_client_or_connection(alone: Worker, leaves: str) -> None:
    alone.say("drops", DROP)
    alone.say("stays", "Query 'SELECT 2'")
    alone.leave(leaves)
    assert b"SELECT 2" in alone.took("db3")
    alone.say("db3", "Result, Ready I")
    for name in ("db1", "stays"):
        alone.took(name)


def test_it_ends_after_a_while(alone: Worker) -> None:
    """A transaction that goes on for ever, say."""
    alone.say("drops", "Query 'ALTER DATABASE shop RENAME TO store'")
    alone.say("db2", "Result, Ready T")
    alone.say("stays", "Query 'SELECT 2'")
    alone.pass_time(HOLD_LIMIT_S / 2)
    assert len(alone.servers) == 2
    alone.pass_time(HOLD_LIMIT_S / 2 + 1)
    assert b"SELECT 2" in alone.took("db3")
    alone.say("db3", "Result, Ready I")
    alone.say("drops", "Query 'COMMIT'")
    alone.say("db2", "Result, Ready I")
    for name in ("db1", "db2", "drops", "stays"):
        alone.took(name)


def test_other_workers_are_waited_for(one_of_many: Worker) -> None:
    rig = one_of_many
    rig.say("drops", DROP)
    assert rig.told == [Evacuate(id=1, server=SERVER, alone=[b"shop"])]
    rig.pass_time(EVACUATED_TIMEOUT_S / 2)
    assert b"DROP" not in rig.took("db2")
    rig.evacuator.hear(Evacuated(id=1))
    rig.settle()
    assert b"DROP" in rig.took("db2")
    rig.say("db2", "Result, Ready I")
    assert rig.told[1:] == [Reopen(id=1)]
    for name in ("db1", "drops"):
        rig.took(name)


def test_but_not_for_ever(one_of_many: Worker) -> None:
    rig = one_of_many
    rig.say("drops", DROP)
    rig.pass_time(EVACUATED_TIMEOUT_S + 0.1)
    assert b"DROP" in rig.took("db2")
    rig.evacuator.hear(Evacuated(id=1))  # late
    rig.say("db2", "Result, Ready I")
    for name in ("db1", "drops"):
        rig.took(name)


def test_in_the_extended_protocol(one_of_many: Worker) -> None:
    """Only what executes it waits, and what comes behind; each message of it once."""
    rig = one_of_many
    rig.say("drops", "Parse '' 'DROP DATABASE shop', Bind, Execute, Sync")
    rig.evacuator.hear(Evacuated(id=1))
    rig.settle()
    sent = rig.took("db2")
    assert sent == wording.encode("Parse '' 'DROP DATABASE shop', Bind, Execute, Sync")
    rig.say("db2", "ParseComplete, BindComplete, CommandComplete 'DROP DATABASE', Ready I")
    assert rig.told[1:] == [Reopen(id=1)]
    for name in ("db1", "drops"):
        rig.took(name)


def test_a_client_that_leaves_while_others_are_waited_for(one_of_many: Worker) -> None:
    rig = one_of_many
    rig.say("drops", DROP)
    rig.leave("drops")
    assert rig.told[1:] == [Reopen(id=1)]
    rig.evacuator.hear(Evacuated(id=1))
    rig.settle()
    assert b"DROP" not in rig.took("db2")
    rig.took("db1")


def test_who_says_goodbye_at_once_is_served(one_of_many: Worker) -> None:
    rig = one_of_many
    rig.say("drops", f"{DROP}, Terminate")
    rig.leave("drops")
    rig.evacuator.hear(Evacuated(id=1))
    rig.settle()
    assert b"DROP" in rig.took("db2")
    rig.say("db2", "Result, Ready I")
    assert rig.told[1:] == [Reopen(id=1)]
    rig.took("db1")


def test_another_statement_in_the_same_pipeline(one_of_many: Worker) -> None:
    rig = one_of_many
    rig.say("drops", f"{DROP}, Query 'DROP DATABASE store'")
    rig.evacuator.hear(Evacuated(id=1))
    rig.settle()
    assert rig.took("db2").count(b"DROP") == 1
    rig.evacuator.hear(Evacuated(id=2))
    rig.settle()
    assert rig.took("db2").count(b"DROP") == 1
    rig.say("db2", "Result, Ready I, Result, Ready I")
    assert rig.told[2:] == [Reopen(id=1), Reopen(id=2)]
    for name in ("db1", "drops"):
        rig.took(name)


def test_another_workers_statement(one_of_many: Worker) -> None:
    rig = one_of_many
    rig.evacuator.hear(Evacuate(id=7, server=("elsewhere", 5432), alone=[b"shop"]))
    assert not rig.servers["db1"].is_closed
    rig.evacuator.hear(Evacuate(id=8, server=SERVER, alone=[b"shop"]))
    assert rig.took("db1") == TERMINATE
    assert rig.told == [Evacuated(id=7), Evacuated(id=8)]
    rig.say("stays", "Query 'SELECT 2'")
    rig.evacuator.hear(Reopen(id=7))
    rig.settle()
    assert len(rig.servers) == 2
    rig.evacuator.hear(Reopen(id=8))
    rig.settle()
    assert b"SELECT 2" in rig.took("db3")
    rig.say("db3", "Result, Ready I")
    rig.took("stays")


def test_logins_meanwhile_are_not_greeted_from_memory(alone: Worker) -> None:
    alone.say("drops", DROP)
    alone.client("comes", database="shop", known=False)
    assert alone.took("comes") == b""
    alone.opening_errors = [PgError(Severity.FATAL, "3D000", 'database "shop" does not exist')]
    alone.say("db2", "Result, Ready I")
    assert b"3D000" in alone.took("comes")
    for name in ("db1", "drops"):
        alone.took(name)


def test_a_pool_of_one_connection() -> None:
    """Who waits for the only one is served when the statement is over, and not before."""
    with Worker(limit=1) as rig:
        rig.serve("stays", "shop")
        rig.client("drops", database="postgres")
        rig.say("drops", DROP)
        assert rig.took("db1") == TERMINATE
        assert b"DROP" in rig.took("db2")
        rig.say("stays", "Query 'SELECT 2'")
        assert rig.manager.waiting == 1
        rig.say("db2", "Error 55006 'it is in use', Ready I")
        assert rig.took("db2") == TERMINATE
        assert b"SELECT 2" in rig.took("db3")
        rig.say("db3", "Result, Ready I")
        for name in ("drops", "stays"):
            rig.took(name)
