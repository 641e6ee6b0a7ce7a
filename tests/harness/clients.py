"""Real clients in subprocesses: psql and pgbench, each bounded in time."""

import functools
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from forebay.embedded.binaries import find_client
from forebay.embedded.errors import SetupError
from forebay.embedded.surroundings import clean_environment

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """A database of one test's own, and the user who owns it."""

    __test__ = False  # not a test class, whatever its name

    name: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Finished:
    """How a client ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """psql's output in unaligned form, one tuple a line."""
        return [tuple(line.split("|")) for line in self.out.splitlines()]

    def ok(self) -> "Finished":
        """Itself; fails the test if the client did."""
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self

    @property
    def transactions(self) -> int:
        """What pgbench says it processed."""
        found = re.search(r"transactions actually processed: (\d+)", self.out)
        assert found, self.out + self.err
        return int(found[1])


@functools.cache
def client(name: str) -> Path:
    """The path of a client that speaks TLS; skips the test if there is none."""
    try:
        path, has_tls = find_client(name)
    except SetupError as error:
        pytest.skip(str(error))
    if not has_tls:
        pytest.skip(f"no {name} with TLS here: apt-get install postgresql-client")
    return path


def psql(
    url: str,
    *commands: str,
    script: str | None = None,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """Runs each command (``-c``), or a script on standard input, unaligned and without titles."""
    arguments = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *options]
    for command in commands:
        arguments += ["-c", command]
    return run(client("psql"), [*arguments, url], script, environment, timeout_s)


def pgbench(
    url: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """Runs pgbench on the database of the URL."""
    return run(client("pgbench"), [*options, url], None, environment, timeout_s)


def run(
    program: Path,
    arguments: Sequence[str],
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Finished:
    """Runs a program to its end, or kills it and fails when that takes too long."""
    answer = subprocess.run(
        [program, *arguments],
        input=text if text is not None else "",
        capture_output=True,
        text=True,
        env=clean_environment() | dict(environment or {}),
        timeout=timeout_s,
    )
    return Finished(answer.returncode, answer.stdout, answer.stderr)
