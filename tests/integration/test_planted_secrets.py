"""Secrets from everywhere, recognizable: nothing of them shows in logs, tracebacks, answers to
commands, errors on the wire, titles of processes, or the worker's environment."""

import contextlib
import secrets
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString, cast

import psycopg
import pytest

from forebay.control.console.commands import COMMANDS
from forebay.embedded.certificates import Authority
from forebay.protocol import md5, scram
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.moto import MotoServer
from tests.harness.rotation import STEPS, RotatingSecret
from tests.integration.test_iam_login import of_process
from tests.integration.test_rotation_under_load import variables
from tests.unit.cli.test_commands import forebay as command

AUTH_QUERY = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = $1 AND rolcanlogin"
# Fails with what is in the column: invalid input syntax for type integer: "…".
TELLING_QUERY = "SELECT rolname, rolpassword::int::text FROM pg_authid WHERE rolname = $1"
TOKEN = f"planted-{secrets.token_hex(8)}"
API = ("now", "history", "events")
# Runs in the node and its worker before anything else does. What fails has secrets at hand.
SABOTAGE = """
import pathlib, sys

def sabotage(module, name):
    original = getattr(module, name)
    def broken(*arguments, **more):
        if pathlib.Path({marker!r}).exists():
            raise RuntimeError("sabotage of " + name)
        return original(*arguments, **more)
    setattr(module, name, broken)

if "-m" in sys.orig_argv:
    import forebay.worker.front as front
    sabotage(front.Front, "identity_of")
elif "serve" in sys.orig_argv:
    import forebay.identity.keeper as keeper
    sabotage(keeper, "compose")
"""


