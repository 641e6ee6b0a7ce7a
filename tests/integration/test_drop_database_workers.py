"""Two workers before one server: one leaves a database that the other's client drops.

A node has one worker. Two nodes that share what passes between workers stand for a node of two.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg2
import pytest

from forebay.config import from_url
from forebay.net.tasks import spawn
from forebay.node import Node
from tests.harness import Postgres, TestDatabase

DROP = 'DROP DATABASE "{}"'
EXISTS = "SELECT count(*) FROM pg_database WHERE datname = '{}'"


@pytest.fixture
def shop(postgres: Postgres, database: TestDatabase) -> Iterator[str]:
    """A database beside the first one that its user may drop."""
    postgres.sql(f'ALTER ROLE "{database.user}" CREATEDB')
    name = f"{database.name}_shop"
    postgres.create_database(name, owner=database.user)
    yield name
    postgres.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
async def nodes(postgres: Postgres, database: TestDatabase) -> AsyncIterator[list[Node]]:
    url = f"postgresql://{database.user}:{database.password}@{postgres.host}:{postgres.port}"
    environ = {
        **os.environ,
        "FOREBAY_LISTEN": "127.0.0.1:0",
        "FOREBAY_REQUIRE_TLS": "false",
    }
    config = from_url(f"{url}/{database.name}", environ)
    async with contextlib.AsyncExitStack() as stack:
        made = [Node(config, environ=environ) for _ in range(2)]
        for node in made:
            node._reconciler.supervisor._evacuations = made[0]._reconciler.supervisor._evacuations
            await stack.enter_async_context(node)
        yield made


@pytest.fixture
def connect(nodes: list[Node], database: TestDatabase) -> Iterator[Callable[..., Any]]:
    """Logs a client in through one of the nodes."""
    with contextlib.ExitStack() as stack:

        async def connected(node: Node, name: str) -> Any:
            host, port = node.endpoints["default"]
            arguments = {
                "host": host,
                "port": port,
                "user": database.user,
                "password": database.password,
                "dbname": name,
                "sslmode": "disable",
            }
            connection = await asyncio.to_thread(psycopg2.connect, **arguments)
            connection.autocommit = True
            stack.callback(connection.close)
            assert await ask(connection, "SELECT 7") == 7
            return connection

        yield connected


async def ask(connection: Any, sql: str) -> Any:
    def execute() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0] if cursor.description else None

    return await asyncio.to_thread(execute)


async def test_another_worker_leaves(
    nodes: list[Node], connect: Callable[..., Any], shop: str
) -> None:
    stays = await connect(nodes[1], shop)
    drops = await connect(nodes[0], "postgres")
    assert nodes[0].worker_pid != nodes[1].worker_pid
    await ask(drops, DROP.format(shop))
    assert await ask(drops, EXISTS.format(shop)) == 0
    with pytest.raises(psycopg2.Error) as caught:
        await ask(stays, "SELECT 7")
    assert caught.value.pgcode == "3D000"
    await ask(drops, f'CREATE DATABASE "{shop}"')
    assert await ask(stays, "SELECT 7") == 7


async def test_another_worker_holds_back(
    nodes: list[Node], connect: Callable[..., Any], shop: str
) -> None:
    stays = await connect(nodes[1], shop)
    renames = await connect(nodes[0], "postgres")
    await ask(renames, "BEGIN")
    await ask(renames, f'ALTER DATABASE "{shop}" RENAME TO "{shop}_renamed"')
    asked = spawn(ask(stays, "SELECT 7"))
    waiting = 0
    while not waiting:
        waiting = int((await nodes[1].stats())["default"]["clients_waiting"])
    assert not asked.done()
    await ask(renames, "ROLLBACK")
    assert await asked == 7


async def test_a_worker_that_does_not_answer(
    nodes: list[Node], connect: Callable[..., Any], shop: str
) -> None:
    """Its connection is in the way; nobody hangs."""
    await connect(nodes[1], shop)
    drops = await connect(nodes[0], "postgres")
    assert nodes[1].worker_pid is not None
    os.kill(nodes[1].worker_pid, signal.SIGSTOP)
    try:
        with pytest.raises(psycopg2.Error) as caught:
            await ask(drops, DROP.format(shop))
        assert caught.value.pgcode == "55006"
    finally:
        os.kill(nodes[1].worker_pid, signal.SIGCONT)
    await ask(drops, DROP.format(shop))


async def test_a_worker_that_dies_before_its_client_is_answered(
    nodes: list[Node], connect: Callable[..., Any], shop: str
) -> None:
    stays = await connect(nodes[1], shop)
    renames = await connect(nodes[0], "postgres")
    await ask(renames, "BEGIN")
    await ask(renames, f'ALTER DATABASE "{shop}" RENAME TO "{shop}_renamed"')
    assert nodes[0].worker_pid is not None
    os.kill(nodes[0].worker_pid, signal.SIGKILL)
    assert await ask(stays, "SELECT 7") == 7


async def test_without_the_node(
    nodes: list[Node],
    connect: Callable[..., Any],
    shop: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps silent: the statement goes on all the same."""
    monkeypatch.setattr(nodes[0]._reconciler.supervisor._evacuations, "take", lambda *_: None)
    await connect(nodes[0], shop)
    drops = await connect(nodes[0], "postgres")
    await ask(drops, DROP.format(shop))
    assert await ask(drops, EXISTS.format(shop)) == 0
