"""Where a temporary PostgreSQL lives: its directory, the account it runs as, its programs."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from forebay.embedded import unprivileged
from forebay.embedded.binaries import Binaries
from forebay.embedded.errors import SetupError
from forebay.embedded.surroundings import clean_environment

INITDB_TIMEOUT_S = 60.0
FREE_DISK_BYTES = 128 << 20
LOG_LINES = 8  # of the log's end may explain why it did not start
TELLING = re.compile(r"FATAL|PANIC|error:|could not|unrecognized|invalid")


class Home:
    """A temporary directory; a guardian removes it when it is given up, or this process is gone.

    Raises SetupError where it cannot be made.
    """

    def __init__(self, binaries: Binaries) -> None:
        self._account = unprivileged.account()
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
        try:
            self._make_directories()
            self._programs = unprivileged.reachable_programs(
                binaries.bin_dir, self._account, self.directory
            )
        except BaseException:
            self.give_up()
            raise

    def _make_directories(self) -> None:
        self.directory.mkdir(0o700)
        self.directory.chmod(0o711)  # others may pass through, to the socket only
        for place, mode in ((self.data, 0o700), (self.sockets, 0o755)):
            self._make_directory(place, mode)

    def _make_directory(self, place: Path, mode: int) -> None:
        place.mkdir()
        place.chmod(mode)
        self._account.own(place)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def sockets(self) -> Path:
        return self.directory / "socket"

    @property
    def log(self) -> Path:
        return self.directory / "postgresql.log"

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    def give_up(self) -> None:
        """Has the directory removed, and whoever still runs in it ended; returns when it is so."""
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()
            self._guardian.wait()

    def initialise(self, superuser: str, password: str) -> None:
        """Makes an empty database cluster. Raises SetupError."""
        secret = self.directory / "password"
        self.write(secret, password, 0o400)
        arguments = ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"]
        arguments += ["--auth=scram-sha-256", f"--username={superuser}"]
        with self.log.open("ab") as log:
            process = self.run("initdb", [*arguments, f"--pwfile={secret}", "-D", self.data], log)
            status = process.wait(INITDB_TIMEOUT_S)
        secret.unlink()
        if status != 0:
            raise SetupError(f"initdb failed: {self.last_words()}")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("include 'forebay.conf'\n")

    def make_certificates(self) -> None:
        """The server's certificate, and the authority that has signed it."""
        from forebay.embedded.certificates import Authority  # cryptography is slow to import

        authority = Authority()
        certificate, key = authority.issue()
        self.ca_file.write_bytes(authority.certificate_pem)
        self.ca_file.chmod(0o644)
        self.write(self.data / "server.crt", certificate.decode(), 0o644)
        self.write(self.data / "server.key", key.decode(), 0o600)

    def empty(self) -> None:
        """Removes the database cluster; nothing may run in it."""
        shutil.rmtree(self.data)
        self._make_directory(self.data, 0o700)

    def run(
        self,
        program: str,
        arguments: Sequence[str | Path],
        log: IO[bytes],
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Starts one of PostgreSQL's programs, as the account that may run it.

        ``environment`` is added to the one without what would steer libpq from outside.
        """
        return subprocess.Popen(  # noqa: S603
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.data if self._account.uid is None else "/",
            env={**clean_environment(), **(environment or {})},
            start_new_session=True,  # Ctrl-C on the terminal is ours to handle, not the server's
            **self._account.popen_arguments(),
        )

    def write(self, path: Path, text: str, mode: int) -> None:
        """Writes a file that is the account's."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        path.chmod(mode)
        self._account.own(path)

    def last_words(self) -> str:
        """What the log says went wrong, on one line; or its last line."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            text = ""
        return explanation(text)


def explanation(log: str) -> str:
    """The lines at the end of a server's log that say what went wrong, as one; or the last."""
    lines = log.strip().splitlines()
    telling = [line for line in lines[-LOG_LINES:] if TELLING.search(line)]
    said = [re.sub(r"^.*?(LOG|FATAL|PANIC|error): +", "", line) for line in telling]
    return "; ".join(said or lines[-1:]) or "it left no log"
