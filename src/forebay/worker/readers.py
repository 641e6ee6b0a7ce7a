"""The servers of one READ_ONLY proxy: which there are, and which of them each client reads from.

    the node's route ─▶ route() ─▶ a Backend for each standby that is near enough
    a client logs in ─▶ backend() ─▶ the least loaded one, where it stays
    it waits there in vain ─▶ relieve() ─▶ another one that has a connection for it
    a server leaves ─▶ its clients move between two transactions, its connections close

While there is no reader, clients stand in a lobby: a Backend that opens and lends nothing. The
server that writes never stands in for a reader, as with RDS Proxy.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from forebay.channel import Route, RouteServer
from forebay.config.addresses import parse_address
from forebay.config.settings import ProxySettings
from forebay.net.connector import ConnectError, Target
from forebay.protocol import errors
from forebay.relay import Client, MicroPool
from forebay.topology.reports import HintKind
from forebay.topology.targets import target_of
from forebay.worker.backend import Backend, Common
from forebay.worker.pool.choose import (
    Load,
    Queue,
    is_near,
    least_loaded,
    rebalance,
    relief,
)
from forebay.worker.pool.chores import Timeouts
from forebay.worker.pool.manager import PoolManager
from forebay.worker.pool.opener import Login
from forebay.worker.sessions.sessions import Sessions

if TYPE_CHECKING:
    from forebay.relay.connection import Place

logger = logging.getLogger("forebay.pool")

UNTOLD = "it is not known yet which servers are readers"
LEFT = "it is not a reader any more"
READER_HINT = (
    "Requests wait until there is a reader, as long as connection_borrow_timeout allows; see"
    " forebay status."
)
# Servers that were readers once are remembered with what they have counted.
REMEMBERED = 100


class Readers:
    """Of one proxy. ``login``: how connections log in by now; ``made``: is told of each Backend
    before it is used; ``hint``: is told what traffic sees of a server (host:port)."""

    def __init__(
        self,
        common: Common,
        sessions: Sessions,
        settings: ProxySettings,
        login: Callable[[], Login],
        made: Callable[[Backend], None],
        hint: Callable[[str, HintKind], None],
    ) -> None:
        self._common = common
        self._sessions = sessions
        self._settings = settings
        self._login = login
        self._made = made
        self._hint = hint
        self._number = 0
        self._epoch = 0
        self._servers: dict[str, RouteServer] = {}  # those that follow, as the node has told last
        self._names: dict[str, str] = {}  # by which addresses were found
        self._open: dict[str, Backend] = {}
        self._left: dict[str, Backend] = {}  # the one that left last at the end
        self._relief_is_due = self._is_uneven = self._none_exist = False
        self._lobby = self._make(str(settings.target.addresses()[0]))
        self._lobby.shun(UNTOLD, READER_HINT)
        self._route = Route()
        self._take_at_its_word()

    @property
    def backends(self) -> list[Backend]:
        """All of them; those that left have connections and clients yet, or have counted."""
        return [*self._open.values(), *self._left.values(), self._lobby]

    def apply(self, settings: ProxySettings) -> None:
        """Be so from now on."""
        before, self._settings = self._settings.target, settings
        for address, backend in (*self._open.items(), *self._left.items()):
            target = self._target(address)
            if backend.target != target:
                backend.move(target)
        if before != settings.target and settings.target.is_watched:
            self.route(self._route)  # the lag that is allowed may be another
        elif before != settings.target:
            self._take_at_its_word()

    def _take_at_its_word(self) -> None:
        """A server alone is not watched: it is what the configuration says."""
        target = self._settings.target
        if not target.is_watched:
            servers = [RouteServer(address=str(each)) for each in target.addresses()]
            self.route(Route(state="UP", standbys=servers))

    # ---- which readers there are ----

    def route(self, route: Route) -> None:
        """These are the standbys, as the node has told it now."""
        if route.epoch < self._epoch:
            return
        self._epoch, self._route = route.epoch, route
        self._servers = {each.address: each for each in route.standbys}
        self._names |= {each.address: each.name for each in route.standbys}
        near = [each.address for each in route.standbys if self._is_near(each)]
        near = [each for each in near if each != route.writer]
        self._none_exist = route.state == "UP" and not route.standbys and route.servers == 1
        self._lobby.shun(self._why_none(route), READER_HINT)
        for address in [each for each in self._open if each not in near]:
            self._leave(address, route)
        for address in near:
            if address not in self._open:
                self._join(address)
        self._empty()

    def _is_near(self, server: RouteServer) -> bool:
        bound_s = self._settings.target.max_replica_lag
        return is_near(server.lag_s, bound_s, server.address in self._open)

    def _why_none(self, route: Route) -> str:
        """In words, why nobody is a reader, for those who wait for one."""
        bound_s = self._settings.target.max_replica_lag
        if route.standbys and bound_s is not None:
            lags = [(each.address, each.lag_s) for each in route.standbys]
            far = ", ".join(
                f"{address} by {'an unknown time' if lag_s is None else f'{lag_s:g} s'}"
                for address, lag_s in lags
            )
            bound = f"max_replica_lag ({bound_s:g} s)"
            return f"every reader is further behind than {bound}, or was: {far}"
        if self._none_exist:
            return "no server of the target is a reader: there is none but the one that writes"
        lost = f": {', '.join(route.lost)} cannot be used" if route.lost else ""
        return f"no reader is available{lost}"

    def _target(self, address: str) -> Target:
        found = parse_address(address, wildcard=False)
        name = self._names.get(address, "")
        return target_of(self._settings.target, replace(found, name=name))

    def _make(self, address: str) -> Backend:
        backend = Backend(
            self._common, self._target(address), self._login(), self._settings, self._number
        )
        self._number += 1
        backend.manager.relieve = self._relieve_soon
        backend.manager.census.has_others = True
        backend.manager.hint = lambda kind: self._hint(address, kind)
        return backend

    def _join(self, address: str) -> None:
        backend = self._left.pop(address, None)
        if backend is None:
            backend = self._make(address)
        else:
            backend.welcome()
        self._open[address] = backend
        self._made(backend)
        self._is_uneven = True
        logger.info("A reader has joined", extra={"fields": {"server": address}})

    def _leave(self, address: str, route: Route) -> None:
        """Its clients move between two transactions, and its connections close as they come free;
        those of a server that is lost are cut. Who is pinned to it is told that it ends."""
        backend = self._left[address] = self._open.pop(address)
        is_lost = address in route.lost
        is_behind = address in self._servers and address != route.writer
        why = "it does not answer" if is_lost else "it is too far behind" if is_behind else LEFT
        backend.shun(f"{address} serves no reads: {why}", READER_HINT)
        logger.warning(
            "A reader has left: %s",
            why,
            extra={"fields": {"server": address, "connections": len(backend.manager.servers)}},
        )
        if is_lost:
            backend.manager.holding.switch(f"the reader {address} does not answer")
        elif not is_behind:
            pinned = f"The session was pinned to {address}, which is not a reader any more."
            farewell = errors.server_lost(pinned).encode()
            for client in self._clients_of([backend]):
                if client.pinned:
                    client.part(farewell)
        while len(self._left) > REMEMBERED:
            oldest = next(iter(self._left))
            if self._left[oldest].manager.servers or self._clients_of([self._left[oldest]]):
                break
            self._left.pop(oldest).stand_aside()
            self._names.pop(oldest, None)

    # ---- where clients go ----

    def backend(self) -> Backend:
        """Where the next client belongs; the lobby if there is no reader."""
        index = least_loaded(self._loads())
        return self._lobby if index is None else list(self._open.values())[index]

    def backend_to_ask(self) -> Backend:
        """Where to ask something. Raises ConnectError if there is no reader."""
        backend = self.backend()
        if backend is self._lobby:
            raise ConnectError(self._lobby.manager.holding.cause, transient=True)
        return backend

    def _loads(self) -> list[Load]:
        return [_load(self._servers[address].weight, each) for address, each in self._open.items()]

    def _clients_of(self, backends: Iterable[Backend]) -> list[Client]:
        """Those who have their connections there."""
        managers = {each.manager for each in backends}
        return [each for each in self._sessions.clients.values() if each.pool.manager in managers]

    def _closed(self) -> list[Backend]:
        """Those of which nobody is to get connections, and that have clients yet."""
        closed = [*self._left.values(), *([self._lobby] if self._open else [])]
        return [each for each in closed if each.manager.has_clients]

    def _empty(self) -> None:
        """Move all clients from where they get no connections, as far as they have none."""
        closed = self._closed()
        if closed:
            self._settle(_waiting_in(closed))
            self._settle(self._clients_of(closed))
        if self._none_exist:
            self._refuse_waiting()

    def _settle(self, clients: Iterable[Client]) -> None:
        """Spread these clients over the readers; they go to the lobby if there is none."""
        backends, loads = list(self._open.values()), self._loads()
        if not backends:
            backends, loads = [self._lobby], [Load(0)]
        for client in clients:
            index = least_loaded(loads)
            if index is not None and _move(client, backends[index]):
                load, waits = loads[index], client.is_waiting or client.server is not None
                loads[index] = replace(
                    load, clients=load.clients + 1, outstanding=load.outstanding + waits
                )

    def _refuse_waiting(self) -> None:
        """RDS Proxy does not let requests wait where a cluster has no reader at all."""
        error = errors.no_readers()
        for pool in list(self._lobby.manager.pools.values()):
            while (place := pool.first_waiter) is not None:
                self._lobby.manager.refuse(place.borrower, error)

    # ---- who waits in vain ----

    def _relieve_soon(self) -> None:
        if not self._relief_is_due:
            self._relief_is_due = True
            self._common.agenda.soon(self._relieve)

    def _relieve(self) -> None:
        """Move those who wait to where there are connections for them."""
        self._relief_is_due = False
        self._settle(_waiting_in(self._closed()))
        if self._none_exist:
            self._refuse_waiting()
        backends = list(self._open.values())
        if len(backends) < 2:
            return
        for key in {(pool.database, pool.user): None for pool in _pools_in(backends)}:
            for move in relief([_queue(each.manager, key) for each in backends]):
                # They go back when connections can be opened there again.
                self._is_uneven |= backends[move.giver].manager.openings.is_failing
                giver, taker = backends[move.giver].manager, backends[move.taker]
                for _ in range(move.clients):
                    place = giver.pools[key].first_waiter
                    if place is None or not _move(place.borrower, taker):
                        break

    def _rebalance(self) -> None:
        """Give a reader that has joined its share of idle clients."""
        loads = self._loads()
        move = rebalance(loads)
        if move is None:
            self._is_uneven = any(each.is_failing for each in loads)
            return
        backends = list(self._open.values())
        left = move.clients
        for client in self._clients_of([backends[move.giver]]):
            if client.server is None and not client.is_waiting:
                left -= _move(client, backends[move.taker])
                if not left:
                    return
        # Nobody else is idle at this moment.

    # ---- as the janitor has it done ----

    def tick(self, now: float, timeouts: Timeouts) -> None:
        """Move those who can be moved by now."""
        self._empty()
        self._relieve()
        if self._is_uneven:
            self._rebalance()

    def slow_tick(self, now: float, timeouts: Timeouts) -> None:
        """See whether readers can be reached again to which no connection could be opened."""
        for backend in self._open.values():
            if backend.manager.openings.is_failing:
                backend.manager.openings.retry(now)
                self._is_uneven = True

    def stop(self, now: float) -> None:
        """There is nothing to end."""


def _load(weight: int, backend: Backend) -> Load:
    manager = backend.manager
    budget = manager.budget
    return Load(
        weight or (budget.max_connections if budget is not None else 0),
        len(manager.servers) - manager.census.idle + manager.waiting,
        sum(pool.clients for pool in manager.pools.values()),
        manager.openings.is_failing,
    )


def _queue(manager: PoolManager, key: tuple[str, str]) -> Queue:
    """How those stand at one reader who wait for connections to this database as this user."""
    census, pool = manager.census, manager.pools.get(key)
    waiting, idle = (0, 0) if pool is None else (pool.waiting, len(pool.idle))
    if census.limit < 0:  # the server tells it to the first connection
        room = int(census.size == 0)
    else:
        others = manager.waiting - waiting
        room = max(0, census.limit - census.size + census.idle - idle - others)
    return Queue(
        unserved=waiting if pool is None else max(0, waiting - pool.opening),
        idle=idle,
        room=room if manager.groups.has_room(*key) else 0,
        is_closed=pool is not None and manager.is_held_back(pool),
        is_failing=manager.openings.is_failing,
    )


def _pools_in(backends: Iterable[Backend]) -> list[MicroPool]:
    """Those in which somebody waits."""
    found = []
    for line in (line for each in backends for line in each.manager.groups.lines()):
        pool = line.first
        while pool is not None:
            found.append(pool)
            pool = pool.behind
    return found


def _waiting_in(backends: Iterable[Backend]) -> list[Client]:
    """Those who wait there; who has waited longest is the first."""
    places = []
    for pool in _pools_in(backends):
        place = pool.first_waiter
        while place is not None:
            places.append(place)
            place = cast("Place | None", place.waits_before)
    places.sort(key=lambda each: each.waits_since)
    return [each.borrower for each in places]


def _move(client: Client, backend: Backend) -> bool:
    """Let a client get its connections there, if that can be now."""
    return client.move(backend.manager.pool(client.pool.database, client.pool.user))
