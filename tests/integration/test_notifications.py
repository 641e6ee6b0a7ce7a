"""A client that listens for what it sends itself knows it as its own."""

import asyncio

import asyncpg
import psycopg
import psycopg2
import pytest

from forebay.protocol.messages import query
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    return start_forebay(postgres.port, database, proxy={"require_tls": False}, pool=connections(5))


def notified(client: RawClient, sql: str = "SELECT 1") -> list[tuple[int, bytes]]:
    """The senders of what a client is notified of by the end of `sql`, and the rest."""
    told = [each.body for each in client.ask(query(sql)) if each.kind == "A"]
    return [(int.from_bytes(body[:4], "big"), body[4:]) for body in told]


def test_its_own_carries_the_number_of_its_login(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("LISTEN news")
        assert notified(client, "NOTIFY news, 'mine'") == [(client.key[0], b"news\0mine\0")]
        long = "x" * 7999
        assert notified(client, f"SELECT pg_notify('news', '{long}')") == [
            (client.key[0], b"news\0" + long.encode() + b"\0")
        ]


def test_anothers_carries_the_number_of_the_others_backend(
    forebay: Forebay, database: TestDatabase
) -> None:
    with RawClient(forebay.port, database) as client, RawClient(forebay.port, database) as other:
        client.query("LISTEN news")
        other.query("LISTEN news")
        ((backend,),) = other.query("SELECT pg_backend_pid()")
        assert notified(other, "NOTIFY news, 'hot'") == [(other.key[0], b"news\0hot\0")]
        assert eventually(lambda: notified(client)) == [(int(backend or 0), b"news\0hot\0")]


def test_in_a_transaction_of_many_results(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("LISTEN news")
        text = "BEGIN; NOTIFY news, 'a'; NOTIFY news, 'b'; SELECT 1; COMMIT; SELECT 2"
        assert notified(client, text) == [
            (client.key[0], b"news\0a\0"),
            (client.key[0], b"news\0b\0"),
        ]


def test_psycopg2(forebay: Forebay) -> None:
    connection = psycopg2.connect(forebay.dsn())
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("LISTEN news")
        cursor.execute("NOTIFY news, 'mine'")
    connection.poll()
    (notify,) = connection.notifies
    assert (notify.pid, notify.payload) == (connection.info.backend_pid, "mine")
    connection.close()


def test_psycopg(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn(), autocommit=True) as connection:
        connection.execute("LISTEN news")
        connection.execute("NOTIFY news, 'mine'")
        (notify,) = connection.notifies(timeout=10, stop_after=1)
        assert (notify.pid, notify.payload) == (connection.info.backend_pid, "mine")


def test_asyncpg(forebay: Forebay) -> None:
    async def listen() -> tuple[int, str]:
        connection = await asyncpg.connect(forebay.dsn(sslmode="require"))
        heard: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        def hear(_: object, pid: int, channel: str, payload: object) -> None:
            heard.set_result((pid - connection.get_server_pid(), f"{channel} {payload}"))

        await connection.add_listener("news", hear)
        await connection.execute("NOTIFY news, 'mine'")
        answer = await asyncio.wait_for(heard, 30)
        await connection.close()
        return answer

    assert asyncio.run(listen()) == (0, "news mine")
