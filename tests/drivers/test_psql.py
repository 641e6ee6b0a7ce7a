"""psql with its defaults, as a person uses it."""

import fcntl
import os
import pty
import select
import subprocess
import termios
from pathlib import Path

import pytest

from forebay.embedded.certificates import Authority
from forebay.embedded.surroundings import clean_environment
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.clients import client, psql
from tests.harness.observer import Observer


def test_queries(forebay: Forebay) -> None:
    finished = forebay.psql(
        "CREATE TABLE fruit (id serial PRIMARY KEY, name text)",
        "INSERT INTO fruit (name) VALUES ('apple'), ('pear'), (NULL)",
        "SELECT id, name FROM fruit ORDER BY id",
        "BEGIN; UPDATE fruit SET name = 'plum' WHERE id = 1; ROLLBACK",
        "SELECT count(*) FROM fruit WHERE name = 'apple'",
    )
    assert finished.ok().rows == [("1", "apple"), ("2", "pear"), ("3", ""), ("1",)]


def test_describing(forebay: Forebay) -> None:
    forebay.psql("CREATE TABLE described (id int PRIMARY KEY, note text DEFAULT 'none')").ok()
    listed = forebay.psql("\\d").ok().out
    described = forebay.psql("\\pset tuples_only off", "\\d described").ok().out
    assert "described" in listed
    assert "note|text" in described
    assert "described_pkey" in described
    for command in ("\\du", "\\dn+", "\\df", "\\dt+", "\\conninfo", "\\encoding"):
        assert forebay.psql(command).ok().out or command == "\\df"


def test_an_error_leaves_the_session_usable(forebay: Forebay) -> None:
    finished = psql(
        forebay.dsn(), script="\\set ON_ERROR_STOP 0\nSELECT 1/0;\nSELEC;\nSELECT 'after';\n"
    )
    assert finished.ok().out == "after\n"
    assert "division by zero" in finished.err
    assert "syntax error" in finished.err


def test_copy_both_ways(forebay: Forebay, tmp_path: Path) -> None:
    given, taken = tmp_path / "in.tsv", tmp_path / "out.tsv"
    given.write_text("".join(f"{number}\tline {number}\n" for number in range(20_000)))
    finished = forebay.psql(
        "CREATE TABLE lines (number int, line text)",
        f"\\copy lines FROM '{given}'",
        f"\\copy (SELECT * FROM lines ORDER BY number) TO '{taken}'",
        "SELECT count(*) FROM lines",
    )
    assert finished.ok().out == "20000\n"
    assert taken.read_text() == given.read_text()


def test_copy_from_a_broken_file(forebay: Forebay, tmp_path: Path) -> None:
    given = tmp_path / "in.tsv"
    given.write_text("1\n2\nthree\n" + "4\n" * 50_000)
    finished = psql(
        forebay.dsn(),
        script=f"\\set ON_ERROR_STOP 0\nCREATE TABLE n (n int);\n\\copy n FROM '{given}'\n"
        "SELECT count(*) FROM n;\n",
    )
    assert "invalid input syntax for type integer" in finished.err
    assert finished.out == "0\n"


def test_watch(forebay: Forebay) -> None:
    with Terminal(forebay) as terminal:
        terminal.type("SELECT 'ti' || 'ck';\n\\watch 0.01\n")
        for _ in range(3):
            terminal.read_until("tick")
        terminal.type("\x03")
        terminal.type("SELECT 'af' || 'ter';\n")
        terminal.read_until("after")


def test_control_c_cancels(forebay: Forebay, seen: Observer) -> None:
    with Terminal(forebay) as terminal:
        terminal.type("SELECT pg_sleep(60);\n")
        seen.wait_until_running("pg_sleep")
        terminal.type("\x03")
        terminal.read_until("canceling statement due to user request")
        seen.wait_until_quiet()  # the backend says so only after it has told psql
        terminal.type("SELECT 'af' || 'ter';\n")
        terminal.read_until("after")


def test_wrong_password(forebay: Forebay) -> None:
    finished = forebay.psql("SELECT 1", password="not-it")
    assert finished.code == 2
    role = forebay.database.user
    assert f"FATAL:  The password that was provided for the role {role} is wrong." in finished.err


def test_unknown_user(forebay: Forebay) -> None:
    finished = forebay.psql("SELECT 1", user="stranger", password="any")
    assert finished.code == 2
    assert "FATAL:  This RDS proxy has no credentials for the role stranger." in finished.err


def test_unknown_database(forebay: Forebay) -> None:
    finished = forebay.psql("SELECT 1", database="nowhere")
    assert finished.code == 2
    assert 'FATAL:  database "nowhere" does not exist' in finished.err


def test_verify_full_with_the_right_authority(forebay: Forebay) -> None:
    finished = forebay.psql("SELECT 1", sslmode="verify-full", sslrootcert=str(forebay.ca_file))
    assert finished.ok().out == "1\n"


def test_verify_full_with_a_wrong_authority(forebay: Forebay, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    other.write_bytes(Authority().certificate_pem)
    finished = forebay.psql("SELECT 1", sslmode="verify-full", sslrootcert=str(other))
    assert finished.code == 2
    assert "SSL error" in finished.err


@pytest.mark.parametrize("sslmode", ["allow", "prefer", "require"])
def test_other_modes_of_tls(forebay: Forebay, sslmode: str) -> None:
    assert forebay.psql("SELECT 1", sslmode=sslmode).ok().out == "1\n"


def test_plain_connections_are_refused(forebay: Forebay) -> None:
    finished = forebay.psql("SELECT 1", sslmode="disable")
    assert finished.code == 2
    assert "FATAL:  This RDS Proxy requires TLS connections." in finished.err


def test_plain_connections_where_they_are_allowed(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False})
    assert forebay.psql("SELECT 1", sslmode="disable").ok().out == "1\n"
    assert forebay.psql("SELECT 1", sslmode="require").ok().out == "1\n"


@pytest.mark.tls_server
@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
def test_tls_to_the_database_too(
    start_forebay: type[Forebay],
    tls_postgres: Postgres,
    tls_database: TestDatabase,
    sslmode: str,
) -> None:
    target = {"sslmode": sslmode, "sslrootcert": str(tls_postgres.ca_file)}
    forebay = start_forebay(tls_postgres.port, tls_database, target=target)
    used = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert forebay.psql(used).ok().out == "t\n"


class Terminal:
    """psql at a terminal of its own."""

    def __init__(self, forebay: Forebay) -> None:
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [client("psql"), "-XAtqn", forebay.dsn()],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=clean_environment() | {"PAGER": "", "TERM": "dumb"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._unread = ""

    def __enter__(self) -> "Terminal":
        self.read_until("=> ")
        return self

    def __exit__(self, *_: object) -> None:
        self.type("\\q\n")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def read_until(self, text: str) -> None:
        """Read what is shown up to ``text``; fails if it does not come."""
        while text not in self._unread:
            ready, _, _ = select.select([self._master], [], [], 30)
            assert ready, f"no {text!r} in {self._unread!r}"
            self._unread += os.read(self._master, 65536).decode()
        self._unread = self._unread.partition(text)[2]
