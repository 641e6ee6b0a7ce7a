"""A READ_ONLY endpoint before a writer and two standbys: where clients read, and what they notice
when readers come, go, die or are promoted. What the node would tell is told by the test."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest

from forebay.channel import Route, RouteServer
from forebay.embedded.member import Member
from forebay.embedded.pair import Pair
from forebay.protocol.errors import PgError
from forebay.protocol.messages import cancel_request, query, sync
from forebay.worker.figures import figures_of
from forebay.worker.views import connections_of
from tests.harness import Forebay, TestDatabase, eventually
from tests.harness.inside import HOST, Inside
from tests.harness.raw import RawClient, bind, execute, parse

DATABASE = TestDatabase("postgres", "app", "secret")
WHERE = "SELECT inet_server_port()"
GONE = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
RUNS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'"
FOLLOWS = "SELECT count(*) FROM pg_roles WHERE rolname = 'app'"


def started() -> Iterator[Pair]:
    with Pair(standbys=2, synchronous=False) as servers:
        servers.writer.sql("CREATE ROLE app LOGIN PASSWORD 'secret'")
        for standby in servers.standbys:
            eventually(lambda each=standby: each.sql(FOLLOWS) == [("1",)], "the role is there")
        yield servers


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Servers that stay as they are."""
    yield from started()


@pytest.fixture
def own_pair() -> Iterator[Pair]:
    """Servers of one test's own."""
    yield from started()


class Endpoint(Inside):
    """The endpoint before a pair, and what the node tells it."""

    def __init__(self, pair: Pair, pool: dict[str, Any] | None = None, **target: Any) -> None:
        super().__init__(
            pair.writer.port,
            DATABASE,
            pool=pool,
            target={"hosts": pair.hosts, **target},
            target_role="READ_ONLY",
        )
        self.pair = pair
        self.epoch = 1
        self.clients: list[RawClient] = []

    def tell(
        self,
        *standbys: Member,
        writer: Member | None = None,
        lost: tuple[Member, ...] = (),
        lags: dict[Member, float] | None = None,
    ) -> None:
        """These are the standbys from now on."""
        servers = [
            RouteServer(address=address(each), weight=100, lag_s=(lags or {}).get(each, 0.0))
            for each in standbys
        ]
        route = Route(
            epoch=self.epoch,
            state="UP",
            writer=address(writer or self.pair.writer),
            standbys=servers,
            lost=[address(each) for each in lost],
            servers=len({writer or self.pair.writer, *standbys, *lost}),
        )
        self.ask(lambda proxy: proxy.route(route))

    def client(self) -> RawClient:
        self.clients.append(RawClient(self.port, DATABASE))
        return self.clients[-1]

    def __exit__(self, *details: object) -> None:
        for each in self.clients:
            each.__exit__()
        super().__exit__(*details)

    def connections_to(self, server: Member) -> int:
        """Open ones, whoever has them."""
        return self.ask(
            lambda proxy: sum(
                len(each.manager.servers)
                for each in proxy.backends
                if each.target.port == server.port
            )
        )

    def counts(self) -> dict[int, tuple[int, int]]:
        """Of each server, by its port: connections, and clients."""
        return self.ask(
            lambda proxy: {
                each.target.port: (
                    len(each.manager.servers),
                    sum(pool.clients for pool in each.manager.pools.values()),
                )
                for each in proxy.backends
                if not each.manager.census.on_hold
            }
        )


def address(server: Member) -> str:
    return f"{HOST}:{server.port}"


def where(client: RawClient) -> int:
    """The port of the server that a client reads from."""
    return int(client.query(WHERE)[0][0] or "")


@pytest.fixture
def own_endpoint(own_pair: Pair) -> Iterator[Endpoint]:
    with Endpoint(own_pair) as made:
        made.tell(*own_pair.standbys)
        yield made


@pytest.fixture
def endpoint(pair: Pair) -> Iterator[Endpoint]:
    with Endpoint(pair) as made:
        made.tell(*pair.standbys)
        yield made