class Planted:
    """Everything secret there is, and a Forebay that has it all."""

    def __init__(
        self, tmp_path: Path, moto: MotoServer, postgres: Postgres, database: TestDatabase
    ) -> None:
        self.postgres, self.database = postgres, database
        self.names = {
            kind: f"{database.user} {kind}" for kind in ("plain", "md5", "scram", "asked")
        }
        self.words = {kind: f"planted-{secrets.token_hex(8)}" for kind in self.names}
        for kind, name in self.names.items():
            postgres.create_user(name, self.words[kind])
        self.rotating = RotatingSecret(
            moto.client("secretsmanager"), postgres, database, alternating=False
        )
        self.directory = tmp_path / "forebay"
        self.marker = tmp_path / "sabotage"
        site = tmp_path / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SABOTAGE.format(marker=str(self.marker)))
        self.hidden = [database.password, "planted-", "PLANTED"]
        self.list = tmp_path / "userlist.txt"
        self._write_list()
        certificate, key = Authority().issue()
        self.own = tmp_path / "own.crt", tmp_path / "own.key"
        for path, pem in zip(self.own, (certificate, key), strict=True):
            path.write_bytes(pem)
            path.chmod(0o600)
        self.forebay = Forebay(
            self.directory,
            postgres.port,
            database,
            users={"list": ""},
            auth={
                database.user: {"secret": self.rotating.arn},
                "list": {"secret": f"userlist:{self.list}"},
            },
            proxy={
                "auth_query": AUTH_QUERY,
                "auth_user": database.user,
                "debug_logging": True,
                "require_tls": False,
                "admin_users": [self.names["plain"]],
            },
            target={
                "sslmode": "require",
                "sslcert": str(self.own[0]),
                "sslkey": str(self.own[1]),
                "database": database.name,
            },
            node={"control_token": "env:PLANTED_TOKEN"},
            environ={
                "PLANTED_TOKEN": TOKEN,
                **variables(moto.url, "AKIAPLANTED000000001", "planted-secret-access-key"),
                "AWS_SESSION_TOKEN": "planted-session-token",
                "PGPASSWORD": "planted-pgpassword",
                "FOREBAY_LOG_LEVEL": "debug",
                "PYTHONPATH": str(site),
            },
        )

    def _write_list(self) -> None:
        """Passwords as they are, and as PostgreSQL stores them."""
        stored = {
            "plain": self.words["plain"],
            "md5": md5.stored_hash(self.names["md5"], self.words["md5"]),
            "scram": self.postgres.sql(
                f"SELECT rolpassword FROM pg_authid WHERE rolname = '{self.names['scram']}'"
            )[0][0]
            or "",
        }
        lines = [f'"{self.names[kind]}" "{text}"' for kind, text in stored.items()]
        self.list.write_text("\n".join(lines))
        self.list.chmod(0o600)
        self.hidden += stored.values()
        self.hidden.append(stored["md5"][3:])
        of_asked = self.postgres.sql(
            f"SELECT rolpassword FROM pg_authid WHERE rolname = '{self.names['asked']}'"
        )[0][0]
        for text in (stored["scram"], of_asked or ""):
            verifier = scram.Verifier.parse(text)
            assert verifier is not None
            self.hidden += text.partition("$")[2].replace("$", ":").split(":")[1:]

    def log_in(self, user: str, password: str, **options: str) -> str:
        """What the client is told, and the server, of whom it is; "" if it is let in."""
        try:
            with psycopg.connect(self.forebay.dsn(user, password, **options)) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            return str(error)
        return ""

    def shown(self) -> Iterator[str]:
        """All that there is to be seen."""
        yield self.forebay.text
        for pid in self.forebay.pids:
            yield of_process(pid, "cmdline")
            yield of_process(pid, "comm")
        assert self.forebay.worker_pids
        for pid in self.forebay.worker_pids:
            yield of_process(pid, "environ")
        for looks in ("status", "clients", "pools", "pins", "top"):
            yield self.forebay.command(looks).out
            yield self.forebay.command(looks, "--json").out
        yield from self.pages()
        yield from self.console()

    def pages(self) -> Iterator[str]:
        """All that is told over HTTP, to who has the token, and to who has not."""
        for path in ("", "metrics", "readyz", "login", *(f"api/{each}" for each in API)):
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}):
                request = urllib.request.Request(f"{self.forebay.page}/{path}", headers=headers)
                try:
                    with urllib.request.urlopen(request, timeout=20) as answer:
                        yield f"{answer.headers}{answer.read().decode()}"
                except urllib.error.HTTPError as error:
                    with error:
                        yield f"{error.headers}{error.read().decode()}"

    def console(self) -> Iterator[str]:
        """All that the admin database shows."""
        user = self.names["plain"]
        with psycopg.connect(
            self.forebay.dsn(user, self.words["plain"], dbname="forebay"), autocommit=True
        ) as connection:
            for name in COMMANDS:
                if name.startswith("SHOW "):
                    shown = connection.execute(cast(LiteralString, name))
                    yield f"{shown.description} {shown.fetchall() if shown.description else ''}"

    def drop(self) -> None:
        for name in self.names.values():
            self.postgres.sql(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


@pytest.fixture
def planted(
    tmp_path: Path, moto: MotoServer, tls_postgres: Postgres, tls_database: TestDatabase
) -> Iterator[Planted]:
    tls_postgres.sql(f'ALTER ROLE "{tls_database.user}" SUPERUSER')
    planted = Planted(tmp_path, moto, tls_postgres, tls_database)
    planted.forebay.directory.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(planted.drop)
        stack.callback(planted.forebay.stop)
        planted.forebay.__enter__()
        yield planted


def test_nothing_shows(planted: Planted) -> None:
    forebay, database = planted.forebay, planted.database
    keys = [forebay.directory / "server.key", planted.own[1]]
    hidden = [*planted.hidden]
    for key in keys:
        hidden += [line for line in key.read_text().splitlines() if not line.startswith("-----")]
    told = [
        planted.log_in(name, word, **options)
        for kind, name in planted.names.items()
        for word in (planted.words[kind], "planted-wrong")
        for options in ({}, {"sslmode": "disable"})
    ]
    assert told[:2] == ["", ""]  # plain
    assert told[8:10] == ["", ""]  # its verifier alone
    assert told[12:14] == ["", ""]  # looked up
    for step in STEPS:
        planted.rotating.step(step)
        current = planted.rotating.current
        assert planted.log_in(current.user, current.password) == ""
        hidden.append(current.password)
    told += change_for_the_worse(planted)
    told += let_it_fail(planted)
    told.append(planted.log_in(database.user, "planted-wrong"))
    everything = "\n".join([*told, *planted.shown()])
    assert "Traceback (most recent call last)" in everything
    assert [each for each in hidden if each in everything] == []


def change_for_the_worse(planted: Planted) -> list[str]:
    """Secrets that are none, queries that fail and tell why: what is told of them."""
    forebay = planted.forebay
    right = planted.list.read_text()
    planted.list.write_text(f"{right}\nplanted-garbage")
    forebay.wait_for_log("userlist.*serves on")
    told = [forebay.command("reload", "--json").out, forebay.command("status").out]
    checked = command("check", str(forebay.config))
    told += [checked.stdout, checked.stderr]
    assert "line 4" in told[0]
    planted.list.write_text(right)
    forebay.reload(proxy={"auth_query": TELLING_QUERY})
    told.append(planted.log_in(planted.names["asked"], planted.words["asked"]))
    forebay.wait_for_log("auth_query failed")
    forebay.reload(proxy={"auth_query": AUTH_QUERY})
    return told


def let_it_fail(planted: Planted) -> list[str]:
    """Node and worker meet errors of their own, and log them with tracebacks."""
    forebay = planted.forebay
    planted.marker.touch()
    told = [planted.log_in(planted.names["plain"], planted.words["plain"])]
    assert told != [""]
    planted.list.write_text(planted.list.read_text() + "\n")
    for name in ("identity_of", "compose"):
        eventually(lambda name=name: f"sabotage of {name}" in forebay.text, f"{name} fails")
    planted.marker.unlink()
    forebay.signal(signal.SIGHUP)
    return told
