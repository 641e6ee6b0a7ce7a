"""The same conversation with PostgreSQL and with Forebay: every byte of the answers is the same."""

from collections.abc import Iterator

import pytest

from forebay.protocol.messages import query, sync
from tests.differential.conversations import (
    SCHEMA,
    STATEMENTS,
    Conversation,
    Step,
    extended,
    fastpath,
    hold,
    make,
    simple,
    together,
)
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import RawClient, bind, copy_data, copy_done, execute, parse, run

TRANSACTIONS = """
BEGIN; INSERT INTO t VALUES (50); SAVEPOINT a; SELECT 1/0; SELECT 1; ROLLBACK TO a; SELECT 2; COMMIT
BEGIN; SELECT 1/0; COMMIT; SELECT 1; COMMIT; ROLLBACK
BEGIN; BEGIN; DECLARE c CURSOR FOR SELECT n FROM t ORDER BY n; FETCH 2 FROM c; SAVEPOINT a; \
    FETCH 2 FROM c; ROLLBACK TO a; FETCH 2 FROM c; COMMIT; FETCH c
SET TimeZone = 'Asia/Tokyo'; BEGIN; SET TimeZone = 'Asia/Aden'; ROLLBACK; SHOW TimeZone; \
    RESET TimeZone; SHOW TimeZone
"""
SEEDS = range(60)
AT_ONCE = 10


class Sides:
    """PostgreSQL and Forebay before the same database, which is made new for each conversation."""

    def __init__(self, postgres: Postgres, forebay: Forebay) -> None:
        self._database = forebay.database
        self._ports = postgres.port, forebay.port
        self._maker = RawClient(postgres.port, self._database)

    def close(self) -> None:
        self._maker.leave()

    def compare(self, conversation: Conversation) -> None:
        direct, through = (self._hold(port, conversation) for port in self._ports)
        assert through == direct

    def _hold(self, port: int, conversation: Conversation) -> list[tuple[str, bytes]]:
        self._maker.query(SCHEMA)
        with RawClient(port, self._database) as client:
            said = hold(client, conversation)
            client.leave()
        return said


@pytest.fixture
def sides(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> Iterator[Sides]:
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, pool=connections(2)
    )
    sides = Sides(postgres, forebay)
    yield sides
    sides.close()


def test_the_greeting(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False})
    for settings in ({}, {"application_name": "me", "DateStyle": "German"}):
        with RawClient(postgres.port, database, settings) as direct:
            expected = [message for message in direct.greeting if message.kind != "K"]
        for _ in range(2):
            with RawClient(forebay.port, database, settings) as through:
                assert [each for each in through.greeting if each.kind != "K"] == expected


def test_every_statement_by_itself(sides: Sides) -> None:
    for text in STATEMENTS:
        sides.compare(simple(text))
        sides.compare(extended(text))


def test_transactions(sides: Sides) -> None:
    for line in TRANSACTIONS.strip().splitlines():
        texts = line.split("; ")
        sides.compare(simple(*texts))
        sides.compare(extended(*texts))
        sides.compare(together(*texts))


def test_copying(sides: Sides) -> None:
    lines = copy_data(b"30\tthirty\n31\t") + copy_data(b"thirty-one\n")
    sides.compare([Step(query("COPY t FROM STDIN"), "G"), Step(lines + copy_done())])
    sides.compare([Step(query("COPY t FROM STDIN") + lines + copy_done() + sync(), "Z", 2)])
    broken = copy_data(b"what?\n") + copy_data(b"32\tmore\n" * 1000) + copy_done()
    sides.compare([Step(query("COPY t FROM STDIN"), "G"), Step(broken), *simple("SELECT 1")])
    sides.compare([Step(run("COPY t FROM STDIN") + broken + sync()), *simple("SELECT 1")])
    sides.compare(simple("COPY t TO STDOUT", "COPY t TO STDOUT (FORMAT binary)"))


def test_function_calls(sides: Sides) -> None:
    int4pl = 177
    one = (1).to_bytes(4, "big")
    sides.compare([Step(fastpath(int4pl, one, one)), *simple("SELECT 1")])
    sides.compare([Step(fastpath(int4pl, one)), *simple("SELECT 1")])
    sides.compare([*simple("BEGIN", "SELECT 1/0"), Step(fastpath(int4pl, one, one))])


def test_errors_in_pipelines(sides: Sides) -> None:
    bad = parse("SELEC") + bind() + execute()
    sides.compare(
        [Step(run("SELECT 1") + bad + run("SELECT 2") + sync() + run("SELECT 3") + sync())]
    )
    sides.compare([Step(bad + query("SELECT 1") + sync(), "Z")])
    sides.compare([Step(run("INSERT INTO t VALUES (60)") + query("SELECT count(*) FROM t"), "Z")])
    sides.compare([Step(sync() + sync() + query(""), "Z", 3)])
    sides.compare([Step(b"".join(run(f"SELECT {n}") + sync() for n in range(500)), "Z", 500)])


@pytest.mark.parametrize("start", range(0, len(SEEDS), AT_ONCE))
def test_random_conversations(sides: Sides, start: int) -> None:
    for seed in SEEDS[start : start + AT_ONCE]:
        conversation = make(seed)
        try:
            sides.compare(conversation)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {conversation}") from error
