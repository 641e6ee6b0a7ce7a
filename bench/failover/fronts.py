"""What stands between clients and the two servers; started, told of a promotion, stopped."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.failover.libpq import libpq
from bench.process import Process, give_away
from bench.sides import PgBouncer
from forebay.embedded.postgres import free_port
from forebay.protocol import messages
from tests.harness import Forebay
from tests.harness.clients import TestDatabase
from tests.harness.raw import RawClient, serves
from tests.harness.waiting import eventually
from tests.nemesis.pair import LOGIN, Pair, Server
from tests.nemesis.rig import Front, at

POOL = 20
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Option:
    """One way to have it. ``start`` begins it for a pair; ``recovers``: whether clients get to the
    new writer without a person; ``missing``: why it cannot be tried here."""

    name: str
    start: Callable[[Pair, Path], contextlib.AbstractContextManager[Front]]
    recovers: bool = True
    missing: str = ""


@contextlib.contextmanager
def direct_libpq(pair: Pair, _: Path) -> Iterator[Front]:
    """No proxy."""
    yield libpq(pair)


@contextlib.contextmanager
def forebay(pair: Pair, folder: Path) -> Iterator[Front]:
    """Forebay of this tree, which knows both servers."""
    started = Forebay(
        folder,
        pair.a.port,
        LOGIN,
        proxy={"require_tls": False},
        target={
            "hosts": [server.address for server in pair.servers],
            "sslmode": "disable",
            "database": LOGIN.name,
        },
        pool={"max_connections": POOL},
    )
    with started:
        yield at("Forebay", started.port)


# ---- PgBouncer -----------------------------------------------------------------------------------


@dataclass(slots=True)
class RunningPgBouncer:
    """One that points to one server, until it is told another."""

    settings: Path
    port: int
    more: tuple[str, ...] = ()

    def point_to(self, port: int) -> None:
        """Write the configuration."""
        users = self.settings.with_name("users.txt")
        lines = [
            "[databases]",
            f"{LOGIN.name} = host={HOST} port={port}",
            "[pgbouncer]",
            f"listen_addr = {HOST}",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "pool_mode = transaction",
            f"default_pool_size = {POOL}",
            "max_client_conn = 5000",
            "auth_type = scram-sha-256",
            f"auth_file = {users}",
            f"admin_users = {LOGIN.user}",
            "server_tls_sslmode = disable",
            "log_connections = 0",
            "log_disconnections = 0",
            *self.more,
        ]
        users.write_text(f'"{LOGIN.user}" "{LOGIN.password}"\n')
        self.settings.write_text("\n".join(lines) + "\n")

    def reload(self) -> None:
        """Have it read its file again, and open new connections for all."""
        admin = TestDatabase("pgbouncer", LOGIN.user, LOGIN.password)
        with RawClient(self.port, admin) as console:
            for command in ("RELOAD", "RECONNECT"):
                console.ask(messages.query(command))


def pgbouncer(
    found: PgBouncer, *more: str, is_told: bool
) -> Callable[[Pair, Path], contextlib.AbstractContextManager[Front]]:
    """PgBouncer with its defaults, and ``more`` lines of settings.

    is_told: at a promotion a script rewrites its host, and says RELOAD and RECONNECT, as repmgr's
    and Patroni's callbacks do.
    """

    @contextlib.contextmanager
    def start(pair: Pair, folder: Path) -> Iterator[Front]:
        folder.mkdir(parents=True, exist_ok=True)
        prepared = ("max_prepared_statements = 200",) * found.multiplexes_prepared
        running = RunningPgBouncer(folder / "pgbouncer.ini", free_port(), prepared + more)
        running.point_to(pair.primary.port)
        for path in (folder, *folder.iterdir()):
            give_away(path)

        def promoted(both: Pair) -> None:
            running.point_to(both.primary.port)
            running.reload()

        command = [str(found.binary), str(running.settings)]
        with Process(command, folder / "log", unprivileged=True):
            eventually(lambda: serves(running.port, LOGIN), "PgBouncer serves")
            front = at(f"PgBouncer {found.version}", running.port, promoted if is_told else ignore)
            yield Front(front.name, front.connect, front.promoted, repair=promoted)

    return start


def ignore(_: Pair) -> None:
    """Nobody tells it."""


# ---- HAProxy -------------------------------------------------------------------------------------

HAPROXY = """
global
    stats socket {stats} mode 600
