"""Clients with a tenant each, whose statements are cut short at any moment.

What they hear depends on timing, so it is not compared: whatever is cancelled, every row that a
client reads or writes must be its own tenant's, and what was acknowledged must be there.
"""

import contextlib
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from forebay.protocol.errors import PgError
from forebay.protocol.messages import cancel_request, query, sync
from tests.equivalence.lanes import World
from tests.harness.raw import HOST, Message, RawClient, bind, execute, parse

CANCELED, IN_ABORTED = "57014", "25P02"
# Forebay may only say what PostgreSQL does when a statement is cut short.
EXPECTED = {CANCELED, IN_ABORTED}
SCHEMA = """
    CREATE TABLE book (
        id text PRIMARY KEY, tenant text DEFAULT current_setting('app.tenant', true)
    );
    ALTER TABLE book ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON book USING (tenant = current_setting('app.tenant', true));
"""
OWN = "SELECT nullif(current_setting('app.tenant', true), '')"
READ = "SELECT tenant FROM book"
WRITE = "INSERT INTO book (id) VALUES ($1) RETURNING tenant"
WAYS = "startup", "SET", "set_config"
LOCAL = "SET LOCAL"  # in every transaction
HISTORY = 12
CHARACTERS = 150  # of a setting's value
TOGETHER = 50  # settings in one statement: a long one would pin
LOOKS = 3  # after the storm
TIMEOUT_S = 60.0


class WrongWorldError(AssertionError):
    """A client was given, or wrote, what is not its own."""


@dataclass(frozen=True, slots=True)
class Storm:
    """What cuts statements short: a statement_timeout of the role or the database, short ones that
    clients log in with, CancelRequests of clients, pg_cancel_backend of a superuser. `settings`: so
    many are made by each client; `at_login`: so many by its start-up packet. `changes`: settings
    change in the storm, too."""

    ways: tuple[str, ...] = WAYS
    settings: int = 0
    at_login: int = 0
    default_of: str = ""
    default_ms: int = 0
    timeout_ms: int = 0
    requests: bool = False
    backends: bool = False
    changes: bool = False


LULLS, LULL_S = 0.1, 0.1
TRIES = 100


