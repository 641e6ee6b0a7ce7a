"""The program's life: draining, reloading, a worker or a node that dies."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psycopg2
import pytest

from forebay.embedded.certificates import Authority
from forebay.embedded.surroundings import free_port
from forebay.protocol.errors import PgError
from forebay.protocol.messages import query
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.raw import RawClient, serves

PLAIN = {"require_tls": False}


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    """A Forebay with three connections, without TLS."""
    return start_forebay(
        postgres.port,
        database,
        proxy=PLAIN,
        target={"database": database.name},
        pool=connections(3),
        node={"drain_timeout": 20},
    )


def test_a_unix_socket_needs_no_tls(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, tmp_path: Path
) -> None:
    port = free_port()
    listen = [f"{tmp_path}:{port}", f"127.0.0.1:{port}"]
    start_forebay(postgres.port, database, proxy={"listen": listen}, pool=connections(3))

    def ask(host: str) -> object:
        connection = psycopg2.connect(
            host=host,
            port=port,
            user=database.user,
            password=database.password,
            dbname=database.name,
            sslmode="disable",
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return cursor.fetchall()
        finally:
            connection.close()

    assert ask(str(tmp_path)) == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="requires TLS"):
        ask("127.0.0.1")


def test_sigterm_lets_transactions_finish(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    forebay.psql("CREATE TABLE t (n int)").ok()
    with (
        RawClient(forebay.port, database) as idle,
        RawClient(forebay.port, database) as working,
        RawClient(forebay.port, database) as asking,
    ):
        idle.query("SELECT 1")
        working.query("BEGIN")
        asking.send(query("SELECT pg_sleep(1)"))
        seen.wait_until_running("pg_sleep")
        forebay.signal(signal.SIGTERM)
        assert [each.fields["C"] for each in idle.until_end()] == ["57P01"]
        with pytest.raises(OSError, match="refused"):
            RawClient(forebay.port, database)
        working.query("INSERT INTO t VALUES (1)")
        working.send(query("COMMIT"))
        *answer, last = working.until_end()
        assert [each.kind for each in answer] == ["C", "Z"]
        assert (last.fields["S"], last.fields["C"]) == ("FATAL", "57P01")
        assert last.fields["M"] == "terminating connection due to administrator command"
        assert "".join(each.kind for each in asking.until_end()) == "TDCZE"
        assert forebay.wait() == 0
    assert seen.value("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", seen.name) == 0
    assert _rows(forebay, seen) == 1


def test_a_drain_is_bounded(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(
        postgres.port, database, proxy=PLAIN, node={"drain_timeout": 0.5}, pool=connections(2)
    )
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        forebay.signal(signal.SIGTERM)
        assert client.until_end()[-1].fields["C"] == "57P01"
        assert forebay.wait() == 0
    eventually(lambda: not seen.backends(), "no connection is left")


def test_limits_and_timeouts_are_reloaded(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as holding, RawClient(forebay.port, database) as waiting:
        forebay.reload(pool=connections(1, connection_borrow_timeout=0.2))
        holding.query("BEGIN")
        with pytest.raises(PgError, match="Timed-out waiting"):
            waiting.query("SELECT 1")
        forebay.reload(proxy={"max_client_connections": 2})
        with pytest.raises(PgError, match="exceeded 2"):
            RawClient(forebay.port, database)
        holding.query("COMMIT")
        forebay.reload(proxy={"idle_client_timeout": 1, "max_client_connections": 100})
        with RawClient(forebay.port, database) as newcomer:
            assert newcomer.until_end()[-1].fields["C"] == "57P05"


def test_debug_logging_is_reloaded(forebay: Forebay, database: TestDatabase) -> None:
    def come_and_go() -> None:
        with RawClient(forebay.port, database, {"application_name": "seen"}) as client:
            client.query("SELECT 1")
            client.leave()

    come_and_go()
    forebay.reload(proxy={"debug_logging": True})
    assert not forebay.logged("The client connection closed")
    come_and_go()
    assert '"application_name":"seen"' in forebay.wait_for_log("The client connection closed")
    told = len(forebay.logged("The client connection closed"))
    forebay.reload(proxy={"debug_logging": False})
    come_and_go()
    with pytest.raises(PgError, match="nothere"):  # whose log line comes behind that of the client
        RawClient(forebay.port, TestDatabase("postgres", "nothere", "x"))
    forebay.wait_for_log("nothere")
    assert len(forebay.logged("The client connection closed")) == told


def test_credentials_are_reloaded(
    forebay: Forebay, postgres: Postgres, database: TestDatabase
) -> None:
    changed = TestDatabase(database.name, database.user, "another")
    with RawClient(forebay.port, database) as client:
        postgres.sql(f"ALTER ROLE {database.user} PASSWORD 'another'")
        forebay._auth[database.user] = {"rotation_overlap": 0}
        secret = forebay.directory / "user-0.json"
        forebay._users[database.user] = "another"
        forebay.reload()
        assert json.loads(secret.read_text())["password"] == "another"
        assert client.query("SELECT 1") == [["1"]]  # who is in stays in
        with pytest.raises(PgError, match="is wrong"):
            RawClient(forebay.port, database)
        with RawClient(forebay.port, changed, {"DateStyle": "German"}) as newcomer:
            client.query("BEGIN")
            assert newcomer.query("SELECT 2") == [["2"]]


def test_the_certificate_is_reloaded(forebay: Forebay) -> None:
    assert forebay.psql("SELECT 1").ok()
    authority = Authority()
    certificate, key = authority.issue()
    forebay.ca_file.write_bytes(authority.certificate_pem)
    (forebay.directory / "server.crt").write_bytes(certificate)
    (forebay.directory / "server.key").write_bytes(key)
    assert forebay.psql("SELECT 1").code == 2  # the authority is not the one of the old certificate
    forebay.reload()
    assert forebay.psql("SELECT 1").ok().out == "1\n"


def test_a_bad_configuration_changes_nothing(forebay: Forebay, database: TestDatabase) -> None:
    with RawClient(forebay.port, database) as client:
        text = forebay.config.read_text()
        forebay.config.write_text(text + "\nmax_conections_percent = 7\n")
        forebay.signal(signal.SIGHUP)
        forebay.wait_for_log("Not reloaded")
        assert client.query("SELECT 1") == [["1"]]
        with RawClient(forebay.port, database) as newcomer:
            assert newcomer.query("SELECT 1") == [["1"]]


def test_a_worker_that_is_killed_is_replaced(
    forebay: Forebay, database: TestDatabase, seen: Observer
) -> None:
    with RawClient(forebay.port, database) as client:
        client.query("BEGIN")
        (worker,) = forebay.worker_pids
        os.kill(worker, signal.SIGKILL)
        assert client.until_end() == []
    # The listening socket is the node's: who connects meanwhile waits for the next worker.
    with RawClient(forebay.port, database) as client:
        assert client.query("SELECT 1") == [["1"]]
    assert forebay.worker_pids != [worker]
    assert forebay.logged("starting another")
    eventually(lambda: len(seen.backends()) <= 3, "the old connections are gone")


def test_clients_find_their_way_back_when_a_worker_is_killed(
    forebay: Forebay, database: TestDatabase
) -> None:
    stop = threading.Event()
    done: list[int] = []

    def work() -> None:
        count = 0
        while not stop.is_set():
            try:
                with RawClient(forebay.port, database) as client:
                    while not stop.is_set():
                        client.query("SELECT 1")
                        count += 1
            except (EOFError, ConnectionError, PgError):
                continue
        done.append(count)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            (worker,) = eventually(lambda: forebay.worker_pids)
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: serves(forebay.port, database), "it serves again")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert len(done) == 6


def test_a_worker_outlives_its_node(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    forebay = start_forebay(postgres.port, database, proxy=PLAIN, pool=connections(2))
    with RawClient(forebay.port, database) as client:
        client.query("SELECT 1")
        (worker,) = forebay.worker_pids
        forebay.stop(signal.SIGKILL)
        assert client.query("SELECT 2") == [["2"]]
        with RawClient(forebay.port, database) as newcomer:
            assert newcomer.query("SELECT 3") == [["3"]]
        os.kill(worker, signal.SIGTERM)
        assert client.until_end()[-1].fields["C"] == "57P01"
    eventually(lambda: not seen.backends(), "the worker has ended")


IDLE = """
import asyncio, resource, sys
from tests.harness.crowd import hold
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
asyncio.run(hold(int(sys.argv[1]), *sys.argv[2:5], count=int(sys.argv[5])))
"""


@pytest.mark.slow
def test_ten_thousand_idle_clients_while_a_hundred_work(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, seen: Observer
) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some descriptors are for the clients that work, and for everything else.
    count = 10_000 if hard == resource.RLIM_INFINITY else min(10_000, hard - 1000)
    if count < 500:
        pytest.skip(f"only {hard} descriptors a process: ulimit -Hn")
    forebay = start_forebay(
        postgres.port,
        database,
        proxy={**PLAIN, "max_client_connections": 20_000},
        pool=connections(20),
    )
    crowd = subprocess.Popen(
        [
            *(sys.executable, "-c", IDLE, str(forebay.port)),
            *(database.name, database.user, database.password, str(count)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    try:
        assert crowd.stdout.readline() == f"{count} logged in\n"
        forebay.pgbench("-i", "-s1", "-q").ok()
        finished = forebay.pgbench("-n", "-S", "-c100", "-j2", "-t20").ok()
        assert finished.transactions == 2000
        assert len(seen.backends()) <= 20
        crowd.stdin.write("ask\n")
        crowd.stdin.flush()
        assert crowd.stdout.readline() == f"{count} answered\n"
    finally:
        crowd.communicate(timeout=60)
    assert psycopg2.connect(forebay.dsn()).close() is None


def _rows(forebay: Forebay, seen: Observer) -> int:
    """What is in table t; Forebay is down."""
    database = forebay.database
    url = seen.url_for(database)
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM t")
        (count,) = cursor.fetchone()
    connection.close()
    return int(count)
