"""What a running node tells of its worker: figures, who holds and waits, clients, pins, events."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import psycopg
import pytest

from forebay.channel import ClientRow, ConnectionRow, PoolFigures, ProxyView
from forebay.config import from_url
from forebay.node import Node, WorkerUnavailableError
from tests.harness import Postgres, TestDatabase
from tests.harness.limits import connections

Connect = Callable[..., Awaitable[psycopg.AsyncConnection[Any]]]
PROXY = "default"
LIMIT = 3


@pytest.fixture
async def node(postgres: Postgres, database: TestDatabase) -> AsyncIterator[Node]:
    url = f"postgresql://{database.user}:{database.password}@{postgres.host}:{postgres.port}"
    environ = {
        **os.environ,
        "FOREBAY_LISTEN": "127.0.0.1:0",
        "FOREBAY_REQUIRE_TLS": "false",
        "FOREBAY_POOL_MAX_CONNECTIONS_PERCENT": str(connections(LIMIT)["max_connections_percent"]),
    }
    async with Node(from_url(f"{url}/{database.name}", environ), environ=environ) as node:
        yield node


@pytest.fixture
async def connect(node: Node, database: TestDatabase) -> AsyncIterator[Connect]:
    async with contextlib.AsyncExitStack() as stack:

        async def connected(**options: Any) -> psycopg.AsyncConnection[Any]:
            host, port = node.endpoints[PROXY]
            made = await psycopg.AsyncConnection.connect(
                host=host,
                port=port,
                user=database.user,
                password=database.password,
                dbname=database.name,
                connect_timeout=30,
                **{"sslmode": "disable", **options},
            )
            stack.push_async_callback(made.close)
            return made

        yield connected


async def numbers(node: Node) -> dict[str, int | float]:
    node.observer._figures._answered_at = -1.0  # not the answer of a moment ago
    return (await node.observer.figures()).counted.proxies[PROXY].numbers


async def look(node: Node) -> ProxyView:
    node.observer._view._answered_at = -1.0
    return (await node.observer.view())[PROXY]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; the test's own timeout bounds it."""
    while not await condition():  # noqa: ASYNC110 - what it waits for is another process's
        await asyncio.sleep(0.02)


async def test_what_clients_do_is_counted(node: Node, connect: Connect) -> None:
    before = await numbers(node)
    client = await connect(autocommit=True)
    await client.execute("SELECT 1")  # the extended protocol: one request each
    await client.execute("SELECT %s::int", (7,))
    async with client.transaction():
        await client.execute("SELECT pg_sleep(0.05)")
    after = await numbers(node)
    change = {name: after[name] - before[name] for name in after}
    assert change["queries"] == change["queries_no_tls"] == 5  # BEGIN and COMMIT are two of them
    assert change["transactions"] == 3
    assert change["borrows"] in (3, 4)  # the first greeting borrows a connection, too
    assert change["client_connections"] == change["client_connections_setup_succeeded"] == 1
    assert change["transaction_us"] >= change["query_us"] >= 50_000
    assert change["received_bytes"] > 100
    assert change["sent_bytes"] > 100
    assert (after["target_available"], after["queries_tls"]) == (1, 0)
    proxy = (await node.observer.figures()).counted.proxies[PROXY]
    assert proxy.parts["logins"] == {"scram-sha-256": 1}
    assert proxy.histograms["query"].count == proxy.histograms["database"].count == 5
    assert proxy.histograms["query"].percentile_us(1.0) >= 48_000


async def test_tls_is_counted(node: Node, connect: Connect) -> None:
    client = await connect(sslmode="require", autocommit=True)
    await client.execute("SELECT 1")
    found = await numbers(node)
    assert (found["client_connections_tls"], found["client_connections_no_tls"]) == (1, 0)
    assert (found["queries_tls"], found["queries_no_tls"]) == (1, 0)
    parts = (await node.observer.figures()).counted.proxies[PROXY].parts
    assert parts["tls_versions"] == {"TLSv1.3": 1}
    (row,) = [each async for each in node.observer.clients(PROXY)]
    assert row.tls == "TLSv1.3"
    await client.close()

    async def has_gone() -> bool:
        return (await numbers(node))["client_connections_tls"] == 0

    await until(has_gone)


async def test_prepared_statements_are_counted(node: Node, connect: Connect) -> None:
    one, other = await connect(autocommit=True), await connect(autocommit=True)
    one.prepare_threshold = other.prepare_threshold = 0
    for client in (one, other, one):
        await client.execute("SELECT %s::int", (7,))
    found = await numbers(node)
    assert (found["client_parses"], found["server_parses"], found["binds"]) == (2, 1, 3)


async def test_logins_that_fail_are_counted_by_their_sqlstate(
    node: Node, database: TestDatabase
) -> None:
    host, port = node.endpoints[PROXY]
    with pytest.raises(psycopg.OperationalError):
        await psycopg.AsyncConnection.connect(
            f"host={host} port={port} user={database.user} password=wrong sslmode=disable"
        )

    async def is_counted() -> bool:  # after the client has been told
        return (await numbers(node))["client_connections_setup_failed"] == 1

    await until(is_counted)
    found = await numbers(node)
    assert found["client_connections_setup_failed_auth"] == found["wrong_passwords"] == 1
    parts = (await node.observer.figures()).counted.proxies[PROXY].parts
    assert {key: count for key, count in parts["login_failures"].items() if count} == {"28P01": 1}


