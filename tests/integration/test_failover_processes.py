"""A process of Forebay's dies while it is not known which server writes."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from forebay.embedded.pair import Pair
from tests.harness import Forebay, TestDatabase, eventually

StartForebay = Callable[..., Forebay]
USER = "app_user"
IN_RECOVERY = "SELECT pg_is_in_recovery()"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as servers:
        servers.writer.create_user(USER, "planted-password")
        servers.writer.create_database(USER, owner=USER)
        yield servers


def status(forebay: Forebay) -> Any:
    (proxy,) = json.loads(forebay.command("status", "--json").out)["proxies"]
    return proxy


def asked(forebay: Forebay) -> Any:
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        return connection.execute(IN_RECOVERY).fetchone()


def test_a_worker_that_dies_meanwhile_has_one_behind_it_that_waits_as_well(
    pair: Pair, start_forebay: StartForebay
) -> None:
    database = TestDatabase(USER, USER, "planted-password")
    forebay = start_forebay(pair.writer.port, database, target={"hosts": pair.hosts})
    assert asked(forebay) == (False,)
    pair.writer.kill()
    eventually(lambda: status(forebay)["servers"]["state"] == "HOLD", "requests wait")
    (worker,) = forebay.worker_pids
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: [pid for pid in forebay.worker_pids if pid != worker], "another worker")
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(asked, forebay) for _ in range(3)]
        eventually(lambda: status(forebay)["clients_waiting"] == 3, "all wait")
        assert not any(each.done() for each in waiting)
        pair.promote()
        assert [each.result(30) for each in waiting] == [(False,)] * 3


def test_without_the_node_a_worker_stays_with_the_writer_that_it_knows(
    pair: Pair, start_forebay: StartForebay
) -> None:
    """Nobody tells it of another one: requests fail in time, and clients stay."""
    database = TestDatabase(USER, USER, "planted-password")
    forebay = start_forebay(
        pair.writer.port,
        database,
        target={"hosts": pair.hosts},
        pool={"connection_borrow_timeout": 1},
    )
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        (worker,) = forebay.worker_pids
        os.kill(forebay.pid, signal.SIGKILL)
        forebay.wait()
        try:
            assert connection.execute(IN_RECOVERY).fetchone() == (False,)
            pair.writer.stop()
            with pytest.raises(psycopg.Error) as caught:
                connection.execute(IN_RECOVERY)
            assert caught.value.sqlstate == "08000"
            assert not connection.closed
            pair.writer.start()
            eventually(lambda: served(connection), "the same server serves again")
        finally:
            os.kill(worker, signal.SIGTERM)


def served(connection: psycopg.Connection[Any]) -> bool:
    try:
        return connection.execute(IN_RECOVERY).fetchone() == (False,)
    except psycopg.Error:
        return False
