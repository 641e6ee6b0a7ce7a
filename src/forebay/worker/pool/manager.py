"""All micro-pools before one database server: opens, evicts, closes and counts their connections.

The micro-pools (compiled) do what happens for every transaction; they and the connections call in
here for what concerns all of them. What is decided stands in `decide`; this class carries it out.
"""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import parse_data_row
from forebay.relay import Census, Client, Command, Lease, MicroPool, Server
from forebay.session.settings import InternTable
from forebay.topology.reports import HintKind
from forebay.worker.agenda import Agenda
from forebay.worker.pool.budget import LIMITS_QUERY, Budget, parse_limits
from forebay.worker.pool.changeover import Changeover
from forebay.worker.pool.counts import assert_counts
from forebay.worker.pool.decide import next_step
from forebay.worker.pool.groups import Groups
from forebay.worker.pool.holding import NODE_ANSWERS_S, WRITES_QUERY, Holding, writes
from forebay.worker.pool.holds import Holds
from forebay.worker.pool.openings import Openings, OpenServer
from forebay.worker.pool.pausing import Pausing
from forebay.worker.pool.record import Record
from forebay.worker.pool.refusals import Refusals
from forebay.worker.pool.upkeep import UNANSWERED_S, Upkeep

logger = logging.getLogger("forebay.pool")

# What a client that vanished had asked may take so long to end; then its connection is closed.
ABANDONED_S = 5.0


@dataclass(slots=True)
class Limits:
    """The pool's settings that may change while running."""

    max_connections_percent: int
    max_idle_connections_percent: int
    max_waiting_clients: int
    init_query: str
    max_connections: int | None = None  # besides the percentage: the lower holds
    is_watched: bool = False  # by the node, which tells when connections may be opened


