"""A PostgreSQL server that lives in a temporary directory and is gone afterwards.

For the demo and for tests. It listens on 127.0.0.1 and on a Unix socket, passwords are SCRAM, it
works as a normal user and as root, and it leaves neither processes nor files behind, also when the
process that started it is killed.
"""

from __future__ import annotations

import csv
import io
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from forebay.embedded.binaries import Binaries, find_binaries
from forebay.embedded.configuration import (
    BASE_SETTINGS,
    NOT_DURABLE,
    Setting,
    configuration_text,
    hba_text,
)
from forebay.embedded.errors import SetupError
from forebay.embedded.home import Home
from forebay.embedded.quoting import identifier, literal
from forebay.embedded.surroundings import HOST, clean_environment, free_port

__all__ = ["Binaries", "Postgres", "SetupError", "find_binaries", "free_port"]

StopMode = Literal["smart", "fast", "immediate"]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.01
START_ATTEMPTS = 5
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
NULL = "\x1d"  # what psql shall print for NULL; no value is just this


class Postgres:
    """One server. ``with Postgres() as server:`` starts and removes it; or ``start``, ``close``.

    settings: lines of postgresql.conf; ``hba`` lines stand before the built-in ones (SCRAM for all
    on 127.0.0.1 and on the socket). tls: True needs ``binaries.has_tls``; clients then verify with
    ``ca_file``. durable: False trades crash safety of the machine for speed.
    Raises SetupError, one line with the way out, from ``start``.
    """

    def __init__(
        self,
        binaries: Binaries | None = None,
        *,
        settings: Mapping[str, Setting] | None = None,
        max_connections: int = 100,
        hba: Sequence[str] = (),
        tls: bool = False,
        durable: bool = False,
        port: int | None = None,
    ) -> None:
        self.binaries = binaries or find_binaries(prefer_tls=tls)
        if tls and not self.binaries.has_tls:
            where = self.binaries.bin_dir
            raise SetupError(f"the PostgreSQL in {where} has no TLS: apt-get install postgresql")
        self.host = HOST
        self.port = port or free_port()
        self.superuser = "postgres"
        self.password = secrets.token_urlsafe(16)
        self.tls = tls
        self._fixed_port = port is not None
        self._settings: dict[str, Setting] = {**BASE_SETTINGS, "max_connections": max_connections}
        if not durable:
            self._settings |= NOT_DURABLE
        self._settings |= settings or {}
        self._hba = tuple(hba)
        self._home: Home | None = None
        self._process: subprocess.Popen[bytes] | None = None

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Makes the database if there is none yet, starts it, and waits until it takes queries."""
        if self._process is not None and self._process.poll() is None:
            return self
        try:
            home = self._home
            if home is None:
                home = self._home = Home(self.binaries)
                self._fill(home)
            self._launch(home)
        except OSError as error:
            self.close()
            raise SetupError(f"cannot start PostgreSQL: {error}") from error
        except BaseException:
            self.close()
            raise
        return self

    def stop(self, mode: StopMode = "fast") -> None:
        """Stops the server and keeps its data; ``start`` brings it back on the same port."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(SIGNALS[mode])
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kills the postmaster as a crash would (SIGKILL); its backends notice and leave."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        """Stops the server and removes everything it had."""
        try:
            self.stop("immediate")
        finally:
            home, self._home = self._home, None
            if home is not None:
                home.give_up()

    @property
    def pid(self) -> int:
        """The postmaster's pid. Raises SetupError while the server is down."""
        if self._process is None:
            raise SetupError("this PostgreSQL is not running")
        return self._process.pid

    # -- where things are -----------------------------------------------------------------------

    @property
    def home(self) -> Home:
        """Its directory and programs. Raises SetupError before the first start, after the end."""
        if self._home is None:
            raise SetupError("this PostgreSQL has not been started")
        return self._home

    @property
    def directory(self) -> Path:
        return self.home.directory

    @property
    def socket_directory(self) -> Path:
        """The directory to name as ``host`` to use the Unix socket."""
        return self.home.sockets

    @property
    def ca_file(self) -> Path:
        """The authority that signed the server's certificate (``sslrootcert``), with TLS only."""
        return self.home.ca_file

    def url(
        self, user: str | None = None, password: str | None = None, database: str = "postgres"
    ) -> str:
        """A ``postgresql://`` URL; without a user, the superuser's."""
        if user is None:
            user, password = self.superuser, self.password
        secret = f":{quote(password, safe='')}" if password is not None else ""
        name = quote(database, safe="")
        return f"postgresql://{quote(user, safe='')}{secret}@{self.host}:{self.port}/{name}"

    # -- use ------------------------------------------------------------------------------------

    def sql(
        self,
        text: str,
        *,
        database: str = "postgres",
        user: str | None = None,
        password: str | None = None,
        timeout_s: float = 30.0,
    ) -> list[tuple[str | None, ...]]:
        """Runs SQL through psql, as the superuser by default; the rows of all its answers."""
        command: list[str | Path] = [
            self.binaries.program("psql"),
            "-Xtq",
            "--csv",
            "-P",
            f"null={NULL}",
        ]
        command += ["-v", "ON_ERROR_STOP=1", "-f", "-"]
        environment = clean_environment() | {
            "PGHOST": str(self.socket_directory),
            "PGPORT": str(self.port),
            "PGUSER": user or self.superuser,
            "PGPASSWORD": password if password is not None else self.password,
            "PGDATABASE": database,
        }
        answer = subprocess.run(  # noqa: S603
            command,
            input=text.encode(),
            capture_output=True,
            env=environment,
            timeout=timeout_s,
        )
        if answer.returncode != 0:
            raise SetupError(f"psql: {answer.stderr.decode(errors='replace').strip()}")
        lines = csv.reader(io.StringIO(answer.stdout.decode(), newline=""))
        return [tuple(None if field == NULL else field for field in line) for line in lines]

    def create_user(
        self,
        name: str,
        password: str,
        *,
        options: str = "",
        encryption: Literal["scram-sha-256", "md5"] = "scram-sha-256",
    ) -> None:
        """A role that may log in; ``options`` as in CREATE ROLE. MD5 also needs an hba line."""
        self.sql(
            f"SET password_encryption = '{encryption}'; CREATE ROLE {identifier(name)} LOGIN"
            f" PASSWORD {literal(password)} {options};"
        )

    def create_database(self, name: str, owner: str | None = None) -> None:
        ownership = f"OWNER {identifier(owner)}" if owner else ""
        self.sql(f"CREATE DATABASE {identifier(name)} {ownership};")

    def configure(self, **settings: Setting) -> None:
        """Changes settings and reloads; those that need it hold after the next ``restart``."""
        self._settings |= settings
        self._write_configuration(self.home)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def configure_hba(self, *lines: str) -> None:
        """Puts other lines before the built-in ones of pg_hba.conf, and reloads."""
        self._hba = lines
        self.configure()

    # -- how --------------------------------------------------------------------------------------

    def _fill(self, home: Home) -> None:
        """Makes the database cluster in its new home. Raises SetupError."""
        home.initialise(self.superuser, self.password)
        if self.tls:
            home.make_certificates()

    def _launch(self, home: Home) -> None:
        for attempt in range(START_ATTEMPTS):
            self._write_configuration(home)
            logged = home.log.stat().st_size
            with home.log.open("ab") as log:
                self._process = home.run("postgres", ["-D", home.data], log)
            if _wait_until_ready(self._process, home.data):
                return
            self._process = None
            said = home.log.read_bytes()[logged:].decode(errors="replace")
            if "could not bind" in said and not self._fixed_port:
                self.port = free_port()
            elif "shared memory block" in said:  # backends of a killed postmaster are leaving
                time.sleep(0.1 * (attempt + 1))
            else:
                break
        raise SetupError(f"PostgreSQL did not start: {home.last_words()}")

    def _write_configuration(self, home: Home) -> None:
        settings = {
            **self._settings,
            "port": self.port,
            "unix_socket_directories": str(home.sockets),
        }
        if self.tls:
            settings |= {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
        for name, text in (
            ("forebay.conf", configuration_text(settings)),
            ("pg_hba.conf", hba_text(self._hba)),
        ):
            home.write(home.data / name, text, 0o600)


def _wait_until_ready(process: subprocess.Popen[bytes], data: Path) -> bool:
    """True once the server takes connections, False if it ended."""
    status = data / "postmaster.pid"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        try:
            lines = status.read_text().split("\n")
        except OSError:
            lines = []
        # The eighth line is the postmaster's status, as pg_ctl reads it.
        if len(lines) > 7 and lines[0] == str(process.pid) and "ready" in lines[7]:
            return True
        time.sleep(POLL_INTERVAL_S)
    raise SetupError(f"PostgreSQL did not start in {START_TIMEOUT_S:.0f} s")
