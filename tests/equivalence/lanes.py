"""Runs one program of several clients twice at once, each client through Forebay and directly, and
compares what the two hear, step by step.

A program is a list of steps in the order in which they are sent. A client whose connection is in
use by another waits for it while the others go on, so a program never blocks itself.
"""

import contextlib
import select
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from forebay.protocol.errors import PgError
from tests.equivalence.differences import are_same, is_late, normal
from tests.equivalence.wire import Op, Told, flights, is_answered
from tests.harness import raw
from tests.harness.clients import TestDatabase
from tests.harness.raw import Message, RawClient
from tests.harness.waiting import eventually

# How long a client may stay unanswered before another goes on: it may wait for a connection.
PATIENCE_S = 0.005
LOGIN_POLL_S = 0.002
LANES_LIMIT = 12
# Longer than any client waits for a connection; only a failing test waits so long.
HANG_S = 20.0

# What clients change the shape of, and what they create under whatever search_path.
AGAIN = """
    DROP TABLE IF EXISTS {me}.shape;
    CREATE TABLE {me}.shape (n bigint, moment timestamptz);
    INSERT INTO {me}.shape VALUES (7, '2024-01-01 12:00+00');
    DROP VIEW IF EXISTS {me}.view5;
    DROP TABLE IF EXISTS {me}.t5, {me}.t6, {me}.t7;
    DROP SEQUENCE IF EXISTS {me}.q5;
    DROP FUNCTION IF EXISTS {me}.f5;
    DROP TYPE IF EXISTS {me}.type5;
    DROP SCHEMA IF EXISTS {me}_b CASCADE;
"""
# Every third client binds in binary what was described to it.
BINARY_EVERY = 3


class Step(NamedTuple):
    """What one client does next.

    ``ops``: one ("connect", name, value, …) with settings for the startup packet, ("query", sql),
    or messages of the extended protocol, the last of which is Sync: ("P", name, sql), ("B", portal,
    name, value, …), ("D", "S" or "P", name), ("E", portal, rows), ("C", "S" or "P", name), ("H",),
    ("S",), and ("Q", sql) among them. In all texts {me} stands for a name that is the client's own,
    and {key} for a number that is.
    """

    lane: int
    ops: tuple[Op, ...]


@dataclass(slots=True)
class Difference:
    """The first step whose answers differ."""

    number: int
    step: Step
    direct: list[str]
    shared: list[str]

    def __str__(self) -> str:
        direct, shared = _indented(self.direct), _indented(self.shared)
        title = f"step {self.number}: {self.step}"
        return "\n".join([title, "  directly:", *direct, "  through Forebay:", *shared])


class IncomparableError(Exception):
    """The program went where results may differ (see differences.NOT_ASKED, "results nobody was
    told"): what would follow means nothing."""


class Client(RawClient):
    """A connection that can be asked for what has come."""

    def receive_now(self) -> Message | None:
        """The next message if it is there already. Raises EOFError at the end of the connection."""
        while True:
            size = int.from_bytes(self._received[1:5], "big") + 1
            if len(self._received) >= max(size, 5):
                return self.receive()
            if not select.select([self], [], [], 0)[0]:
                return None
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the connection was closed")
            self._received += data

    def fileno(self) -> int:
        return self._socket.fileno()


class World(NamedTuple):
    """Where programs run. Roles and tables are there (see ``test_equivalence``)."""

    direct_port: int
    shared_port: int
    database: TestDatabase