class PoolManager:
    """The connections to one database server.

    `open_server` opens, authenticates and prepares a connection for a micro-pool and returns it
    unstarted with the server's (max_connections, reserved); `cancel` delivers a cancel request,
    if what is to be cancelled is still under way.
    """

    def __init__(
        self,
        agenda: Agenda,
        limits: Limits,
        intern: InternTable,
        open_server: OpenServer,
        cancel: Callable[[Server, Callable[[], bool]], Coroutine[Any, Any, None]],
    ) -> None:
        self._agenda = agenda
        self.limits = limits
        self.cancel = cancel
        # Told what speaks against the server, as far as traffic sees it.
        self.hint: Callable[[HintKind], None] = lambda _: None
        # Asked to move clients to other servers, where there are some (`Census.has_others`).
        self.relieve: Callable[[], None] = lambda: None
        self._intern = intern
        self._changeover = Changeover(intern, limits.init_query)
        self._scheduled = False
        self._told: tuple[int, int] | None = None
        self.pools: dict[tuple[str, str], MicroPool] = {}
        self.servers: set[Server] = set()
        self.budget: Budget | None = None
        self.census = Census()
        self.census.waiting_limit = limits.max_waiting_clients
        self.groups = Groups(self.census, self.pools)
        self.refusals = Refusals()
        self.openings = Openings(agenda, self, open_server)
        self.holds = Holds(agenda, self)
        self.holding = Holding(self, agenda.now)
        self.pausing = Pausing(self)
        self.upkeep = Upkeep(self)
        self.record = Record()

    def pool(self, database: str, user: str) -> MicroPool:
        """The micro-pool of (database, user)."""
        key = (database, user)
        found = self.pools.get(key)
        if found is None:
            found = self.pools[key] = MicroPool(database, user, self.census, self, self._changeover)
            self.groups.join(found)
            self.mark(found)
        return found

    def is_held_back(self, pool: MicroPool) -> bool:
        """Whether nobody is to get a connection of `pool` now."""
        return self.holds.covers(pool) or self.pausing.covers(pool)

    def mark(self, pool: MicroPool) -> None:
        """Let the census know whether connections may be opened for `pool`."""
        pool.held_back = self.is_held_back(pool)

    def apply(self, limits: Limits) -> None:
        """Use other limits from now on. Connections beyond them are closed as they come free."""
        if limits.init_query != self.limits.init_query:
            self._changeover.apply(limits.init_query)
            self.retire_all()
        self.limits = limits
        self.census.waiting_limit = limits.max_waiting_clients
        if self._told is not None:
            self.note_limits(*self._told)

    # ---- who waits, and what is done about it ----

    @property
    def size(self) -> int:
        """Connections open or being opened."""
        return self.census.size

    @property
    def has_room(self) -> bool:
        """Whether another connection may be opened now. Until the limit is known, one may be."""
        return self.census.size < (1 if self.budget is None else self.census.limit)

    @property
    def has_clients(self) -> bool:
        """Whether anybody who has logged in gets connections here."""
        return any(pool.clients for pool in self.pools.values())

    @property
    def waiting(self) -> int:
        """Clients that wait for a connection."""
        return self.census.waiting

    def wanted(self, pool: MicroPool) -> None:
        """A client waits in `pool`, and more is to be done than to let it wait."""
        self.relieve()
        if self.waiting > self.limits.max_waiting_clients:
            newest = pool.last_waiter
            if newest is not None:
                error = errors.queue_full(self.limits.max_waiting_clients)
                self._agenda.soon(self.refuse, newest.borrower, error)
            return
        refusal = self.openings.refusal(pool)
        if refusal is not None:
            self._agenda.soon(self.refuse_all, pool, refusal)
            return
        self.schedule()

    def held_too_much(self, client: Client) -> None:
        """Refuse a client that has just begun to wait: what is held for such as it is too much."""
        self._agenda.soon(self.refuse, client, errors.requests_full())

    def schedule(self) -> None:
        """Look soon at what can be done for those who wait."""
        if not self._scheduled:
            self._scheduled = True
            self._agenda.soon(self._run_schedule)

    def _run_schedule(self) -> None:
        self._scheduled = False
        self._close_beyond_limit()
        now = self._agenda.now()
        while True:
            step = next_step(self.census, (server.pool for server in self.servers), now)
            if step is None:
                break
            for victim in step.victims:
                self.close_idle(victim.idle[0], "to make room")
            self.openings.begin(step.pool, "open a database connection")

    def _close_beyond_limit(self) -> None:
        """A limit was lowered: close idle connections, never ones in use."""
        if self.census.idle and (self.census.is_over or self.groups.is_over):
            for pool in self.pools.values():
                while pool.idle and self.census.is_over_for(pool):
                    self.close_idle(pool.idle[0], "the limit was lowered")

    def take_away(self, server: Server) -> None:
        """A connection came free that is not to be used again: it is in no pool any more."""
        if server.retired:
            reason = "it was retired"
        elif self.size >= self.census.limit:  # without this one
            reason = "the limit was lowered"
        elif self.groups.is_at_limit(server.pool):
            reason = "the limit of its user or its database was lowered"
        else:
            reason = "to make room for another user or database"
        self._close(server, reason)
        self.schedule()

    # ---- opening, and refusing ----

    def probe(self, pool: MicroPool) -> None:
        """Open one connection ahead of any client, if it may have one: it tells the server's
        limits."""
        if self.groups.has_room(pool.database, pool.user):
            self.openings.begin(pool, "open the first database connection")

    def refuse_all(self, pool: MicroPool, error: Exception) -> None:
        """Tell all who wait in `pool` what the database said."""
        for _ in range(pool.waiting):
            waiter = pool.first_waiter
            if waiter is None:
                return
            self.refuse(waiter.borrower, error)

    def refuse(self, client: Client, error: Exception) -> None:
        """Answer what `client` waits for with `error`; a login ends with it, a session goes on."""
        if not isinstance(error, PgError):
            error = errors.server_unreachable(str(error))
        self.refusals.note(client, error, self._agenda.now())
        severity = Severity.ERROR if client.greeted else Severity.FATAL
        client.refuse(error.with_severity(severity).encode())

    def note_limits(self, max_connections: int, reserved: int) -> None:
        """The server's limits, as it told them now."""
        self._told = (max_connections, reserved)
        budget = Budget.of(
            max_connections,
            # One is the node's own, by which it asks the server whether it writes.
            reserved + self.limits.is_watched,
            self.limits.max_connections_percent,
            self.limits.max_idle_connections_percent,
            self.limits.max_connections,
        )
        if budget != self.budget:
            self.budget = budget
            self.census.limit = budget.limit
            logger.info("%s", budget.sentence(self.limits.max_connections_percent))
            self.schedule()

    def ask_limits(self) -> None:
        """Read the server's limits again over an idle connection, if there is one.

        The one used last, which is the next to be used: surplus ones grow old undisturbed. What a
        client has set on it is taken off first, whatever it may mean.
        """
        newest = [pool.idle[-1] for pool in self.pools.values() if pool.idle]
        if newest:
            server = next((s for s in newest if s.settings is self._intern.none), newest[0])
            server.pool.take(server)
            if server.settings is not self._intern.none:
                self._changeover.reset(server)
            server.run(LIMITS_QUERY.encode(), self._limits_told)

    def _limits_told(self, server: Server, command: Command) -> None:
        try:
            if command.error is not None:
                raise ValueError(PgError.parse(command.error).message)
            self.note_limits(*parse_limits(parse_data_row(b"".join(command.rows[:1]))))
        except ValueError as error:
            logger.warning("The connection limits could not be read: %s", error)
            server.retired = True  # it does not do what every connection does

    # ---- closing ----

    def _close(self, server: Server, reason: str) -> None:
        """Close a connection that is in no pool's list."""
        self.servers.discard(server)
        server.shut(reason)

    def close_idle(self, server: Server, reason: str) -> None:
        """Close a connection that nobody uses."""
        server.pool.drop(server)
        self._close(server, reason)

    def retire_all(self) -> None:
        """Close every connection as it comes free, what is being opened too; idle ones now."""
        self.openings.retire()
        for server in self.servers:
            server.retired = True
        for pool in self.pools.values():
            for server in list(pool.idle):
                self.close_idle(server, "it was retired")

    def move(self) -> None:
        """The database server is another one from now on: what was learnt of the one before is
        forgotten, and its connections are closed as they come free."""
        self.forget_server()
        self.retire_all()

    def forget_server(self) -> None:
        """What was learnt of the server does not hold any more. (Its limits do, until another one
        tells its own.)"""
        self._told = None
        self.openings.forget_all()

    def vacate(self, pool: MicroPool, but: Server | None) -> int:
        """Close the idle connections of `pool`, and the others as they come free, except `but`.
        Returns how many were closed at once."""
        idle = [server for server in pool.idle if server is not but]
        for server in idle:
            self.close_idle(server, "a statement needs the database alone")
        for server in self.servers:
            if server.pool is pool and server is not but:
                server.retired = True
        return len(idle)

    def close_all(self) -> None:
        """Close every connection now."""
        for server in list(self.servers):
            server.shut("Forebay is shutting down")

    def forget_unused_pools(self) -> None:
        """Drop micro-pools that have neither connections nor clients waiting."""
        for key, pool in list(self.pools.items()):
            if not pool.size and not pool.waiting and not pool.clients:
                self.record.keep(pool)
                del self.pools[key]
                self.openings.forget(pool)

    # ---- what connections report ----

    def server_lost(self, server: Server, reason: str) -> None:
        """A connection is closed, by the database or by us."""
        pool = server.pool
        if server in self.servers:
            self.servers.discard(server)
            pool.drop(server)
            logger.info(
                "The database connection closed. Reason: %s",
                reason,
                extra={"fields": {"dbConnection": server.pid, "database": pool.database}},
            )
            self.schedule()

    def ended(self, server: Server, body: bytes) -> None:
        """The database has ended a connection, and no client is to hear of it."""
        error = PgError.parse(body)
        server.shut(f"the database says: {error.message} (SQLSTATE {error.sqlstate})")

    def noticed(self, server: Server, kind: str) -> None:
        """What concerns the database server was seen on a connection."""
        if server in self.servers:  # it is not one of those that are closed anyway
            self.hint(cast(HintKind, kind))

    def writes_query(self) -> bytes:
        """What asks a connection whether writes there are refused to everybody."""
        return WRITES_QUERY.encode()

    def has_stopped_writing(self, server: Server, command: Command) -> bool:
        """Whether the answer to that says so. Then requests wait until the node has found the
        server that writes."""
        if writes(command) is not False:
            return False
        server.retired = True
        self.noticed(server, "read_only")
        self.holding.hold_until_told()
        self._agenda.later(NODE_ANSWERS_S, self.holding.look_again)
        return True

    def abandoned(self, server: Server, vanished: bool) -> None:
        """The client of a busy connection is gone: if it vanished, cancel what it had asked."""
        if not vanished:
            return
        # By then it may have been answered, and what is under way be another client's.
        cancel = self.cancel(server, partial(_is_abandoned, server, server.lease))
        self._agenda.spawn(cancel, "cancel for a client that vanished")
        self._agenda.later(ABANDONED_S, self._give_up, server, server.lease)

    def copy_failed(self, server: Server) -> None:
        """The client of a COPY is gone, and CopyFail was sent in its place. The connection is
        closed if the database does not answer in time."""
        self._agenda.later(UNANSWERED_S, self._give_up, server, server.lease)

    def _give_up(self, server: Server, lease: Lease) -> None:
        if _is_abandoned(server, lease):
            server.shut("what its client had asked did not end after the client was gone")

    def schema_changed(self, pool: MicroPool) -> None:
        """Prepared statements may return something else in the database of `pool` by now."""
        for other in self.pools.values():
            if other.database == pool.database:
                other.schema += 1
        for server in self.servers:
            if server.pool.database == pool.database:
                server.stale = True

    def assert_counts(self) -> None:
        """Every connection is in exactly one place."""
        assert_counts(self.census, self.pools.values(), len(self.servers))
        self.groups.assert_counts()


def _is_abandoned(server: Server, lease: Lease) -> bool:
    """Whether what was asked under this lease, whose client is gone, goes on."""
    same = not server.is_closed and server.client is None and server.lease is lease
    return same and server.ledger.count > 0
