"""What is compared: the database itself, PgBouncer, Forebay; started, found ready, measured."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from bench import proc
from bench.process import Process, give_away
from bench.target import ACCESS_KEY, REGION, Target
from bench.wire import FAILURES, Client, told
from forebay.embedded.postgres import free_port

READY_S = 30.0
PREPARED_SINCE = (1, 21)
PREPARED_STATEMENTS = 200
CLIENTS_MOST = 20_000


class Side(StrEnum):
    """The three, in the order of the table's columns."""

    DIRECT = "direct"
    PGBOUNCER = "PgBouncer"
    FOREBAY = "Forebay"


class SideError(Exception):
    """A side could not be started or ended by itself."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a proxy is to be set up: TLS on each side of it, database connections it may use, and who
    may log in beside the database's own user, with the same password; or, with ``tokens``, with IAM
    tokens alone."""

    client_tls: bool
    server_tls: bool
    connections: int
    more_users: Sequence[str] = ()
    tokens: bool = False


@dataclass(slots=True)
class Stand:
    """One side, running: where to reach it and what it costs."""

    side: Side
    target: Target
    process: Process | None = None
    control: tuple[str, int] = ("127.0.0.1", 0)  # where Forebay tells its figures over HTTP
    _pids: list[int] = field(default_factory=list)

    def usage(self) -> proc.Usage:
        """Give the CPU time of its processes so far. Raises SideError if one has ended."""
        return proc.usage(self._tree())

    def memory_bytes(self) -> int:
        """Give the memory of its processes. Raises SideError if one has ended."""
        return proc.memory_bytes(self._tree())

    def ended(self) -> str | None:
        """Give its last words if it ended by itself."""
        gone = self.process is not None and self.process.ended()
        return self.process.tail() if gone and self.process is not None else None

    def _tree(self) -> list[int]:
        """Give its processes; the same ones as ever, or what is measured would be no difference."""
        if self.process is None:
            return []
        now = [] if self.process.ended() else proc.tree(self.process.pid)
        gone = set(self._pids) - set(now)
        self._pids = now  # the next measurement may go on with its successors
        if gone or not now:
            raise SideError(f"a process of it has ended: {self.process.tail()}")
        return now


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """The PgBouncer to compare with."""

    binary: Path
    version: str

    @property
    def multiplexes_prepared(self) -> bool:
        """Say whether it shares connections between clients that prepare statements."""
        numbers = tuple(int(part) for part in re.findall(r"\d+", self.version)[:2])
        return numbers >= PREPARED_SINCE

    @classmethod
    def find(cls, named: str | None) -> "PgBouncer | None":
        """Find the one named, or on PATH. Raises SideError if the named one does not run."""
        path = named or shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if path is None:
            return None
        try:
            answer = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SideError(f"cannot run PgBouncer {path}: {error}") from None
        match = re.search(r"PgBouncer\s+(\S+)", answer.stdout)
        return cls(Path(path).resolve(), match[1] if match else "unknown")

    def configuration(self, database: Target, port: int, shape: Shape, folder: Path) -> str:
        """Give its configuration: transaction pooling, everything else as a user would have it."""
        lines = [
            "[databases]",
            f"* = host={database.host} port={database.port}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "pool_mode = transaction",
            f"default_pool_size = {shape.connections}",
            f"max_db_connections = {shape.connections}",
            f"max_client_conn = {CLIENTS_MOST // 2}",
            "auth_type = scram-sha-256",
            f"auth_file = {folder / 'users.txt'}",
            "so_reuseport = 0",
            "log_connections = 0",
            "log_disconnections = 0",
            "log_stats = 0",
            f"server_tls_sslmode = {'require' if shape.server_tls else 'disable'}",
        ]
        if self.multiplexes_prepared:
            lines.append(f"max_prepared_statements = {PREPARED_STATEMENTS}")
        if shape.client_tls:
            lines += [
                "client_tls_sslmode = require",
                f"client_tls_cert_file = {folder / 'server.crt'}",
                f"client_tls_key_file = {folder / 'server.key'}",
            ]
        return "\n".join(lines) + "\n"

    def start(self, database: Target, shape: Shape, folder: Path) -> Stand:
        """Start it; the caller stops its process."""
        port = free_port()
        users = folder / "users.txt"
        # Plain passwords, as most installations have them. Each side stretches it once and then
        # logs every client in with HMACs only (PgBouncer since 1.22: older ones do it each time).
        names = [database.user, *shape.more_users]
        users.write_text("".join(f'"{name}" "{database.password}"\n' for name in names))
        settings = folder / "pgbouncer.ini"
        settings.write_text(self.configuration(database, port, shape, folder))
        for path in (folder, *folder.iterdir()):
            give_away(path)
        process = Process([str(self.binary), str(settings)], folder / "log", unprivileged=True)
        return Stand(Side.PGBOUNCER, database.at(port, tls=shape.client_tls), process)


