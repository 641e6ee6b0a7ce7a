"""Statements that need a database for themselves: who is told, and who waits for whom."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.channel import Evacuate, Evacuated, EvacuationMessage, Reopen
from forebay.sql.databases import DatabaseUse
from forebay.sql.facts import FactsCache
from forebay.sql.reading import Reading
from forebay.worker.evacuation import EVACUATED_TIMEOUT_S, Evacuations, Evacuator
from forebay.worker.pool.holds import HOLD_LIMIT_S
from forebay.worker.sessions.texts import EXAMINED_BYTES
from tests.unit.worker.clock import Clock

SERVER, OTHER = ("db.internal", 5432), ("db.internal", 5433)
SHOP = DatabaseUse(frozenset({b"shop"}))
COPY = DatabaseUse(frozenset({b"shop"}), frozenset({b"copy"}))
UTF8 = Reading("UTF8", True)


class Holds:
    """Notes what is held back, by its key."""

    def __init__(self) -> None:
        self.held: dict[object, tuple[DatabaseUse, object]] = {}
        self.ended: list[object] = []

    def begin(self, key: object, use: DatabaseUse, but: object = None) -> None:
        self.held[key] = use, but

    def end(self, key: object) -> None:
        if self.held.pop(key, None) is not None:
            self.ended.append(key)


class Client:
    def __init__(self) -> None:
        self.evacuation: object = None
        self.server = object()
        self.told = 0

    def evacuated(self) -> None:
        self.told += 1


class Worker:
    """An evacuator with two proxies before SERVER, and one before OTHER. `node`: there is one."""

    def __init__(self, *, node: bool = True) -> None:
        self.clock = Clock()
        self.evacuator = Evacuator(cast(Any, self.clock))
        self.sent: list[EvacuationMessage] = []
        self.near, self.too, self.far = Holds(), Holds(), Holds()
        for server, holds in ((SERVER, self.near), (SERVER, self.too), (OTHER, self.far)):
            self.evacuator.add(server, cast(Any, holds))
        if node:
            self.evacuator.tell = self.tell

    def tell(self, message: EvacuationMessage) -> bool:
        self.sent.append(message)
        return True

    def must_wait(self, client: Client, use: DatabaseUse = SHOP) -> bool:
        return self.evacuator.must_wait(cast(Any, client), SERVER, use)

    def over(self, client: Client) -> None:
        self.evacuator.over(cast(Any, client))


def test_where_there_is_nobody_else_it_runs_at_once() -> None:
    here, client = Worker(node=False), Client()
    assert not here.must_wait(client)
    assert here.near.held == here.too.held == {1: (SHOP, client.server)}
    assert not here.far.held, "it is before another server"
    here.over(client)
    assert not here.near.held
    assert not here.too.held
    assert client.evacuation is None
    assert client.told == 0, "it has never waited"


def test_it_waits_until_others_have_left() -> None:
    here, client = Worker(), Client()
    assert here.must_wait(client, COPY)
    assert here.sent == [Evacuate(id=1, server=SERVER, alone=[b"shop"], made=[b"copy"])]
    assert here.must_wait(client, COPY), "it is asked again"
    assert len(here.sent) == 1
    here.evacuator.hear(Evacuated(id=99))
    assert client.told == 0
    here.evacuator.hear(Evacuated(id=1))
    assert client.told == 1
    assert not here.must_wait(client, COPY)
    here.over(client)
    assert here.sent[1:] == [Reopen(id=1)]


def test_it_does_not_wait_for_those_who_do_not_answer() -> None:
    here, client = Worker(), Client()
    here.must_wait(client)
    here.clock.pass_time(EVACUATED_TIMEOUT_S - 0.1)
    assert client.told == 0
    here.clock.pass_time(0.2)
    assert client.told == 1
    assert not here.must_wait(client)
    here.evacuator.hear(Evacuated(id=1))
    assert client.told == 1, "once"


def test_another_database_in_the_same_transaction_is_another_question() -> None:
    here, client = Worker(), Client()
    here.must_wait(client)
    assert here.must_wait(client, DatabaseUse(frozenset({b"more"})))
    here.evacuator.hear(Evacuated(id=1))
    assert client.told == 0, "the second is not answered yet"
    here.evacuator.hear(Evacuated(id=2))
    assert client.told == 1
    here.over(client)
    assert here.near.ended == [1, 2]
    assert here.sent[2:] == [Reopen(id=1), Reopen(id=2)]


def test_a_client_that_has_left_is_not_told() -> None:
    here, client = Worker(), Client()
    here.must_wait(client)
    here.over(client)
    here.evacuator.hear(Evacuated(id=1))
    here.clock.pass_time(EVACUATED_TIMEOUT_S + 1)
    assert client.told == 0
    here.over(client)
    assert here.sent.count(Reopen(id=1)) == 1


def test_after_so_long_nothing_of_the_first_time_is_relied_on() -> None:
    here, client = Worker(), Client()
    here.must_wait(client)
    here.evacuator.hear(Evacuated(id=1))
    here.clock.pass_time(HOLD_LIMIT_S)
    assert here.must_wait(client)
    assert [type(each) for each in here.sent] == [Evacuate, Reopen, Evacuate]
    assert here.sent[2] == Evacuate(id=2, server=SERVER, alone=[b"shop"])


def test_another_workers_statement_holds_back_and_is_answered() -> None:
    here, client = Worker(), Client()
    here.must_wait(client)
    here.evacuator.hear(Evacuate(id=1, server=SERVER, alone=[b"shop"]))
    assert here.sent[1:] == [Evacuated(id=1)]
    assert here.near.held.keys() == {1, ("node", 1)}, "its number is its own"
    assert here.near.held["node", 1] == (SHOP, None)
    assert not here.far.held
    here.evacuator.hear(Reopen(id=1))
    assert here.near.held.keys() == here.too.held.keys() == {1}


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        (b"DROP DATABASE shop", True),
        (b"ALTER DATABASE shop RENAME TO old", True),
        (b"CREATE DATABASE copy TEMPLATE shop", True),
        (b"SELECT 'drop database shop'", False),
        (b"DROP TABLE shop", False),
        (b"DROP DATABASE shop --" + b"x" * EXAMINED_BYTES, False),
    ],
)
def test_only_such_statements_wait(text: bytes, waits: bool) -> None:
    here, client = Worker(), Client()
    facts = FactsCache()
    texts = SimpleNamespace(
        facts=lambda client, text, reading: facts.facts(text, reading or UTF8, False)
    )
    mine = Evacuations(here.evacuator, SERVER, cast(Any, texts))
    assert mine.waits(cast(Any, client), text, UTF8) is waits
    assert bool(here.near.held) is waits
    mine.over(cast(Any, client))
    assert not here.near.held
