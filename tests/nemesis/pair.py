"""A primary and a synchronous standby of real PostgreSQL, for faults that kill one of them.

Both are direct children of this process, and are reaped: a postmaster that was killed and not
reaped makes the next one say that another is running. Their data is copied from a template that is
made once per process, so that a pair takes less than a second.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from forebay.embedded.home import Home
from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import HOST
from forebay.protocol import messages
from tests.harness import TestDatabase, descriptors
from tests.harness.raw import RawClient
from tests.harness.waiting import eventually
from tests.nemesis.namespaces import Apart

LOGIN = TestDatabase("rig", "rig", "a-rig-of-two")
MAX_CONNECTIONS = 300  # so many that clients can do without a pooler, too
PARTS_COPIED_EMPTY = ("pg_wal", "pg_replslot", "pg_stat_tmp", "pg_dynshmem", "pg_notify")
NEVER_COPIED = ("postmaster.pid", "postmaster.opts", "standby.signal", "backup_label.old")

# Without any key: what is written twice is there twice. ``port`` says which server a row was
# written on. ``direct`` is for whoever finds out whether a server takes writes.
TABLES = """
CREATE ROLE rig LOGIN PASSWORD 'a-rig-of-two';
CREATE DATABASE rig OWNER rig;
\\connect rig
SET ROLE rig;
CREATE TABLE writes (
    client int NOT NULL, seq int NOT NULL, part int NOT NULL DEFAULT 0,
    port int DEFAULT inet_server_port()
);
CREATE TABLE direct (at timestamptz DEFAULT clock_timestamp());
"""
SETTINGS: dict[str, str | int] = {
    # Synchronous replication needs the first; nothing here survives a power failure (fsync off).
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_keep_size": "256MB",
    "wal_retrieve_retry_interval": "50ms",
    "max_wal_senders": 6,
    "autovacuum": "off",
}


class Template:
    """What the data of every pair is copied from; ``with Template() as template:``."""

    def __init__(self, max_connections: int = MAX_CONNECTIONS) -> None:
        self.max_connections = max_connections
        self._postgres = Postgres(settings=SETTINGS, max_connections=max_connections)

    def __enter__(self) -> Self:
        self._postgres.start()
        self._postgres.sql(TABLES)
        self._postgres.stop()
        return self

    def __exit__(self, *_: object) -> None:
        self._postgres.close()

    @property
    def data(self) -> Path:
        return self._postgres.home.data

    @property
    def password(self) -> str:
        """The superuser's."""
        return self._postgres.password

    @property
    def version(self) -> str:
        return self._postgres.binaries.version