@dataclass(slots=True)
class Side:
    """One client's connection, direct or through Forebay."""

    port: int
    database: TestDatabase
    own: str
    common: str
    binary: bool
    logins: ThreadPoolExecutor
    client: Client | None = None
    login: Future[Client] | None = None
    answer: list[Message] = field(default_factory=list)
    flights: deque[tuple[bytes, str]] = field(default_factory=deque)
    ended: bool = False
    logged_in: int = 0  # how often
    status: bytes = b"I"  # of the last ReadyForQuery
    told: Told = field(default_factory=Told)

    def begin(self, ops: tuple[Op, ...]) -> None:
        """Send the first part of a step."""
        self.answer = []
        if ops[0][0] == "connect":
            self._connect(ops[0][1:])
            return
        if self.client is None or self.ended:
            return
        if ops[0][0] == "leave":
            self.close()
            self.client = None
            return
        whole = [(kind, *map(self._filled, values)) for kind, *values in ops]
        self.flights = deque(flights(whole, self.told if self.binary else None))
        self._send()

    def advance(self) -> bool:
        """Take in what has come; whether the step is answered."""
        if not self._logged_in():
            return False
        while self.flights:
            if is_answered(self.flights[0][1], [message.kind for message in self.answer]):
                self.flights.popleft()
                self._send()
            elif not self._receive():
                return False
        return True

    def heard(self) -> list[str]:
        """What the step was answered with, without what may differ."""
        found: list[str] = []
        parameters: list[str] = []
        skipping = False
        for message in self.answer:
            kind, body = normal(message, self.own.encode(), self.common.encode())
            if kind == "S":
                parameters.append(f"S {body!r}")  # their order means nothing
                continue
            if kind == "Z":
                self.status = body
                skipping = False
            elif skipping:
                continue
            elif self.status == b"E" and is_late(kind, body):
                kind, body = "E", b"late"
                skipping = True
            if kind in "ZK":
                found += sorted(parameters)
                parameters = []
            found.append(f"{kind} {body!r}")
        return found + sorted(parameters)

    def close(self) -> None:
        if self.login is not None:
            with contextlib.suppress(PgError, TimeoutError):
                self.client = self.login.result()
        if self.client is None:
            return
        if self.flights or self.ended:
            self.client.vanish()
        else:
            self.client.leave()

    def _connect(self, pairs: tuple[str, ...]) -> None:
        if self.client is not None and not self.ended:
            self.client.leave()
        self.client, self.ended = None, False
        self.logged_in += 1
        values = [self._filled(value) for value in pairs]
        settings = dict(zip(values[::2], values[1::2], strict=True))
        self.login = self.logins.submit(Client, self.port, self.database, settings)

    def _logged_in(self) -> bool:
        """Whether no login is under way."""
        if self.login is None:
            return True
        if not self.login.done():
            return False
        try:
            self.client = self.login.result()
            self.answer += self.client.greeting
        except PgError as error:
            self.ended = True
            self.answer.append(Message("E", error.raw or error.encode()[5:]))
        except TimeoutError:
            self.ended = True
            self.answer.append(Message("no login", b""))
        self.login = None
        return True

    def _filled(self, text: str) -> str:
        """A text of the program as this side says it. Locks are given back some time after a
        client has left: each session has its own."""
        key = f"{self.own.rpartition('_')[2]}{int(self.own != self.common)}{self.logged_in:02}"
        return text.replace("{me}", self.own).replace("{key}", "1" + key)

    def _send(self) -> None:
        if self.flights and self.client is not None:
            self.client.send(self.flights[0][0])

    def _receive(self) -> bool:
        """The next message, if it is there already."""
        assert self.client is not None
        try:
            message = self.client.receive_now()
        except (EOFError, ConnectionResetError):
            self.answer.append(Message("end", b""))
            self.ended = True
            self.flights.clear()
            return True
        if message is not None:
            self.answer.append(message)
        return message is not None


class Lane:
    """One client of the program: its two connections, and the steps that are still to be done."""

    def __init__(self, number: int, world: World, logins: ThreadPoolExecutor) -> None:
        direct, shared = f"direct_{number}", f"shared_{number}"
        binary = number % BINARY_EVERY == BINARY_EVERY - 1
        self.direct = Side(world.direct_port, world.database, direct, direct, binary, logins)
        self.shared = Side(world.shared_port, world.database, shared, direct, binary, logins)
        self.waiting: deque[tuple[int, Step]] = deque()
        self.current: tuple[int, Step] | None = None

    def go_on(self) -> Difference | None:
        """As far as it comes without waiting."""
        while True:
            if self.current is None:
                if not self.waiting:
                    return None
                self.current = self.waiting.popleft()
                for side in (self.direct, self.shared):
                    side.begin(self.current[1].ops)
            done = [side.advance() for side in (self.direct, self.shared)]
            if not all(done):
                return None
            difference = self.difference()
            for side in (self.direct, self.shared):
                side.told.learn(self.current[1].ops, side.answer)
            if difference and self.direct.told.excuses(difference.direct, difference.shared):
                raise IncomparableError
            self.current = None
            if difference is not None:
                return difference

    def difference(self) -> Difference | None:
        assert self.current is not None
        direct, shared = self.direct.heard(), self.shared.heard()
        if are_same(direct, shared):
            return None
        return Difference(*self.current, direct, shared)

    @property
    def sides(self) -> Iterator[Side]:
        """Those that have something to wait for."""
        for side in (self.direct, self.shared):
            if side.flights or side.login is not None:
                yield side


