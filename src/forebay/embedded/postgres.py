"""A PostgreSQL server that lives in a temporary directory and is gone afterwards.

For the demo and for tests. It listens on 127.0.0.1 and on a Unix socket, passwords are SCRAM, it
works as a normal user and as root, and it leaves neither processes nor files behind, also when the
process that started it is killed.
"""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self
from urllib.parse import quote

from forebay.embedded import unprivileged
from forebay.embedded.binaries import Binaries, find_binaries
from forebay.embedded.configuration import (
    BASE_SETTINGS,
    NOT_DURABLE,
    Setting,
    configuration_text,
    hba_text,
)
from forebay.embedded.errors import SetupError
from forebay.embedded.surroundings import HOST, clean_environment, free_port, identifier, literal

__all__ = ["Binaries", "Postgres", "SetupError", "find_binaries", "free_port"]

StopMode = Literal["smart", "fast", "immediate"]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.01
START_ATTEMPTS = 5
FREE_DISK_BYTES = 128 << 20
LOG_LINES = 8  # of the log's end may explain why it did not start
TELLING = re.compile(r"FATAL|PANIC|error:|could not|unrecognized|invalid")
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
        self.directory = Path()  # known once started
        self._fixed_port = port is not None
        self._settings: dict[str, Setting] = {**BASE_SETTINGS, "max_connections": max_connections}
        if not durable:
            self._settings |= NOT_DURABLE
        self._settings |= settings or {}
        self._hba = tuple(hba)
        self._account = unprivileged.account()
        self._programs = self.binaries.bin_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

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
            if self._guardian is None:
                self._prepare()
            self._launch()
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
            guardian, self._guardian = self._guardian, None
            if guardian is not None and guardian.stdin is not None:
                guardian.stdin.close()  # it removes the directory
                guardian.wait()

    @property
    def pid(self) -> int:
        """The postmaster's pid. Raises SetupError while the server is down."""
        if self._process is None:
            raise SetupError("this PostgreSQL is not running")
        return self._process.pid

    # -- where things are -----------------------------------------------------------------------

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def socket_directory(self) -> Path:
        """The directory to name as ``host`` to use the Unix socket."""
        return self.directory / "socket"

    @property
    def log(self) -> Path:
        return self.directory / "postgresql.log"

    @property
    def ca_file(self) -> Path:
        """The authority that signed the server's certificate (``sslrootcert``), with TLS only."""
        return self.directory / "ca.crt"

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
        self._write_configuration()
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def configure_hba(self, *lines: str) -> None:
        """Puts other lines before the built-in ones of pg_hba.conf, and reloads."""
        self._hba = lines
        self.configure()

    # -- how --------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        parent = unprivileged.temporary_parent(self._account)
        if shutil.disk_usage(parent).free < FREE_DISK_BYTES:
            raise SetupError(
                f"{parent} has less than {FREE_DISK_BYTES >> 20} MB free:"
                " make room, or set TMPDIR to another place"
            )
        self.directory = parent / f"forebay-pg-{secrets.token_urlsafe(6)}"
        # Who removes the directory is there before it: an interruption may come at any time.
        guardian = Path(__file__).with_name("guardian.py")
        self._guardian = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", guardian, self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self.directory.mkdir(0o700)
        self.directory.chmod(0o711)  # others may pass through, to the socket only
        for place, mode in ((self.data_directory, 0o700), (self.socket_directory, 0o755)):
            place.mkdir()
            place.chmod(mode)
            self._account.own(place)
        self._programs = unprivileged.reachable_programs(
            self.binaries.bin_dir, self._account, self.directory
        )
        self._initialise()
        if self.tls:
            self._make_certificates()

    def _initialise(self) -> None:
        secret = self.directory / "password"
        self._write(secret, self.password, 0o400)
        arguments = ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]
        arguments += ["--auth=scram-sha-256", f"--username={self.superuser}"]
        with self.log.open("ab") as log:
            process = self._run(
                "initdb", [*arguments, f"--pwfile={secret}", "-D", self.data_directory], log
            )
            status = process.wait(START_TIMEOUT_S)
        secret.unlink()
        if status != 0:
            raise SetupError(f"initdb failed: {self._last_words()}")
        with (self.data_directory / "postgresql.conf").open("a") as file:
            file.write("include 'forebay.conf'\n")

    def _make_certificates(self) -> None:
        from forebay.embedded.certificates import Authority  # cryptography is slow to import

        authority = Authority()
        certificate, key = authority.issue()
        self.ca_file.write_bytes(authority.certificate_pem)
        self.ca_file.chmod(0o644)
        self._write(self.data_directory / "server.crt", certificate.decode(), 0o644)
        self._write(self.data_directory / "server.key", key.decode(), 0o600)

    def _launch(self) -> None:
        for attempt in range(START_ATTEMPTS):
            self._write_configuration()
            logged = self.log.stat().st_size
            with self.log.open("ab") as log:
                self._process = self._run("postgres", ["-D", self.data_directory], log)
            if self._wait_until_ready(self._process):
                return
            self._process = None
            said = self.log.read_bytes()[logged:].decode(errors="replace")
            if "could not bind" in said and not self._fixed_port:
                self.port = free_port()
            elif "shared memory block" in said:  # backends of a killed postmaster are leaving
                time.sleep(0.1 * (attempt + 1))
            else:
                break
        raise SetupError(f"PostgreSQL did not start: {self._last_words()}")

    def _run(
        self, program: str, arguments: Sequence[str | Path], log: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.data_directory if self._account.uid is None else "/",
            env=clean_environment(),
            start_new_session=True,  # Ctrl-C on the terminal is ours to handle, not the server's
            **self._account.popen_arguments(),
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """True once the server takes connections, False if it ended."""
        status = self.data_directory / "postmaster.pid"
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

    def _write_configuration(self) -> None:
        settings = {
            **self._settings,
            "port": self.port,
            "unix_socket_directories": str(self.socket_directory),
        }
        if self.tls:
            settings |= {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
        for name, text in (
            ("forebay.conf", configuration_text(settings)),
            ("pg_hba.conf", hba_text(self._hba)),
        ):
            self._write(self.data_directory / name, text, 0o600)

    def _write(self, path: Path, text: str, mode: int) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        path.chmod(mode)
        self._account.own(path)

    def _last_words(self) -> str:
        """What the log says went wrong, on one line; or its last line."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        telling = [line for line in lines[-LOG_LINES:] if TELLING.search(line)]
        said = [re.sub(r"^.*?(LOG|FATAL|PANIC|error): +", "", line) for line in telling]
        return "; ".join(said or lines[-1:]) or "it left no log"