class Server(Postgres):
    """One of the two; ``network``: where it runs, if it has a network of its own."""

    def __init__(self, template: Template, name: str, network: Apart | None = None) -> None:
        host = HOST if network is None else network.host
        kinds = ("all", "replication")
        super().__init__(
            settings={**SETTINGS, "listen_addresses": host},
            max_connections=template.max_connections,
            hba=[f"host {kind} all samenet scram-sha-256" for kind in kinds if network],
        )
        self.host = host
        self._network = network
        self.name = name
        self.password = template.password
        self._template = template
        self._frozen: list[int] = []
        self.orphans: list[int] = []

    def __repr__(self) -> str:
        return f"{self.name} ({self.host}:{self.port})"

    def prepare(self) -> None:
        """Gives it the template's data."""
        self._home = Home(self.binaries)
        self._home.log.touch()
        shutil.rmtree(self._home.data)
        copy_tree(self._template.data, self._home.data)

    def start(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self._network is not None:
                stack.enter_context(self._network.entered())
            return super().start()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def pids(self) -> list[int]:
        """The postmaster and all that it has started."""
        return descriptors.family(self.pid)

    # -- being what --------------------------------------------------------------------------------

    def follow(self, primary: Server) -> None:
        """Writes down that it is a standby of the other, for its next start."""
        self._settings |= {
            "primary_conninfo": (
                f"host={primary.host} port={primary.port} user={primary.superuser}"
                f" password={primary.password} application_name={self.name}"
            ),
            "synchronous_standby_names": "",
        }
        self.home.write(self.home.data / "standby.signal", "", 0o600)

    def promote(self) -> None:
        """Has a standby become a primary, as ``pg_ctl promote`` does; returns at once."""
        # Whole at once: the postmaster looks for it, and takes it away, whenever it is signalled,
        # as by a receiver that has lost the primary.
        prepared = self.home.data / "promote.new"
        self.home.write(prepared, "", 0o600)
        prepared.rename(self.home.data / "promote")
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def rebase(self, primary: Server) -> None:
        """Takes a new copy of the primary's data, and starts as its standby."""
        self.thaw()
        self.stop("immediate")
        # Those that a killed postmaster has left in the midst of something.
        send(signal.SIGKILL, self.orphans)
        self.orphans = []
        shutil.rmtree(self.home.data)
        # One session from the start of the backup to its end.
        with primary.session() as session:

            def is_promoted() -> bool:
                return session.query("SELECT pg_is_in_recovery()") == [["f"]]

            eventually(is_promoted, "the other is a primary by now", timeout_s=30)
            session.query("SELECT pg_backup_start('rebase', true)")
            copy_tree(primary.home.data, self.home.data, of_running=True)
            [[label]] = session.query("SELECT labelfile FROM pg_backup_stop(false)")
        assert label is not None
        self.home.write(self.home.data / "backup_label", label, 0o600)
        self.follow(primary)
        self.start()

    # -- dying -------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL to the postmaster alone; backends in the midst of something outlive it."""
        self.orphans = self.pids[1:]
        super().kill()

    def freeze(self, backends: bool = True) -> None:
        """SIGSTOP, to the postmaster alone or to all: the kernel still takes connections."""
        self._frozen = self.pids if backends else [self.pid]
        send(signal.SIGSTOP, self._frozen)

    def thaw(self) -> None:
        """SIGCONT to whom ``freeze`` has stopped."""
        send(signal.SIGCONT, self._frozen)
        self._frozen = []

    def close(self) -> None:
        self.thaw()
        super().close()

    # -- asking ------------------------------------------------------------------------------------

    def session(self, user: str | None = None) -> RawClient:
        """A session of the superuser's, or of the rig's user, in its database."""
        login = LOGIN
        if user is None:
            login = TestDatabase(LOGIN.name, self.superuser, self.password)
        return RawClient(self.port, login, host=self.host)

    def ask(self, text: str) -> Any:
        """One value, asked by the superuser in the database of the rig."""
        with self.session() as session:
            return session.query(text)[0][0]

    def rows(self) -> dict[tuple[int, int, int], int]:
        """How often each row of ``writes`` is there."""
        text = "SELECT client, seq, part, count(*) FROM writes GROUP BY 1, 2, 3"
        with self.session() as session:
            found = session.query(text)
        return {(int(c), int(s), int(p)): int(n) for c, s, p, n in found}  # type: ignore[arg-type]


class Pair:
    """``with Pair(template) as pair:`` both run, and each commit waits for the standby.

    network: of the first primary, if it has one of its own; it can't come back as a standby then.
    """

    def __init__(self, template: Template, network: Apart | None = None) -> None:
        self.a = Server(template, "a", network)
        self.b = Server(template, "b")
        self.primary, self.standby = self.a, self.b

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.prepare()
            self.b.follow(self.a)
            self.a.start()
            self.b.start()
            self.wait_for_sync()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for server in (self.b, self.a):
            server.close()

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.a, self.b

    def wait_for_sync(self) -> None:
        """Has the primary wait for the standby from now on, which has all that there is."""
        primary = self.primary
        primary.configure(synchronous_standby_names="*")
        with primary.session() as session:

            def is_synchronous() -> bool:
                text = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                return session.query(text) == [["1"]]

            eventually(is_synchronous, "a synchronous standby", timeout_s=30)
            [[position]] = session.query("SELECT pg_current_wal_lsn()")

            def has_all() -> bool:
                text = f"SELECT flush_lsn >= '{position}' FROM pg_stat_replication"
                return session.query(text) == [["t"]]

            eventually(has_all, "a standby that has everything", timeout_s=30)

    def promote(self) -> None:
        """Has the standby become the primary, whatever the other is; roles are exchanged."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Has the one that was replaced follow the other, with a new copy of its data."""
        self.standby.rebase(self.primary)
        self.wait_for_sync()

    def stop_waiting(self) -> None:
        """Has the primary no longer wait for its standby, as if it were not synchronous."""
        self.primary.configure(synchronous_standby_names="")
        eventually(lambda: self.primary.ask("SHOW synchronous_standby_names") == "")


@dataclass(slots=True)
class Witness:
    """Writes to a server directly, over a session that was opened while it was a standby: what it
    says is what anybody could have known at the earliest."""

    session: RawClient

    def first_write_s(self, timeout_s: float = 30.0) -> float:
        """Waits until the server takes a write; when it did (time.monotonic)."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = self.session.ask(messages.query("INSERT INTO direct DEFAULT VALUES"))
            if all(message.kind != "E" for message in answer):
                return time.monotonic()
            time.sleep(0.002)
        raise AssertionError(f"no write was taken within {timeout_s} s")


@contextlib.contextmanager
def witness(server: Server) -> Iterator[Witness]:
    """One for a server that is still a standby."""
    with server.session() as session:
        yield Witness(session)


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Sends a signal to those of the processes that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def copy_tree(source: Path, target: Path, of_running: bool = False) -> None:
    """Copies data with its owners and modes. ``of_running``: of a server that runs, in a backup:
    without its WAL, and whatever files go meanwhile."""
    status = subprocess.run(["cp", "-a", source, target], capture_output=True)
    said = status.stderr.decode(errors="replace").splitlines()
    if status.returncode != 0:
        assert of_running, said
        assert all("No such file" in line for line in said), said
    if of_running:
        for name in PARTS_COPIED_EMPTY:
            for entry in (target / name).iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in NEVER_COPIED:
        (target / name).unlink(missing_ok=True)
