"""The rig itself: a test that fails should be the program's fault, not the rig's."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forebay.embedded.postgres import Postgres, SetupError
from tests.harness import FaultProxy, Forebay, TestDatabase, descriptors, eventually, pgbench, psql


class TestPostgres:
    def test_life(self) -> None:
        with Postgres(max_connections=7, settings={"cluster_name": "it's"}) as server:
            assert server.sql("SHOW max_connections; SHOW cluster_name") == [("7",), ("it's",)]
            server.sql("CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)")
            server.restart()
            server.kill()
            with pytest.raises(SetupError, match="not running"):
                _ = server.pid
            server.start()
            assert server.sql("SELECT count(*) FROM kept") == [("1",)]
            server.configure(work_mem="5MB")
            eventually(lambda: server.sql("SHOW work_mem") == [("5MB",)])
            server.restart("immediate")
            assert server.sql("SHOW work_mem") == [("5MB",)]
            directory, pid = server.directory, server.pid
        assert not directory.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_values_come_back_as_they_are(self, postgres: Postgres) -> None:
        assert postgres.sql("SELECT E'a\\nb,\"c|', '', NULL") == [('a\nb,"c|', "", None)]

    def test_passwords_are_scram_and_needed(
        self, postgres: Postgres, database: TestDatabase
    ) -> None:
        stored = postgres.sql(
            f"SELECT rolpassword FROM pg_authid WHERE rolname = '{database.user}'"
        )
        assert stored[0][0] is not None
        assert stored[0][0].startswith("SCRAM-SHA-256$")
        with pytest.raises(SetupError, match="password authentication failed"):
            postgres.sql("SELECT 1", user=database.user, password="wrong")

    def test_md5(self, postgres: Postgres) -> None:
        with Postgres(postgres.binaries, hba=["local all old md5"]) as server:
            server.create_user("old", "secret", encryption="md5")
            assert server.sql("SELECT current_user", user="old", password="secret") == [("old",)]
            server.configure_hba("local all old reject")
            eventually(lambda: _is_rejected(server))

    def test_what_cannot_start_says_why(self) -> None:
        with pytest.raises(SetupError, match="no_such_setting"):
            Postgres(settings={"no_such_setting": 1}).start()

    def test_a_port_in_use_that_was_asked_for_is_an_error(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            pytest.raises(SetupError, match="did not start"),
        ):
            Postgres(port=taken.getsockname()[1]).start()

    def test_nothing_is_left_when_its_owner_is_killed(self) -> None:
        script = (
            "import time; from forebay.embedded.postgres import Postgres;"
            "server = Postgres().start();"
            "print(server.pid, server.directory, flush=True); time.sleep(1000)"
        )
        owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert owner.stdout is not None
        pid, directory = owner.stdout.readline().decode().split()
        owner.kill()
        owner.wait()
        owner.stdout.close()
        eventually(lambda: not Path(directory).exists(), "the directory is gone")
        eventually(lambda: not descriptors.is_running(int(pid)), "the server is gone")

    @pytest.mark.tls_server
    def test_tls_that_can_be_verified(
        self, tls_postgres: Postgres, tls_database: TestDatabase
    ) -> None:
        url = tls_postgres.url(tls_database.user, tls_database.password, tls_database.name)
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        full = psql(f"{url}?sslmode=verify-full&sslrootcert={tls_postgres.ca_file}", query)
        assert full.ok().rows == [("t",)]


class TestClients:
    def test_psql(self, postgres: Postgres, database: TestDatabase) -> None:
        url = postgres.url(database.user, database.password, database.name)
        assert psql(url, "SELECT 1, 2", "SELECT 3").ok().rows == [("1", "2"), ("3",)]
        assert psql(url, script="SELECT 4;\nSELECT 5;").ok().rows == [("4",), ("5",)]
        failed = psql(url, "SELECT nonsense")
        assert failed.code == 1
        assert "nonsense" in failed.err

    def test_pgbench(self, postgres: Postgres, database: TestDatabase) -> None:
        url = postgres.url(database.user, database.password, database.name)
        assert pgbench(url, "-i", "-q").code == 0
        assert pgbench(url, "-c2", "-t5", "-S").ok().transactions == 10


class TestFaultProxy:
    @pytest.fixture
    def echo(self) -> Iterator[FaultProxy]:
        """A fault proxy in front of a server that sends back what it gets."""
        script = (
            "import socketserver\n"
            "class Echo(socketserver.BaseRequestHandler):\n"
            "    def handle(self):\n"
            "        while data := self.request.recv(100): self.request.sendall(data)\n"
            "class Server(socketserver.ThreadingTCPServer):\n"
            "    def handle_error(self, request, client_address): pass\n"
            "server = Server(('127.0.0.1', 0), Echo)\n"
            "print(server.server_address[1], flush=True)\n"
            "server.serve_forever()\n"
        )
        server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert server.stdout is not None
        try:
            with FaultProxy(int(server.stdout.readline())) as proxy:
                yield proxy
        finally:
            server.send_signal(signal.SIGKILL)
            server.communicate()

    def connect(self, proxy: FaultProxy) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        return client

    def expect_reset(self, proxy: FaultProxy) -> None:
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client,
        ):
            client.recv(100)

    def test_it_passes_and_counts(self, echo: FaultProxy) -> None:
        with self.connect(echo), self.connect(echo):
            assert (echo.connections, echo.accepted) == (2, 2)
        eventually(lambda: echo.connections == 0)

    def test_cut_and_reset(self, echo: FaultProxy) -> None:
        with self.connect(echo) as client:
            echo.cut()
            assert client.recv(100) == b""
        with self.connect(echo) as client:
            echo.reset()
            with pytest.raises(ConnectionResetError):
                client.recv(100)

    def test_freeze_and_heal(self, echo: FaultProxy) -> None:
        with self.connect(echo) as client:
            echo.freeze()
            client.sendall(b"later")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(100)
            client.settimeout(20)
            echo.heal()
            assert client.recv(100) == b"later"

    def test_delay(self, echo: FaultProxy) -> None:
        with self.connect(echo) as client:
            echo.delay(0.05)
            started = time.monotonic()
            client.sendall(b"slow")
            assert client.recv(100) == b"slow"
            assert time.monotonic() - started >= 0.1  # there and back

    def test_refuse(self, echo: FaultProxy) -> None:
        echo.refuse()
        self.expect_reset(echo)
        echo.heal()
        self.connect(echo).close()

    def test_a_target_that_is_down(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with FaultProxy(port) as proxy:
            self.expect_reset(proxy)


class TestForebay:
    def test_psql_through_it(self, forebay: Forebay, database: TestDatabase) -> None:
        assert forebay.psql("SELECT current_user").ok().rows == [(database.user,)]
        assert forebay.psql("SELECT 1", password="wrong").code == 2
        assert forebay.psql("SELECT 1", sslmode="disable").code == 2
        assert forebay.wait_for_log("Serving")
        assert len(forebay.worker_pids) == 1

    def test_pgbench_through_it(self, forebay: Forebay) -> None:
        assert forebay.pgbench("-i", "-q").code == 0
        assert forebay.pgbench("-c4", "-t5", "-S").ok().transactions == 20

    def test_reload(self, forebay: Forebay) -> None:
        forebay.reload(pool={"max_connections_percent": 50})
        assert forebay.logged("max_connections_percent")

    def test_a_network_that_is_cut(
        self,
        start_forebay: Callable[..., Forebay],
        postgres: Postgres,
        database: TestDatabase,
    ) -> None:
        with FaultProxy(postgres.port) as network:
            forebay = start_forebay(network.port, database)
            assert forebay.psql("SELECT 1").ok().rows == [("1",)]
            network.reset()
            eventually(lambda: forebay.psql("SELECT 2").code == 0)
            forebay.stop()

    def test_it_ends_well(self, forebay: Forebay) -> None:
        assert forebay.stop() == 0

    def test_a_traceback_fails_the_test(self, forebay: Forebay) -> None:
        with forebay.log.open("a") as log:
            log.write("Traceback (most recent call last):\n")
        with pytest.raises(AssertionError):
            forebay.check()
        forebay.log.write_text("")

    @pytest.mark.tls_server
    def test_tls_on_both_sides(
        self,
        start_forebay: Callable[..., Forebay],
        tls_postgres: Postgres,
        tls_database: TestDatabase,
    ) -> None:
        forebay = start_forebay(
            tls_postgres.port,
            tls_database,
            target={"sslmode": "verify-full", "sslrootcert": str(tls_postgres.ca_file)},
        )
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert forebay.psql(query).ok().rows == [("t",)]


def _is_rejected(server: Postgres) -> bool:
    try:
        server.sql("SELECT 1", user="old", password="secret")
    except SetupError as error:
        return "reject" in str(error)
    return False