def test_clients_are_spread_and_nobody_can_write(endpoint: Endpoint, pair: Pair) -> None:
    standbys = {each.port for each in pair.standbys}
    clients = [endpoint.client() for _ in range(6)]
    found = [where(each) for each in clients]
    assert {found.count(port) for port in standbys} == {3}
    assert [where(each) for each in clients] == found  # each stays where it is
    assert {count for _, count in endpoint.counts().values()} == {3}
    for client in clients:
        with pytest.raises(PgError) as refused:
            client.query("CREATE TABLE t (x int)")
        assert refused.value.sqlstate == "25006"
        assert client.query("SELECT 1") == [["1"]]
        client.leave()
    with psycopg.connect(
        host=HOST, port=endpoint.port, user="app", password="secret", dbname="postgres"
    ) as connection:
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
        for _ in range(7):  # prepares the statement after some
            assert connection.execute("SELECT %s::int", [7]).fetchone() == (7,)
    numbers = asyncio.run_coroutine_threadsafe(
        figures_of(endpoint.ask(lambda proxy: proxy), pools=True), endpoint.loop
    ).result(30)
    assert numbers.target_role == "READ_ONLY"
    assert numbers.numbers["server_max_connections"] == 200
    assert numbers.numbers["database_connections"] == sum(n for n, _ in endpoint.counts().values())
    (pool,) = numbers.pools  # of all servers together
    assert pool.connections == numbers.numbers["database_connections"]
    rows = endpoint.ask(lambda proxy: connections_of(proxy, 0, 100)).rows
    assert {each.server for each in rows} == {address(each) for each in pair.standbys}


def test_a_reader_that_leaves_costs_nobody_anything(endpoint: Endpoint, pair: Pair) -> None:
    """Settings, prepared statements and transactions go on; connections close as they come free."""
    first, second = pair.standbys
    clients = [endpoint.client() for _ in range(4)]
    for number, client in enumerate(clients):
        client.query(f"SET application_name = 'client {number}'")
        client.ask(parse(f"SELECT {number}, inet_server_port()", "mine") + sync())
    busy = next(each for each in clients if where(each) == first.port)
    busy.query("BEGIN")
    assert where(busy) == first.port
    endpoint.tell(second)
    assert where(busy) == first.port
    busy.query("COMMIT")
    for number, client in enumerate(clients):
        client.send(bind(name="mine") + execute() + sync())
        assert client.rows() == [[str(number), str(second.port)]]
        assert client.query("SHOW application_name") == [[f"client {number}"]]
    eventually(lambda: endpoint.connections_to(first) == 0, "its connections are closed")
    endpoint.tell(first, second)
    eventually(lambda: [n for _, n in endpoint.counts().values()] == [2, 2], "half of them go back")
    assert sorted(map(where, clients)) == sorted([first.port, second.port] * 2)


def test_a_reader_that_dies_takes_only_what_ran_there(own_endpoint: Endpoint) -> None:
    endpoint, pair = own_endpoint, own_endpoint.pair
    first, second = pair.standbys
    clients = [endpoint.client() for _ in range(8)]
    there = [each for each in clients if where(each) == first.port]
    assert len(there) == 4
    busy, *idle = there
    busy.send(query("SELECT pg_sleep(60)"))
    eventually(
        lambda: first.sql(RUNS) == [("1",)],
        "it runs",
    )
    first.stop("immediate")
    # Before the node knows: who asks waits, and is served elsewhere.
    assert [where(each) for each in idle[:2]] == [second.port] * 2
    endpoint.tell(second, lost=(first,))
    assert [where(each) for each in clients if each is not busy] == [second.port] * 7
    (error,) = [each for each in busy.until("EZ") if each.kind == "E"]
    assert error.fields["C"][:2] in ("08", "57")
    first.start()
    endpoint.tell(first, second)
    eventually(lambda: endpoint.counts()[first.port][1] >= 3, "clients come back to it")
    assert {where(each) for each in clients if each is not busy} == {first.port, second.port}