@dataclass(frozen=True, slots=True)
class Forebay:
    """The Forebay of this tree."""

    version: str
    # Of a database whose connections for users number 100, so that a percentage is a number.
    budget: int = 100

    def configuration(
        self, database: Target, port: int, shape: Shape, folder: Path, control_port: int = 0
    ) -> str:
        """Give its configuration; what is not named stays as users have it."""
        lines = [
            "[node]",
            f'control_listen = "127.0.0.1:{control_port or free_port()}"',
            "[proxies.bench]",
            f'listen = "127.0.0.1:{port}"',
            f"require_tls = {str(shape.client_tls).lower()}",
        ]
        if shape.client_tls:
            lines += [
                f'tls_certificate = "{folder / "server.crt"}"',
                f'tls_private_key = "{folder / "server.key"}"',
            ]
        for name in (database.user, *shape.more_users):
            secret = folder / f"{name}.json"
            lines += ["[[proxies.bench.auth]]", f'secret = "file:{secret}"']
            if shape.tokens:
                lines.append('iam_auth = "REQUIRED"')
        if shape.tokens:
            lines += [
                "[proxies.bench.iam]",
                'verifier = "keys"',
                f'region = "{REGION}"',
                f'hosts = ["{database.host}:{port}"]',
                f'access_keys = ["file:{folder / ACCESS_KEY.access_key_id}"]',
            ]
        lines += [
            "[proxies.bench.target]",
            f'hosts = ["{database.host}:{database.port}"]',
            f'sslmode = "{"require" if shape.server_tls else "disable"}"',
            "[proxies.bench.pool]",
            f"max_connections_percent = {shape.connections}",
            f"max_idle_connections_percent = {shape.connections}",
        ]
        return "\n".join(lines) + "\n"

    def start(self, database: Target, shape: Shape, folder: Path) -> Stand:
        """Start it; the caller stops its process."""
        port, control_port = free_port(), free_port()
        for name in (database.user, *shape.more_users):
            secret = folder / f"{name}.json"
            secret.touch(mode=0o600)
            secret.write_text(json.dumps({"username": name, "password": database.password}))
        key = folder / ACCESS_KEY.access_key_id
        key.touch(mode=0o600)
        known = {"AccessKeyId": ACCESS_KEY.access_key_id}
        key.write_text(json.dumps(known | {"SecretAccessKey": ACCESS_KEY.secret_access_key}))
        settings = folder / "forebay.toml"
        settings.write_text(self.configuration(database, port, shape, folder, control_port))
        command = Path(sys.executable).parent / "forebay"
        process = Process([str(command), "serve", str(settings)], folder / "log", env=environment())
        target = replace(database.at(port, tls=shape.client_tls), tokens=shape.tokens)
        return Stand(Side.FOREBAY, target, process, ("127.0.0.1", control_port))


def environment() -> dict[str, str]:
    """Give the environment without settings that would change what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FOREBAY_")}


def write_certificate(folder: Path, certificate: bytes, key: bytes) -> None:
    """Put the listeners' certificate where each side's configuration names it."""
    (folder / "server.crt").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    (folder / "server.key").chmod(0o600)


@contextlib.contextmanager
def running(stand: Stand) -> Iterator[Stand]:
    """Wait until a started side answers a query, and stop it at the end. Raises SideError."""
    with stand.process or contextlib.nullcontext():
        deadline = time.monotonic() + READY_S
        while True:
            try:
                with Client(stand.target) as client:
                    client.query("SELECT 1")
                break
            except FAILURES as error:
                ended = stand.process is None or stand.process.ended()
                if ended or time.monotonic() > deadline:
                    said = stand.process.tail() if stand.process else ""
                    raise SideError(f"{stand.side} did not start: {told(error)}\n{said}") from None
            time.sleep(0.05)
        yield stand
