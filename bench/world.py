"""What the measures work in: the database, the sides, the options, the failures."""

import contextlib
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import pgbench
from bench.figures import rotate
from bench.load import SINK, Answer
from bench.pgbench import Load, Outcome, PgbenchError
from bench.process import kill_session, run_bounded
from bench.sides import (
    Forebay,
    PgBouncer,
    Shape,
    Side,
    SideError,
    Stand,
    running,
    write_certificate,
)
from bench.target import Target
from forebay.embedded.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent
LOAD = [sys.executable, "-m", "bench.load"]
DATABASE, USER, PASSWORD = "bench", "bench", "bench-only-on-loopback"
# 100 for users, so that Forebay's percentage of them is the number of connections. The three
# reserved ones are PostgreSQL's default.
MAX_CONNECTIONS = 103
GRACE_S = 120


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how often."""

    rounds: int
    seconds: float
    idle_clients: int
    mebibytes: int
    quick: bool


@dataclass(slots=True)
class World:
    """Everything a measure needs; ``failures`` is what makes the benchmark fail."""

    options: Options
    server: Postgres
    pgbench: Path
    database: Target
    sides: tuple[Side, ...]
    pgbouncer: PgBouncer | None
    forebay: Forebay
    certificate: tuple[bytes, bytes]
    progress: Callable[[str], None]
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def has(self, side: Side) -> bool:
        """Say whether a side takes part."""
        return side in self.sides

    @contextlib.contextmanager
    def stands(
        self,
        *,
        tls: bool,
        connections: int,
        sides: Sequence[Side] = tuple(Side),
        more_users: Sequence[str] = (),
        tokens: bool = False,
    ) -> Iterator[list[Stand]]:
        """Start the sides that take part, fresh; those that cannot start are failures."""
        shape = Shape(tls, tls and self.server.tls, connections, more_users, tokens)
        with contextlib.ExitStack() as stack:
            started = []
            for side in sides:
                if not self.has(side) or (side is Side.DIRECT and tls and not self.server.tls):
                    continue
                try:
                    started.append(stack.enter_context(self._stand(side, shape)))
                except (SideError, OSError) as error:
                    self.fail(side, "start", error)
            yield started
            for stand in started:
                if (said := stand.ended()) is not None:
                    self.fail(stand.side, "ended by itself", said)

    def rounds(self, stands: list[Stand], label: str, action: Callable[[Stand], None]) -> None:
        """Do ``action`` on every stand in every round, beginning with another stand each time."""
        for number in range(self.options.rounds):
            for stand in rotate(stands, number):
                self.progress(f"{label}: round {number + 1}/{self.options.rounds}: {stand.side}")
                self.attempt(stand.side, label, functools.partial(action, stand))

    def attempt(self, side: Side, label: str, action: Callable[[], None]) -> None:
        """Do ``action``; what goes wrong in it is a failure and the benchmark goes on."""
        try:
            action()
        except (PgbenchError, SideError, LoadError) as error:
            self.fail(side, label, error)

    def fail(self, side: Side, label: str, error: object) -> None:
        """Note a failure once."""
        words = f"{label}: {side}: {error}"
        if words not in self.failures:
            self.failures.append(words)

    def make_users(self, count: int) -> list[str]:
        """See that there are so many more database users, who may read; their names."""
        names = [f"{self.database.user}_{number}" for number in range(count)]
        known = {row[0] for row in self.server.sql("SELECT rolname FROM pg_roles")}
        for name in names:
            if name not in known:
                options = "IN ROLE pg_read_all_data"
                self.server.create_user(name, self.database.password, options=options)
        return names

    def make_databases(self, count: int) -> list[str]:
        """See that there are so many more databases; their names."""
        names = [f"{self.database.database}_{number}" for number in range(count)]
        known = {row[0] for row in self.server.sql("SELECT datname FROM pg_database")}
        for name in names:
            if name not in known:
                self.server.create_database(name)
        return names

    def run(self, target: Target, load: Load) -> Outcome:
        """Run pgbench. Raises PgbenchError."""
        return pgbench.run(self.pgbench, target, load)

    def load(self, what: str, target: Target, **request: Any) -> Answer:
        """Run a load of our own to its end. Raises LoadError if anything in it went wrong."""
        with tempfile.TemporaryFile("w+") as file:
            file.write(request_line(target, request))
            file.seek(0)
            timeout_s = request.get("seconds", 0) + GRACE_S
            try:
                done = run_bounded([*LOAD, what], timeout_s=timeout_s, stdin=file, cwd=ROOT)
            except subprocess.TimeoutExpired:
                raise LoadError(f"the load did not end within {timeout_s:g} s") from None
        return parse_answer(done.stdout, done.stderr)

    @contextlib.contextmanager
    def loading(self, what: str, target: Target, **request: Any) -> Iterator[Answer]:
        """Run a load that holds until the end of ``with``; its answer comes when it is ready."""
        process = subprocess.Popen(
            [*LOAD, what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=ROOT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            try:
                with contextlib.suppress(BrokenPipeError):  # it died, and says why
                    process.stdin.write(request_line(target, request))
                    process.stdin.flush()
                line = process.stdout.readline()
                yield parse_answer(line, "" if line else process.stderr.read())
            finally:
                kill_session(process)

    @contextlib.contextmanager
    def _stand(self, side: Side, shape: Shape) -> Iterator[Stand]:
        if side is Side.DIRECT:
            yield Stand(side, self.database.at(self.database.port, tls=shape.client_tls))
            return
        with tempfile.TemporaryDirectory(prefix="forebay-bench-") as name:
            folder = Path(name)
            write_certificate(folder, *self.certificate)
            proxy = self.pgbouncer if side is Side.PGBOUNCER else self.forebay
            assert proxy is not None
            with running(proxy.start(self.database, shape, folder)) as stand:
                yield stand


class LoadError(Exception):
    """A load of our own was refused, failed, or got a wrong answer."""


def request_line(target: Target, request: dict[str, Any]) -> str:
    """Write what a load reads on its standard input."""
    return json.dumps({"processes": 1, **request, "target": asdict(target)}) + "\n"


def parse_answer(stdout: str, stderr: str) -> Answer:
    """Read a load's answer. Raises LoadError if it names errors or is none."""
    try:
        answer = Answer(**json.loads(stdout))
    except (ValueError, TypeError):
        raise LoadError(pgbench.last_words(stderr) or "the load gave no answer") from None
    if answer.errors:
        raise LoadError("; ".join(answer.errors))
    return answer


def prepare(server: Postgres, binary: Path) -> Target:
    """Make the user, the database and pgbench's tables. Raises SetupError or PgbenchError."""
    server.create_user(USER, PASSWORD)
    server.create_database(DATABASE, USER)
    server.sql(
        f"CREATE UNLOGGED TABLE {SINK} (id integer, padding text)",
        database=DATABASE,
        user=USER,
        password=PASSWORD,
    )
    target = Target(server.host, server.port, USER, DATABASE, tls=False, password=PASSWORD)
    pgbench.initialise(binary, target)
    return target