defaults
    mode tcp
    timeout connect 4s
    timeout client 30m
    timeout server 30m
    timeout check 5s
    maxconn 2000
listen postgres
    bind 127.0.0.1:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
    server a {a} maxconn 1000 check port {check_a}
    server b {b} maxconn 1000 check port {check_b}
"""
"""Patroni's own example, https://github.com/patroni/patroni/blob/master/haproxy.cfg; more clients,
so that they are not what is compared."""


@contextlib.contextmanager
def role_service(pair: Pair, server: Server) -> Iterator[int]:
    """Says over HTTP whether a server is the primary, as Patroni's REST API does, and faster."""

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            is_primary = pair.primary is server and server.is_running
            self.send_response(200 if is_primary else 503)
            self.end_headers()

        do_GET = do_OPTIONS  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as service:
        thread = threading.Thread(target=service.serve_forever, daemon=True)
        thread.start()
        try:
            yield service.server_address[1]
        finally:
            service.shutdown()
            thread.join()


@contextlib.contextmanager
def haproxy(pair: Pair, folder: Path) -> Iterator[Front]:
    """HAProxy as Patroni's documentation has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with role_service(pair, pair.a) as check_a, role_service(pair, pair.b) as check_b:
        port, stats = free_port(), folder / "stats"
        settings = folder / "haproxy.cfg"
        settings.write_text(
            HAPROXY.format(
                port=port,
                stats=stats,
                a=pair.a.address,
                b=pair.b.address,
                check_a=check_a,
                check_b=check_b,
            )
        )
        program = haproxy_program()
        assert program is not None
        with Process([program, "-db", "-f", str(settings)], folder / "log"):
            # At first it takes both for what is asked for.
            eventually(lambda: is_down(stats, pair.standby), "HAProxy knows", timeout_s=60)
            yield at("HAProxy", port)


def is_down(stats: Path, server: Server) -> bool:
    """Say whether it has found out that a server is not the primary."""
    if not stats.exists():
        return False
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(stats))
        asking.sendall(b"show stat\n")
        answer = asking.makefile().read()
    return any(
        line.startswith(f"postgres,{server.name},") and ",DOWN," in line
        for line in answer.splitlines()
    )


def haproxy_program() -> str | None:
    """Find it."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")


def options(named_pgbouncer: str | None) -> list[Option]:
    """Give all that is compared, in the order of the table."""
    bouncer = PgBouncer.find(named_pgbouncer)
    no_bouncer = "" if bouncer else "no PgBouncer on PATH"
    made: list[Option] = [
        Option("libpq, both hosts", direct_libpq),
        Option(
            "HAProxy, Patroni's example",
            haproxy,
            missing="" if haproxy_program() else "no HAProxy on PATH",
        ),
    ]
    if bouncer is not None:
        name = f"PgBouncer {bouncer.version}"
        made += [
            Option(f"{name}, told by a script", pgbouncer(bouncer, is_told=True)),
            Option(
                f"{name}, told, and server_login_retry = 1",
                pgbouncer(bouncer, "server_login_retry = 1", is_told=True),
            ),
            Option(f"{name}, told by nobody", pgbouncer(bouncer, is_told=False), recovers=False),
        ]
    else:
        made.append(Option("PgBouncer", direct_libpq, missing=no_bouncer))
    made.append(Option("Forebay", forebay))
    return made
