"""Servers as PostgreSQL's are: what they write, how they replicate, and how they die.

What each way of dying looks like from outside was measured on PostgreSQL 15; see `fast_stop` and
those that follow it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from forebay.topology.reports import Report
from tests.simulation.failover.network import EOF, Message, Network, Wire
from tests.simulation.failover.world import World

# How soon a walsender that found its standby away tries again.
RETRY_S = 0.05
MAX_CONNECTIONS = 100


@dataclass(eq=False)
class Backend:
    """One session."""

    wire: Wire
    is_ready: bool = False
    in_transaction: bool = False
    has_failed: bool = False  # ... its transaction has
    pending: list[int] = field(default_factory=list)  # written in the open transaction
    running: Message | None = None
    commits_at: int = 0  # the place in the log whose replication it waits for; 0: it does not
    is_dead: bool = False
    is_left: bool = False  # its client is gone: it ends what it does
    inbox: list[Message] = field(default_factory=list)


class Postgres:
    """One server. ``rows``: what is committed here, in order. ``sync``: the standby that must have
    a row before it is acknowledged."""

    def __init__(self, world: World, network: Network, name: str, system_id: str) -> None:
        self.world, self.network, self.name, self.system_id = world, network, name, system_id
        self.random = world.chance(f"postgres {name}")
        self.state = "up"  # or starting, down
        self.is_vanished = False
        self.is_frozen = False  # SIGSTOP of all its processes
        self.accepts = True  # False: SIGSTOP of the postmaster alone
        self.in_recovery = False
        self.timeline = 1
        self.started_at = 1.0
        self.life = 0
        self.is_read_only = False
        self.tells = True  # the control user may ask for the timeline
        self.lets_in = True  # ... and log in at all
        self.rows: list[int] = []
        self.upstream: Postgres | None = None
        self.sync: Postgres | None = None
        self.backends: dict[Wire, Backend] = {}
        self.has: set[int] = set()  # the same rows
        self.on_double: Callable[[Postgres, int], None] = lambda server, row: None
        self.walsender_until = 0.0  # of a server whose postmaster was killed
        self._frozen: list[tuple[Callable[..., None], tuple[object, ...]]] = []

    # Connections.

    def accept(self, wire: Wire) -> str:
        if self.state == "down":
            return "refused"
        self.backends[wire] = Backend(wire)
        return ""

    def receive(self, wire: Wire, message: Message) -> None:
        self._do(self._receive, wire, message)

    def _do(self, function: Callable[..., None], *arguments: object) -> None:
        """Now, or when the processes may run again."""
        if self.is_frozen:
            self._frozen.append((function, arguments))
        else:
            function(*arguments)

    def _receive(self, wire: Wire, message: Message) -> None:
        backend = self.backends.get(wire)
        if backend is None:
            if message != EOF:
                wire.answer(EOF)
        elif message == EOF:
            backend.is_left = True
            if backend.running is None:
                self._end(backend)
        elif backend.running is not None:
            backend.inbox.append(message)
        else:
            self._begin(backend, message)

    def _begin(self, backend: Backend, message: Message) -> None:
        kind = message[0]
        if not backend.is_ready and not self.accepts:
            backend.inbox.append(message)  # it is in the kernel's backlog
            return
        backend.running = message
        if kind == "login":
            self._login(backend, message)
            return
        seconds = self.random.uniform(0.0005, 0.004)
        if kind in ("insert", "xinsert", "tinsert") and self.random.random() < 0.1:
            seconds = self.random.uniform(0.1, 0.6)  # bound by the CPU
        self.world.later(seconds, self._do, self._work, backend, message)

    def _login(self, backend: Backend, message: Message) -> None:
        is_control = message[1] == "control"
        code = ""
        if self.state == "starting":
            code = "57P03"
        elif is_control and not self.lets_in:
            code = "28P01"
        elif len(self.backends) > MAX_CONNECTIONS:
            code = "53300"
        if code:
            self._say(backend, ("E", code))
            self._end(backend)
            return
        backend.is_ready = True
        self._done(backend)

    def _work(self, backend: Backend, message: Message) -> None:
        """The statement has run."""
        if backend.is_dead:
            return
        kind, row = message
        writes = kind in ("insert", "xinsert", "tinsert")
        if kind == "ask":
            self._say(backend, ("report", self.report()))
            self._done(backend)
        elif kind == "writes?":
            self._say(backend, ("writes", not self.in_recovery and not self.is_read_only))
            self._done(backend)
        elif backend.has_failed and kind == "tinsert":
            self._say(backend, ("E", "25P02"))
            self._done(backend)
        elif writes and (self.in_recovery or self.is_read_only):
            backend.pending, backend.has_failed = [], backend.in_transaction
            self._say(backend, ("E", "25006"))
            self._done(backend)
        elif kind == "rollback" or (kind == "commit" and backend.has_failed):
            backend.pending, backend.in_transaction, backend.has_failed = [], False, False
            self._say(backend, ("C",))
            self._done(backend)
        elif kind == "begin":
            backend.in_transaction = True
            self._say(backend, ("C",))
            self._done(backend)
        elif kind == "tinsert" and backend.in_transaction:
            backend.pending.append(row)
            self._say(backend, ("C",))
            self._done(backend)
        else:
            if kind == "xinsert":
                self._say(backend, ("C",))  # Execute and Flush; Sync comes after it
            rows = backend.pending if kind == "commit" else [row]
            backend.pending, backend.in_transaction = [], False
            self._commit(backend, rows)

    def _commit(self, backend: Backend, rows: list[int]) -> None:
        for row in rows:
            self._add(row)
        backend.commits_at = len(self.rows)
        if self.sync is None:
            self._committed(backend)
        else:
            self.world.later(self.random.uniform(0.0003, 0.002), self.replicate)

    def _committed(self, backend: Backend) -> None:
        """All have it that must."""
        backend.commits_at = 0
        if backend.running is not None and backend.running[0] != "xinsert":
            self._say(backend, ("C",))
        self._done(backend)
        if self.state == "down":  # its postmaster was killed meanwhile
            self._say(backend, ("E", "57P01"))
            self._end(backend)

    def _done(self, backend: Backend) -> None:
        backend.running = None
        status = "E" if backend.has_failed else "T" if backend.in_transaction else "I"
        self._say(backend, ("Z", status))
        if backend.is_left:
            self._end(backend)
        elif backend.inbox:
            self._begin(backend, backend.inbox.pop(0))

    def _say(self, backend: Backend, message: Message) -> None:
        if not backend.is_dead:
            backend.wire.answer(message)

    def _end(self, backend: Backend, word: Message | None = None) -> None:
        """A session is over: what it had begun is rolled back, what it had written stays."""
        if word is not None:
            self._say(backend, word)
        backend.is_dead = True
        backend.wire.answer(EOF)
        self.backends.pop(backend.wire, None)

    def report(self) -> Report:
        tells = self.tells and not self.in_recovery
        return Report(
            in_recovery=self.in_recovery,
            timeline=self.timeline if tells else 0,
            system_id=self.system_id,
            is_read_only=self.is_read_only,
            started_at=self.started_at,
        )

    # Replication.

    @property
    def runs(self) -> bool:
        return self.state != "down" and not self.is_vanished and not self.is_frozen

    def replicate(self) -> None:
        """Rows go to the standbys; acknowledged is what the synchronous one has."""
        is_sending = self.runs or (
            not self.is_vanished and not self.is_frozen and self.world.now < self.walsender_until
        )
        if self.state == "down" and not self.is_vanished and not is_sending:
            for each in list(self.backends.values()):
                if each.commits_at:
                    self._end(each, ("N", "57P01"))
        standby = self.sync
        if not is_sending or standby is None:
            return
        if standby.upstream is self and standby.runs:
            standby.catch_up()
            for each in list(self.backends.values()):
                if 0 < each.commits_at <= len(standby.rows):
                    self._committed(each)
        if any(each.commits_at for each in self.backends.values()):
            self.world.later(RETRY_S, self.replicate)

    def catch_up(self) -> None:
        """A standby receives what its upstream has."""
        if self.upstream is not None:
            for row in self.upstream.rows[len(self.rows) :]:
                self._add(row)

    def _add(self, row: int) -> None:
        if row in self.has:
            self.on_double(self, row)
        self.rows.append(row)
        self.has.add(row)

    def release(self) -> None:
        """synchronous_standby_names is emptied: nobody waits any more."""
        self.sync = None
        if self.runs:
            for each in list(self.backends.values()):
                if each.commits_at:
                    self._committed(each)

    # Life and death.

    def start(self, upstream: "Postgres | None") -> None:
        """As a primary, or as a standby of another, from which it was rewound."""
        self.life += 1
        self.started_at = round(self.world.now, 6) + 1.0
        self.state, self.is_vanished, self.is_frozen, self.accepts = "up", False, False, True
        self._frozen.clear()
        for each in list(self.backends.values()):
            self._end(each)
        self.walsender_until = 0.0
        self.upstream, self.in_recovery = upstream, upstream is not None
        self.sync = None
        if upstream is not None:
            self.timeline = upstream.timeline
            same = 0
            for mine, other in zip(self.rows, upstream.rows, strict=False):
                if mine != other:
                    break
                same += 1
            del self.rows[same:]
            self.has = set(self.rows)
        self.world.log("starts", self.name, "standby" if upstream else "primary", self.timeline)

    def promote(self) -> None:
        """Its sessions stay."""
        self.upstream, self.in_recovery = None, False
        self.timeline += 1
        self.world.log("promoted", self.name, self.timeline)

    def fast_stop(self) -> None:
        """Every session gets FATAL 57P01; one that waits for replication WARNING, and its row stays
        committed."""
        for each in list(self.backends.values()):
            self._end(each, ("N" if each.commits_at else "E", "57P01"))
        self.state = "down"

    def immediate_stop(self) -> None:
        """WARNING 57P01, and no more."""
        for each in list(self.backends.values()):
            self._end(each, ("N", "57P01"))
        self.state = "down"

    def crash(self, restart_s: float) -> None:
        """A backend is killed: the others are told by WARNING 57P02, and it starts anew by itself,
        with the postmaster that it had."""
        for number, each in enumerate(list(self.backends.values())):
            self._end(each, ("N", "57P02") if number else None)
        self.state = "starting"
        self.world.later(restart_s, self._recovered, self.life)

    def _recovered(self, life: int) -> None:
        if self.life == life and self.state == "starting":
            self.state = "up"

    def kill_postmaster(self) -> None:
        """Who is idle gets FATAL 57P01 soon. A statement that runs goes on to its end, and is
        committed, and is acknowledged if it was replicated."""
        self.state = "down"
        self.walsender_until = self.world.now + self.random.uniform(0.0, 0.3)
        for each in list(self.backends.values()):
            writes = each.running is not None and each.running[0] in ("insert", "xinsert")
            if not writes:
                self._end(each, ("E", "57P01"))

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        if self.is_frozen:
            self.is_frozen = False
            waiting, self._frozen = self._frozen, []
            for function, arguments in waiting:
                function(*arguments)
            self.replicate()

    def resume_accepting(self) -> None:
        """The postmaster goes on: it serves who has knocked."""
        self.accepts = True
        for each in list(self.backends.values()):
            if not each.is_ready and each.running is None and each.inbox:
                self._begin(each, each.inbox.pop(0))

    def vanish(self) -> None:
        """Its host is gone, without a word to anybody."""
        self.is_vanished, self.state = True, "down"
        for each in self.backends.values():
            each.is_dead = each.wire.has_ended = True
        self.backends = {}

    def terminate(self, is_control: bool) -> None:
        """pg_terminate_backend of some session."""
        ready = [each for each in self.backends.values() if each.is_ready]
        if ready and self.runs:
            victim = ready[0] if is_control else ready[-1]
            self._end(victim, ("N" if victim.commits_at else "E", "57P01"))
