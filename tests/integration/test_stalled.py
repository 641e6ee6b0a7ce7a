"""Clients that begin something and do not go on hold a connection no longer than idle ones may.

Who waits for the database, or for a connection, or goes on slowly, is not stalled.
"""

import time
from collections.abc import Callable

import pytest

from forebay.protocol.messages import message, query, sync
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient, bind, copy_data, execute, flush, parse, run
from tests.harness.work import in_threads

IDLE_S = 1
MEGABYTE = 1 << 20
LONG = query("SELECT '" + "x" * MEGABYTE + "'")
MANY_ROWS = "SELECT repeat('x', 1000) FROM generate_series(1, 50000)"


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with a single connection and little patience."""
    proxy = {"require_tls": False, "idle_client_timeout": IDLE_S}
    target = {"database": database.name}
    return start_forebay(postgres.port, database, proxy=proxy, target=target, pool=connections(1))


def half_a_message(client: RawClient) -> None:
    client.send(LONG[: MEGABYTE // 2])


def half_a_message_in_a_transaction(client: RawClient) -> None:
    client.query("BEGIN")
    client.query("INSERT INTO made VALUES (2)")
    client.send(query("COMMIT")[:-2])


def half_a_batch(client: RawClient) -> None:
    client.send(run("INSERT INTO made VALUES (2)"))


def half_a_batch_of_which_some_was_answered(client: RawClient) -> None:
    client.send(run("INSERT INTO made VALUES (2)") + flush())
    client.until("C")
    client.send(parse("SELECT 1"))


def a_batch_that_failed(client: RawClient) -> None:
    client.send(run("SELECT nonsense"))
    client.until("E")


def half_a_copy(client: RawClient) -> None:
    client.send(query("COPY made FROM STDIN"))
    client.until("G")
    client.send(copy_data(b"2\n"))


def half_a_copy_in_a_batch(client: RawClient) -> None:
    client.send(run("COPY made FROM STDIN") + flush())
    client.until("G")
    client.send(copy_data(b"2\n"))


def half_a_message_of_a_copy(client: RawClient) -> None:
    client.send(query("COPY made FROM STDIN"))
    client.until("G")
    client.send(message(b"d", b"2\n" * MEGABYTE)[:MEGABYTE])


def a_result_not_read(client: RawClient) -> None:
    client.send(query(MANY_ROWS))


def a_long_row_not_read(client: RawClient) -> None:
    client.send(query("SELECT repeat('x', 50000000)"))


def a_copy_not_read(client: RawClient) -> None:
    client.send(query(f"COPY ({MANY_ROWS}) TO STDOUT"))


STALLS = [
    half_a_message,
    half_a_message_in_a_transaction,
    half_a_batch,
    half_a_batch_of_which_some_was_answered,
    a_batch_that_failed,
    half_a_copy,
    half_a_copy_in_a_batch,
    half_a_message_of_a_copy,
    a_result_not_read,
    a_long_row_not_read,
    a_copy_not_read,
]
# In the middle of a row there is no place for a word.
DEAF = {a_result_not_read, a_long_row_not_read, a_copy_not_read}


@pytest.mark.parametrize("stall", STALLS)
def test_a_stalled_client_is_ended(
    forebay: Forebay, database: TestDatabase, seen: Observer, stall: Callable[[RawClient], None]
) -> None:
    with RawClient(forebay.port, database) as stalled, RawClient(forebay.port, database) as other:
        other.query("CREATE TABLE made AS SELECT 1 AS n")
        stall(stalled)
        # The only connection is free again.
        assert other.query("SELECT count(*), sum(n) FROM made") == [["1", "1"]]
        *before, last = stalled.until_end() or [None]
        if stall not in DEAF or (last is not None and last.kind == "E"):
            assert last is not None
            assert (last.kind, last.fields["S"], last.fields["C"]) == ("E", "FATAL", "57P05")
        assert {each.kind for each in before} <= set("TdDHZ")
        assert other.query("SELECT 7") == [["7"]]
    seen.wait_until_quiet()


def patiently(forebay: Forebay, database: TestDatabase, data: bytes, expected: str) -> None:
    """One who sends `data` and waits gets these kinds of messages, however long it takes."""
    with RawClient(forebay.port, database) as client:
        client.send(data)
        kinds = "".join(client.receive().kind for _ in expected)
        assert kinds == expected


SLOW = f"SELECT pg_sleep({IDLE_S * 3})"


def test_who_waits_for_the_database_is_not_stalled(
    forebay: Forebay, database: TestDatabase
) -> None:
    batch = parse(SLOW) + bind() + execute()
    for data, expected in (
        (batch + flush(), "12DC"),
        (batch + sync(), "12DCZ"),
        (query(SLOW) + query("SELECT 1")[:9], "TDCZ"),
        (query(SLOW) + LONG[: MEGABYTE // 2], "TDCZ"),
    ):
        patiently(forebay, database, data, expected)


def test_who_waits_for_a_lock_with_a_copy_is_not_stalled(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("CREATE TABLE made (n int)")
        seen_there = RawClient(int(seen.value("SHOW port")), database)
        with seen_there as holding:
            holding.query("BEGIN")
            holding.query("LOCK TABLE made")
            client.send(query("COPY made FROM STDIN") + copy_data(b"1\n" * 1000) + message(b"c"))
            started = time.monotonic()
            eventually(lambda: time.monotonic() - started > 3 * IDLE_S)
            holding.query("COMMIT")
        assert [each.kind for each in client.until("Z")] == list("GCZ")


def test_who_waits_for_a_connection_is_not_stalled(
    forebay: Forebay, database: TestDatabase
) -> None:
    def work(number: int) -> None:
        patiently(forebay, database, query(SLOW), "TDCZ")

    in_threads(3, work)


def test_who_reads_slowly_is_not_stalled(forebay: Forebay, database: TestDatabase) -> None:
    """50 MB, which fill every buffer on the way, are read bit by bit."""
    with RawClient(forebay.port, database) as client:
        client.send(query(MANY_ROWS))
        taken = []
        while not taken or taken[-1].kind not in "ZE":
            if len(taken) % 1500 == 0:
                time.sleep(IDLE_S / 8)
            taken.append(client.receive())
        assert [each.kind for each in taken[-2:]] == ["C", "Z"]


def test_who_sends_slowly_is_not_stalled(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        for at in range(0, len(LONG), len(LONG) // 24):
            client.send(LONG[at : at + len(LONG) // 24])
            time.sleep(IDLE_S / 8)
        assert [each.kind for each in client.until("Z")] == list("TDCZ")