class Weather:
    """The storm begins when all clients have made their settings, and ends when all have done their
    steps."""

    def __init__(self, clients: int) -> None:
        self._has_begun, self._has_ended = threading.Event(), threading.Event()
        self._begin = threading.Barrier(clients, self._has_begun.set, TIMEOUT_S)
        self._end = threading.Barrier(clients, self._has_ended.set, TIMEOUT_S)

    @contextlib.contextmanager
    def until_begun(self) -> Iterator[None]:
        """Whatever becomes of one client, the others do not wait for it."""
        try:
            yield
        finally:
            self._begin.wait()

    @contextlib.contextmanager
    def until_over(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._end.wait()

    def wait(self) -> None:
        self._has_begun.wait(TIMEOUT_S)

    @property
    def is_stormy(self) -> bool:
        return self._has_begun.is_set() and not self._has_ended.is_set()


class Tenant:
    """One client."""

    def __init__(
        self, world: World, storm: Storm, seed: int, number: int, weather: Weather
    ) -> None:
        self.chance = random.Random(f"{seed}/{number}")
        self.name = f"t{number}"
        self.written: list[str] = []  # acknowledged
        self._world, self._storm, self._weather = world, storm, weather
        self._way = storm.ways[number % len(storm.ways)]
        self._count = 0
        self._status = b"I"
        self._prepared: set[str] = set()
        self._history: deque[str] = deque(maxlen=HISTORY)
        startup = {"app.tenant": self.name} if self._way == "startup" else {}
        startup |= {f"app.s{n}": self.name.ljust(CHARACTERS, "x") for n in range(storm.at_login)}
        if storm.timeout_ms and number % 4 < 2:
            startup["statement_timeout"] = str(storm.timeout_ms)
        self._client = RawClient(world.shared_port, world.database, startup)

    def live(self, steps: int) -> None:
        """Some steps of its program in the storm; then it finds what is its own."""
        actions = [self._read, self._read_prepared, self._write, self._transaction]
        actions += [self._change] if self._storm.changes else []
        with self._client:
            with self._weather.until_over():
                with self._weather.until_begun():
                    self._establish()
                for _ in range(steps):
                    self.chance.choice(actions)()
            for _ in range(LOOKS):
                if self._way != LOCAL:
                    self._look(query(OWN), OWN)
                self._read()
            self._client.leave()

    # -- what it does ---------------------------------------------------------------------------

    def _establish(self) -> None:
        for first in range(0, self._storm.settings, TOGETHER):
            last = min(first + TOGETHER, self._storm.settings)
            value = self.name.ljust(CHARACTERS, "x")
            calls = (f"set_config('app.s{n}', '{value}', false)" for n in range(first, last))
            self._insist("SELECT " + ", ".join(calls))
        if self._way == "SET":
            self._insist(f"SET app.tenant = '{self.name}'")
        elif self._way == "set_config":
            self._insist(f"SELECT set_config('app.tenant', '{self.name}', false)")
        # Forebay asks for what has changed before it sends another statement.
        self._insist("SELECT")

    def _insist(self, text: str) -> None:
        """Run it, however often a timeout of the role or database cuts it short."""
        for _ in range(TRIES):
            try:
                self._client.query(text)
            except PgError as error:
                if error.sqlstate != "57014":
                    raise
            else:
                return
        raise WrongWorldError(f"always cut short: {text}")

    def _in_transaction(self, inside: Callable[[], None]) -> bool:
        """Whether a transaction was acknowledged."""
        if not self._ask(query("BEGIN"), "BEGIN")[1]:
            self._end()
            return False
        if self._way == LOCAL:
            text = self.chance.choice(
                (
                    f"SET LOCAL app.tenant = '{self.name}'",
                    f"SELECT set_config('app.tenant', '{self.name}', true)",
                )
            )
            if self._ask(query(text), text)[1]:
                inside()
        else:
            inside()
        answer, _ = self._ask(query("COMMIT"), "COMMIT")
        self._end()
        return any(message.kind == "C" and message.body == b"COMMIT\0" for message in answer)

    def _end(self) -> None:
        """No transaction is left open."""
        while self._status != b"I":
            self._ask(query("ROLLBACK"), "ROLLBACK")

    def _read(self) -> None:
        self._look(query(READ), READ)

    def _read_prepared(self) -> None:
        self._look(self._run("r", READ) + sync(), "r")

    def _look(self, data: bytes, words: str, *, is_inside: bool = False) -> None:
        """All rows are the client's own; by SET LOCAL there are none outside of transactions."""
        answer, is_done = self._ask(data, words)
        rows = [message.row for message in answer if message.kind == "D"]
        has_tenant = is_inside or self._way != LOCAL
        self._expect(all(row == [self.name] and has_tenant for row in rows), rows)
        if is_done and has_tenant and words != OWN:
            missing = len(self.written) - len(rows)
            self._expect(missing <= 0, f"{missing} rows less than it has written")

    def _write(self) -> None:
        if self._way == LOCAL:
            self._transaction()
            return
        name = self._next()
        if self._insert(name):
            self.written.append(name)

    def _transaction(self) -> None:
        names: list[str] = []

        def inside() -> None:
            for _ in range(self.chance.choice((1, 1, 2))):
                if self.chance.random() < 0.5:
                    names.append(self._next())
                    self._insert(names[-1])
                else:
                    self._look(self._run("r", READ) + sync(), "r", is_inside=True)

        if self._in_transaction(inside):
            self.written += names

    def _change(self) -> None:
        """Settings that differ make replays differ."""
        texts = [f"SET work_mem = '{self.chance.randrange(1, 9)}MB'", "RESET work_mem"]
        texts += [f"SET app.s0 = '{self.chance.random()}'", "SET statement_timeout = 0"]
        texts += [f"SET statement_timeout = {self.chance.randrange(1, 5)}"]
        text = self.chance.choice(texts)
        self._ask(query(text), text)

    def _insert(self, name: str) -> bool:
        """Whether it was acknowledged, outside of transactions."""
        if self.chance.random() < 0.5:
            text = WRITE.replace("$1", f"'{name}'")
            answer, is_done = self._ask(query(text), text)
        else:
            statement = self.chance.choice(("", "w"))
            words = f"{statement or 'unnamed'} {name}"
            answer, is_done = self._ask(self._run(statement, WRITE, name) + sync(), words)
        rows = [message.row for message in answer if message.kind == "D"]
        self._expect(rows in ([], [[self.name]]), rows)
        return is_done

    def _next(self) -> str:
        self._count += 1
        return f"{self.name}-{self._count}"

    # -- how ------------------------------------------------------------------------------------

    def _run(self, name: str, sql: str, *values: str) -> bytes:
        """Bind and Execute, behind Parse where it may not be prepared."""
        data = bind(*values, name=name) + execute()
        return data if name in self._prepared else parse(sql, name) + data

    def _ask(self, data: bytes, words: str) -> tuple[list[Message], bool]:
        """The answer to one request, and whether it did not fail."""
        client, request = self._client, None
        client.send(data)
        if self._storm.requests and self._weather.is_stormy and self.chance.random() < 0.5:
            request = threading.Timer(self.chance.uniform(0, 0.004), self._cancel)
            request.start()
        answer = client.until("Z")
        if request is not None:
            request.join()
        self._status = answer[-1].body
        errors = [message.fields for message in answer if message.kind == "E"]
        seen = "".join(message.kind for message in answer)
        said = ", ".join(f"{error['C']} {error['M']}" for error in errors)
        self._history.append(f"{words[:80]} → {seen} {said}")
        self._expect(all(error["C"] in EXPECTED for error in errors), said)
        for name in ("r", "w"):
            if words.split()[0] == name and "1" in seen:
                self._prepared.add(name)
        return answer, not errors

    def _cancel(self) -> None:
        cancel(self._world.shared_port, self._client.key)

    def _expect(self, is_right: bool, found: object) -> None:
        if not is_right:
            lines = "\n".join(f"  {line}" for line in self._history)
            raise WrongWorldError(f"{self.name} by {self._way} found {found}:\n{lines}")


def cancel(port: int, key: tuple[int, bytes]) -> None:
    """Send a cancel request, and wait until it has been dealt with."""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection((HOST, port), timeout=30) as sock,
    ):
        sock.sendall(cancel_request(*key))
        sock.recv(1)


def cancel_backends(
    rows: Callable[[str], object], database: str, chance: random.Random, weather: Weather
) -> None:
    """Cancel what runs on the database's connections, whosever it is, at random moments."""
    text = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = '%s'"
        " AND backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()"
    )
    weather.wait()
    while weather.is_stormy:
        rows(text % database)
        # Most questions about a session with many settings take longer than that: there are lulls.
        time.sleep(LULL_S if chance.random() < LULLS else chance.uniform(0, 0.003))


def wrong_rows(rows: Sequence[tuple[str | None, ...]]) -> list[tuple[str | None, ...]]:
    """Of ids and tenants those that do not belong together."""
    return [row for row in rows if str(row[0]).partition("-")[0] != row[1]]
