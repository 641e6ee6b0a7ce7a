"""One server of a `Pair`: a `Postgres` that replicates, fails and comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from forebay.embedded.binaries import Binaries
from forebay.embedded.configuration import Setting
from forebay.embedded.errors import SetupError
from forebay.embedded.guardian import children, thaw
from forebay.embedded.home import Home
from forebay.embedded.postgres import Postgres, StopMode

COPY_TIMEOUT_S = 60.0
ORPHANS_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.02
REPLICATION: dict[str, Setting] = {
    "synchronous_commit": "on",
    # What pg_rewind wants of both servers; it also reads what the writer wrote before.
    "full_page_writes": "on",
    "wal_log_hints": "on",
    "wal_keep_size": "64MB",
    "wal_retrieve_retry_interval": "100ms",
}
SYNCHRONOUS = "synchronous_standby_names"
TIMELINE = """
SELECT CASE WHEN pg_is_in_recovery()
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver),
                  (SELECT timeline_id FROM pg_control_checkpoint()))
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END
"""


class Member(Postgres):
    """A writer or a standby. ``upstream``: whom it follows; None while it writes, or wrote last.

    What `Postgres` does it does too: a ``kill`` is that of the postmaster alone, whose backends may
    finish what they are at.
    """

    def __init__(
        self,
        binaries: Binaries | None = None,
        *,
        upstream: Member | None = None,
        settings: Mapping[str, Setting] | None = None,
        max_connections: int = 100,
        hba: Sequence[str] = (),
        tls: bool = False,
        port: int | None = None,
    ) -> None:
        super().__init__(
            binaries,
            settings={**REPLICATION, **(settings or {})},
            max_connections=max_connections,
            hba=hba,
            tls=tls,
            port=port,
        )
        self.upstream = upstream
        self._left_behind: dict[int, bytes] = {}  # backends by pid, and when each has started
        if upstream is not None:
            self.password = upstream.password  # roles are copied, too

    @property
    def is_running(self) -> bool:
        """Whether its postmaster is there, stopped (SIGSTOP) or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def in_recovery(self) -> bool:
        """Whether it is a standby. Raises SetupError where it does not answer."""
        return self.sql("SELECT pg_is_in_recovery()") == [("t",)]

    @property
    def timeline(self) -> int:
        """Its timeline, which each promotion raises. Raises SetupError if it does not answer."""
        return int(self.sql(TIMELINE)[0][0] or 0)

    def start(self) -> Self:
        self._await_orphans()
        return super().start()

    def stop(self, mode: StopMode = "fast") -> None:
        self.thaw()
        super().stop(mode)

    def kill(self) -> None:
        if self.is_running:
            left = {pid: _started(pid) for pid in children(self.pid)}
            self._left_behind = {pid: started for pid, started in left.items() if started}
            # One that is stopped would never learn that its postmaster is gone.
            for pid in self._left_behind:
                _send(pid, signal.SIGCONT)
        super().kill()

    def close(self) -> None:
        for pid, started in self._left_behind.items():
            if _started(pid) == started:
                _send(pid, signal.SIGKILL)
        super().close()

    def freeze(self, backends: bool = True) -> None:
        """SIGSTOP: connections are accepted (by the kernel), and nothing is ever answered.

        backends: without them only the postmaster stops, and connections that are open work on.
        """
        pid = self.pid
        _send(pid, signal.SIGSTOP)
        for child in children(pid) if backends else ():
            _send(child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Has it go on after ``freeze``; does nothing to one that was not frozen."""
        if self.is_running:
            thaw(self.pid)

    def promote(self) -> None:
        """Makes a standby write; returns when it does, at once if it did. Raises SetupError."""
        if self.in_recovery:
            # Nobody follows it yet, so its commits must not wait for anybody.
            self.configure(**{SYNCHRONOUS: ""})
            if self.sql("SELECT pg_promote(true, 30)") != [("t",)]:
                raise SetupError(f"{self.host}:{self.port} was not promoted within 30 s")
        self.upstream = None
        self._settings.pop("primary_conninfo", None)

    def follow(self, upstream: Member) -> None:
        """Makes a standby follow another writer, which is no server that lags behind it."""
        self.upstream = upstream
        self._settings[SYNCHRONOUS] = ""
        self.configure(primary_conninfo=self._conninfo(upstream, with_password=True))

    def rejoin(self, upstream: Member) -> None:
        """Brings a server back that wrote, or died, as a standby of another; stops it if it runs.

        What it wrote that ``upstream`` does not have is gone afterwards: pg_rewind takes it back,
        or a new base backup where that cannot. Raises SetupError.
        """
        self.stop()
        self._await_orphans()
        upstream.sql("CHECKPOINT")  # pg_rewind reads the timeline where a checkpoint leaves it
        source = f"--source-server={self._conninfo(upstream)} dbname=postgres"
        arguments: list[str | Path] = ["--no-sync", "-D", self.home.data, source]
        if self._copy("pg_rewind", arguments, upstream) != 0:
            self.home.empty()
            self._take_backup(self.home, upstream)
        self._become_standby(self.home, upstream)
        self.start()

    # -- how --------------------------------------------------------------------------------------

    def _fill(self, home: Home) -> None:
        if self.upstream is None:
            super()._fill(home)
            return
        self._take_backup(home, self.upstream)
        self._become_standby(home, self.upstream)

    def _take_backup(self, home: Home, upstream: Member) -> None:
        arguments: list[str | Path] = ["--checkpoint=fast", "--no-sync", "-X", "stream"]
        arguments += ["-D", home.data, "-d", self._conninfo(upstream)]
        if self._copy("pg_basebackup", arguments, upstream) != 0:
            raise SetupError(f"pg_basebackup failed: {home.last_words()}")
        if self.tls:
            home.ca_file.write_bytes(upstream.ca_file.read_bytes())

    def _become_standby(self, home: Home, upstream: Member) -> None:
        """``primary_conninfo`` stands in the file that each start writes anew, unlike with -R."""
        self.upstream = upstream
        self._settings |= {
            "primary_conninfo": self._conninfo(upstream, with_password=True),
            SYNCHRONOUS: "",
        }
        home.write(home.data / "standby.signal", "", 0o600)

    def _copy(self, program: str, arguments: Sequence[str | Path], upstream: Member) -> int:
        """Runs what copies from another server; returns its exit code."""
        home = self.home
        with home.log.open("ab") as log:
            process = home.run(program, arguments, log, {"PGPASSWORD": upstream.password})
            try:
                return process.wait(COPY_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                raise SetupError(f"{program} took longer than {COPY_TIMEOUT_S:.0f} s") from None
            finally:
                process.kill()
                process.wait()

    def _conninfo(self, upstream: Member, with_password: bool = False) -> str:
        text = f"host={upstream.host} port={upstream.port} user={upstream.superuser}"
        # Made of letters, digits, "-" and "_": it needs no quotes.
        return f"{text} password={upstream.password}" if with_password else text

    def _await_orphans(self) -> None:
        """Returns when the backends of a killed postmaster have left. Raises SetupError."""
        deadline = time.monotonic() + ORPHANS_TIMEOUT_S
        while self._left_behind:
            left = self._left_behind.items()
            self._left_behind = {pid: at for pid, at in left if _started(pid) == at}
            if self._left_behind and time.monotonic() > deadline:
                raise SetupError(f"backends of a killed server stay: {list(self._left_behind)}")
            time.sleep(POLL_INTERVAL_S)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _started(pid: int) -> bytes:
    """When a process has started, in a unit of the kernel's; empty if it does not run.

    One that has ended and waits for its parent (a zombie) does not run.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return b""
    return b"" if fields[0] in (b"Z", b"X") else fields[19]