def test_a_reader_that_is_promoted_serves_no_reads(own_endpoint: Endpoint) -> None:
    """Who is pinned to it is told; the writer of before reads when it is back."""
    endpoint, pair = own_endpoint, own_endpoint.pair
    first, second = pair.standbys
    old = pair.writer
    clients = [endpoint.client() for _ in range(4)]
    here = {each: where(each) for each in clients}
    pinned, idle = [each for each in clients if here[each] == first.port]
    pinned.query("PREPARE mine AS SELECT 1")
    assert where(pinned) == first.port
    old.stop()
    assert pair.promote(first) is first
    endpoint.epoch = 2
    endpoint.tell(second, writer=first, lost=(old,))
    (error,) = [each for each in pinned.until_end() if each.kind == "E"]
    assert error.fields["C"] == "08006"
    assert address(first) in error.fields["D"]
    assert [where(each) for each in clients if each is not pinned] == [second.port] * 3
    eventually(lambda: first.sql(GONE) == [("0",)], "its connections are closed")
    pair.rejoin(old)
    endpoint.tell(second, old, writer=first)
    eventually(lambda: endpoint.counts()[old.port][1] > 0, "clients come to it")
    assert {where(each) for each in clients if each is not pinned} == {old.port, second.port}
    assert idle.query("SHOW transaction_read_only") == [["on"]]


def test_no_reader(pair: Pair) -> None:
    """Requests wait where there will be one again, and fail at once where there is none; the server
    that writes never stands in."""
    first, second = pair.standbys
    with Endpoint(pair, pool={"connection_borrow_timeout": 0.5}) as endpoint:
        with pytest.raises(PgError) as refused:
            endpoint.client()
        assert refused.value.sqlstate == "08000"
        assert refused.value.detail == "it is not known yet which servers are readers"
        endpoint.tell(first)
        client = endpoint.client()
        assert where(client) == first.port
        endpoint.tell(lost=(first, second))
        for _ in range(2):
            with pytest.raises(PgError) as refused:
                client.query("SELECT 1")
            assert refused.value.message == "Timed-out waiting to acquire database connection."
            assert address(second) in (refused.value.detail or "")
        newcomer = endpoint.client()  # it is greeted from memory
        newcomer.send(query(WHERE))
        endpoint.tell(second, lost=(first,))
        assert newcomer.rows() == [[str(second.port)]]
        assert where(client) == second.port
        endpoint.tell()
        for each in (client, newcomer):
            with pytest.raises(PgError) as refused:
                each.query("SELECT 1")
            assert (refused.value.sqlstate, refused.value.message) == (
                "08000",
                "The target has no reader.",
            )
        endpoint.tell(first, second)
        assert {where(each) for each in (client, newcomer)} <= {first.port, second.port}


def test_who_finds_its_reader_full_reads_elsewhere(pair: Pair) -> None:
    first, second = pair.standbys
    with Endpoint(pair, pool={"max_connections": 1, "connection_borrow_timeout": 60}) as endpoint:
        endpoint.tell(first, second)
        clients = [endpoint.client() for _ in range(6)]
        here = [each for each in clients if where(each) == first.port]
        assert len(here) == 3
        here[0].query("BEGIN")
        assert where(here[1]) == second.port
        there = next(each for each in clients if each not in here)
        there.query("BEGIN")
        here[2].send(query(WHERE))
        eventually(
            lambda: endpoint.ask(lambda proxy: sum(e.manager.waiting for e in proxy.backends)) == 1,
            "it waits",
        )
        there.query("COMMIT")
        assert here[2].rows() == [[str(second.port)]]
        here[0].query("COMMIT")