class Lanes:
    """The clients of one run of a program."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lanes: dict[int, Lane] = {}
        self._logins = ThreadPoolExecutor(2 * LANES_LIMIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes.values():
            lane.direct.close()
            lane.shared.close()
        self._logins.shutdown()

    def run(self, program: Sequence[Step], together: int) -> Difference | None:
        """Run it, with up to `together` steps under way at once; the first difference."""
        last = {step.lane: number for number, step in enumerate(program)}
        for number, step in enumerate(program):
            lane = self._lanes.get(step.lane)
            if lane is None:
                lane = self._lanes[step.lane] = Lane(step.lane, self._world, self._logins)
                if step.ops[0][0] != "connect":
                    lane.waiting.append((number, Step(step.lane, (("connect",),))))
            lane.waiting.append((number, step))
            if last[step.lane] == number:
                lane.waiting.append((number, Step(step.lane, (("leave",),))))
            if found := self._settle(together - 1, PATIENCE_S):
                return found
        if found := self._settle(0, HANG_S):
            return found
        stuck = [lane for lane in self._lanes.values() if lane.current is not None]
        # Who hears half an answer has a connection; the others may wait for that.
        stuck.sort(key=lambda lane: -len(lane.shared.answer))
        for lane in stuck:
            assert lane.current is not None
            others = [f"(and {other.current})" for other in stuck if other is not lane]
            heard = [*lane.shared.heard(), "(hangs)", *others]
            return Difference(*lane.current, lane.direct.heard(), heard)
        return None

    def _settle(self, most: int, patience_s: float) -> Difference | None:
        """Go on until at most so many clients wait for answers, or nothing comes for a while."""
        while True:
            for lane in self._lanes.values():
                if found := lane.go_on():
                    return found
            busy = [lane for lane in self._lanes.values() if lane.current is not None]
            if len(busy) <= most:
                return None
            sides = [side for lane in busy for side in lane.sides]
            watched = [side.client for side in sides if side.login is None]
            logins = [side.login for side in sides if side.login is not None]
            if logins:
                came = select.select(watched, [], [], LOGIN_POLL_S)[0]
                came += [login for login in logins if login.done()]
                patience_s -= LOGIN_POLL_S
                if not came and patience_s > 0:
                    continue
            else:
                came = select.select(watched, [], [], max(0.0, patience_s))[0]
            if not came:
                return None


def differs(world: World, program: Sequence[Step], together: int = 2) -> Difference | None:
    """The first difference between the program's clients through Forebay and directly."""
    _prepare(world, {step.lane for step in program})
    with Lanes(world) as lanes, contextlib.suppress(IncomparableError):
        return lanes.run(program, together)
    return None


def _prepare(world: World, lanes: Iterable[int]) -> None:
    """Take away what another program has left in tables, and in Forebay's connections: a
    program shall always do the same."""
    names = [f"{side}_{lane}" for lane in lanes for side in ("direct", "shared")]
    with RawClient(world.direct_port, world.database) as client:
        client.query(
            "".join(
                f"DELETE FROM {name}.entry; ALTER SEQUENCE {name}.counter RESTART;"
                + AGAIN.replace("{me}", name)
                for name in names
            )
        )
        others = (
            "FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        client.query(f"SELECT pg_terminate_backend(pid) {others}")
        eventually(lambda: not client.query(f"SELECT pid {others}"), "no other connections")
    # A backend is out of that list before its socket is closed, and Forebay knows.
    eventually(lambda: raw.serves(world.shared_port, world.database), "Forebay has new connections")


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