async def test_micropools_are_told_on_demand(
    node: Node, connect: Connect, database: TestDatabase
) -> None:
    client = await connect()
    await client.execute("SELECT 1")
    assert (await node.observer.figures()).counted.proxies[PROXY].pools == []
    figures = await node.observer.figures(pools=True)
    (pool,) = figures.counted.proxies[PROXY].pools
    assert isinstance(pool, PoolFigures)
    assert (pool.database, pool.user) == (database.name, database.user)
    assert (pool.clients, pool.connections, pool.borrowed, pool.queries) == (1, 1, 1, 2)
    assert figures.worker.pid == node.worker_pid
    assert figures.worker.anonymous_bytes > 1_000_000
    assert figures.counted.lateness.count >= 0


async def test_who_holds_and_who_waits(node: Node, connect: Connect) -> None:
    holders = [await connect(application_name=f"lambda-{n}") for n in range(LIMIT)]
    for each in holders:
        await each.execute("SELECT 1")  # a transaction that nobody ends
    waiter = await connect(application_name="web")
    waiting = asyncio.ensure_future(waiter.execute("SELECT 2"))

    async def is_waiting() -> bool:
        return (await numbers(node))["clients_waiting"] == 1

    await until(is_waiting)
    view = await look(node)
    assert [each.application for each in view.holders] == [f"lambda-{n}" for n in range(LIMIT)]
    assert {each.state for each in view.holders} == {"idle in transaction"}
    assert view.states == {"idle in transaction": LIMIT}
    assert [(each.application, each.state) for each in view.waiters] == [("web", "waiting")]
    assert view.waiters[0].state_s >= 0
    assert view.sentence.startswith(f"All {LIMIT} database connections are held")
    assert view.hint.startswith("Commit or roll back")
    assert (await numbers(node))["database_connections_in_transaction"] == LIMIT
    for each in holders:
        await each.rollback()
    await waiting
    assert (await numbers(node))["wait_us"] > 0


async def test_clients_and_connections_row_by_row(
    node: Node, connect: Connect, monkeypatch: pytest.MonkeyPatch, database: TestDatabase
) -> None:
    monkeypatch.setattr("forebay.node.observer.ROWS_AT_ONCE", 2)
    clients = [await connect(application_name=f"c{n}", autocommit=True) for n in range(5)]
    await clients[3].execute("LISTEN news")
    await clients[4].execute("BEGIN")

    async def is_pinned() -> bool:
        return (await numbers(node))["clients_pinned"] == 1

    await until(is_pinned)
    rows = [each async for each in node.observer.clients(PROXY)]
    assert all(isinstance(each, ClientRow) for each in rows)
    states = {each.application: each.state for each in rows}
    assert states == {
        **dict.fromkeys(["c0", "c1", "c2"], "idle"),
        "c3": "idle, pinned",
        "c4": "idle in transaction",
    }
    pinned = next(each for each in rows if each.application == "c3")
    assert (pinned.pins, pinned.user, pinned.tls) == (["LISTEN"], database.user, "")
    assert pinned.address.startswith("127.0.0.1:")
    rows_of_connections = [each async for each in node.observer.connections(PROXY)]
    assert all(isinstance(each, ConnectionRow) for each in rows_of_connections)
    by_id = {each.id: each for each in rows_of_connections}
    assert by_id[pinned.connection].client == pinned.id
    held = {each.state for each in rows_of_connections if each.client}
    assert held == {"idle, pinned", "idle in transaction"}


async def test_who_stays_is_told_whoever_leaves_meanwhile(
    node: Node, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.node.observer.ROWS_AT_ONCE", 2)
    clients = {f"c{n}": await connect(application_name=f"c{n}") for n in range(7)}
    rows = node.observer.clients(PROXY)
    told = [(await anext(rows)).application for _ in range(2)]
    for name in told:
        await clients.pop(name).close()

    async def have_left() -> bool:
        return (await numbers(node))["client_connections"] == len(clients)

    await until(have_left)
    assert [each.application async for each in rows] == sorted(clients)


async def test_pins_by_kind(node: Node, connect: Connect) -> None:
    client = await connect(application_name="web", autocommit=True)
    await client.execute("LISTEN news")

    async def is_pinned() -> bool:
        return (await numbers(node))["clients_pinned"] == 1

    await until(is_pinned)
    (pin,) = (await look(node)).pins
    assert (pin.reason, pin.digest, pin.application) == ("LISTEN", "listen news", "web")
    assert (pin.count, pin.now) == (1, 1)
    assert pin.hint
    await client.execute("UNLISTEN *")

    async def has_ended() -> bool:
        return (await numbers(node))["clients_pinned"] == 0

    await until(has_ended)
    (pin,) = (await look(node)).pins
    assert (pin.count, pin.now) == (1, 0)
    assert pin.total_s == pin.longest_s > 0


async def test_what_a_worker_warns_of_is_an_event(node: Node, connect: Connect) -> None:
    client = await connect(autocommit=True)
    await client.execute("LISTEN news")

    async def is_told() -> bool:
        return any("was pinned" in each.text for each in node.observer.events.since())

    await until(is_told)


async def test_a_history_comes_to_be(node: Node, connect: Connect) -> None:
    await connect()

    async def has_come() -> bool:
        return any(each.proxies[PROXY].clients == 1 for each in node.history.since())

    await until(has_come)
    newest = node.history.since()[-1]
    assert newest.proxies[PROXY].limit == LIMIT
    assert newest.worker_cpu >= 0


async def test_a_proxy_that_there_is_not(node: Node) -> None:
    with pytest.raises(WorkerUnavailableError, match="there is no proxy 'nobody'"):
        [each async for each in node.observer.clients("nobody")]