def test_a_reader_that_is_far_behind_gets_nobody(pair: Pair) -> None:
    first, second = pair.standbys
    with Endpoint(pair, max_replica_lag=5.0) as endpoint:
        endpoint.tell(first, second)
        clients = [endpoint.client() for _ in range(4)]
        for lag_s, ports in (
            (5.1, {second.port}),
            (4.9, {second.port}),
            (3.9, {first.port, second.port}),
            (4.9, {first.port, second.port}),
        ):
            endpoint.tell(first, second, lags={first: lag_s})
            eventually(
                lambda ports=ports: {p for p, (_, n) in endpoint.counts().items() if n} == ports,
                "they have moved",
            )
            assert {where(each) for each in clients} == ports


def test_a_cancel_reaches_the_reader_that_was_left(endpoint: Endpoint, pair: Pair) -> None:
    first, second = pair.standbys
    clients = [endpoint.client() for _ in range(2)]
    client = next(each for each in clients if where(each) == first.port)
    client.send(query("SELECT pg_sleep(60)"))
    eventually(lambda: first.sql(RUNS) == [("1",)], "it runs")
    endpoint.tell(second)
    with socket.create_connection((HOST, endpoint.port)) as canceller:
        canceller.sendall(cancel_request(*client.key))
        assert canceller.recv(1) == b""
    with pytest.raises(PgError) as cancelled:
        client.rows()
    assert cancelled.value.sqlstate == "57014"
    assert where(client) == second.port


def test_drivers_read_as_they_are(endpoint: Endpoint, pair: Pair) -> None:
    """Each with its own ways of preparing, while readers come and go."""
    first, second = pair.standbys
    how = {"host": HOST, "port": endpoint.port, "user": "app", "password": "secret"}

    async def with_asyncpg() -> None:
        connection = await asyncpg.connect(database="postgres", **how)
        for readers in ((first,), (second,), (first, second)):
            endpoint.tell(*readers)
            for number in range(3):
                assert await connection.fetchval("SELECT $1::int", number) == number
        assert await connection.fetchval("SHOW transaction_read_only") == "on"
        await connection.close()

    asyncio.run(with_asyncpg())
    for connect in (psycopg.connect, psycopg2.connect):
        connection = connect(dbname="postgres", **how)
        connection.autocommit = True
        cursor = connection.cursor()
        for readers in ((first,), (second,), (first, second)):
            endpoint.tell(*readers)
            for number in range(7):
                cursor.execute("SELECT %s::int", (number,))
                assert cursor.fetchone() == (number,)
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("on",)
        connection.close()


def test_the_whole_program_follows_its_readers(
    start_forebay: Callable[..., Forebay], own_pair: Pair
) -> None:
    """Readers die, fall silent, are promoted and come back; the node finds out by itself."""
    pair = own_pair
    first, second = pair.standbys
    old = pair.writer
    forebay = start_forebay(
        old.port,
        DATABASE,
        proxy={"require_tls": False, "target_role": "READ_ONLY"},
        target={"hosts": pair.hosts},
    )
    clients = [RawClient(forebay.port, DATABASE) for _ in range(6)]

    def spread_over(*servers: Member) -> None:
        ports = {each.port for each in servers}
        eventually(lambda: {where(each) for each in clients} == ports, "all of these have clients")

    spread_over(first, second)
    first.stop("immediate")
    spread_over(second)
    first.start()
    spread_over(first, second)
    # One that says nothing: who was asking there is told, the others do not notice.
    asking = next(each for each in clients if where(each) == first.port)
    first.freeze()
    asking.send(query("SELECT 1"))
    (answer,) = [each for each in asking.until("EZ") if each.kind == "E"]
    assert answer.fields["C"][:2] == "08"
    clients.remove(asking)
    asking.__exit__()
    spread_over(second)
    first.thaw()
    spread_over(first, second)
    old.kill()
    assert pair.promote(first) is first
    spread_over(second)
    pair.rejoin(old)
    spread_over(second, old)
    for each in clients:
        assert each.query("SHOW transaction_read_only") == [["on"]]
        each.leave()
