"""What goes on in one proxy, row by row, for those who look at it.

Nobody looks at all clients at once: rows are asked for in parts, and relayed traffic goes on
between two of them.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, cast

from forebay.channel import (
    ClientRow,
    Clients,
    ConnectionRow,
    Connections,
    PinRow,
    ProxyView,
    name_as_text,
)
from forebay.relay import Client, MicroPool, Server, Waiter
from forebay.relay.census import Line
from forebay.relay.connection import Place
from forebay.worker.kept import application_of, known_notes
from forebay.worker.pool.holders import Survey, holder_of
from forebay.worker.pool.manager import PoolManager
from forebay.worker.sessions import telling

if TYPE_CHECKING:
    from forebay.worker.proxy import Proxy

UNUSED = "unused"
# Of clients that have no connection: nothing is under way, or they are in the queue.
IDLE = "idle"
WAITING = "waiting"
PID_BITS = 31


def view_of(proxy: "Proxy", limit: int) -> ProxyView:
    """The first ``limit`` of what there is of each kind."""
    now = proxy.now()
    managers = [each.manager for each in proxy.backends]
    survey = Survey.of(managers, now)
    places = {each.manager: str(each.target) for each in proxy.backends}
    lines = [line for manager in managers for line in manager.groups.lines()]
    kinds = proxy.sessions.pinner.book.kinds(now)
    return ProxyView(
        holders=[
            connection_row(each.server, places[cast("PoolManager", each.server.pool.manager)], now)
            for each in survey.holders[:limit]
        ],
        holders_count=len(survey.holders),
        states=dict(Counter(each.kind for each in survey.holders)),
        waiters=[client_row(each, now) for each in _waiters(lines, limit)],
        waiters_count=survey.waiting,
        pins=[
            PinRow(
                reason=reason.value,
                digest=digest,
                application=name_as_text(application),
                count=entry.count,
                now=open_now,
                total_s=entry.total_s,
                longest_s=entry.longest_s,
                sentence=reason.cause.sentence,
                hint=reason.cause.hint,
            )
            for (reason, digest, application), entry, open_now in kinds[:limit]
        ],
        sentence=survey.sentence(),
        hint=survey.hint() if survey.holders or survey.waiting else "",
    )


def clients_of(proxy: "Proxy", offset: int, limit: int) -> Clients:
    """A part of the proxy's clients."""
    now, everyone = proxy.now(), proxy.sessions.clients
    part, next_offset = _part(everyone, offset, limit)
    return Clients(
        rows=[client_row(everyone[number], now) for number in part], next_offset=next_offset
    )


def connections_of(proxy: "Proxy", offset: int, limit: int) -> Connections:
    """A part of its connections."""
    now = proxy.now()
    # Process ids are each server's own.
    servers = {
        (backend.number << PID_BITS) + server.pid: (server, str(backend.target))
        for backend in proxy.backends
        for server in backend.manager.servers
    }
    part, next_offset = _part(servers, offset, limit)
    return Connections(
        rows=[connection_row(*servers[number], now) for number in part], next_offset=next_offset
    )


def client_row(client: Client, now: float) -> ClientRow:
    """One client."""
    server = client.server
    state, since = IDLE, client.last_active
    if server is not None:
        holder = holder_of(server)
        state, since = holder.state.value, holder.since
    elif client.place is not None:
        state, since = WAITING, client.place.waits_since
    return ClientRow(
        id=client.process_id,
        database=name_as_text(client.pool.database),
        user=name_as_text(user_of(client)),
        identity=name_as_text(client.pool.user),
        application=name_as_text(application_of(client)),
        address=telling.address_of(client),
        tls=client.tls_version,
        state=state,
        state_s=_seconds(now - since),
        connected_s=_seconds(now - client.connected_at),
        connection=0 if server is None else server.pid,
        pins=_pins(client),
        statements=len(client.statements or ()),
    )


def connection_row(server: Server, place: str, now: float) -> ConnectionRow:
    """One database connection. `place`: where it leads (host:port)."""
    client = server.client
    is_unused = client is None and server.is_free
    holder = holder_of(server)
    since = server.idle_since if is_unused else holder.since
    return ConnectionRow(
        id=server.pid,
        database=name_as_text(server.pool.database),
        user=name_as_text(server.pool.user),
        state=UNUSED if is_unused else holder.state.value,
        state_s=_seconds(now - since),
        held_s=0.0 if is_unused else _seconds(now - holder.held_since),
        opened_s=_seconds(now - server.opened_at),
        tls=server.tls_version,
        is_retired=server.retired,
        server=place,
        client=0 if client is None else client.process_id,
        application="" if client is None else name_as_text(application_of(client)),
        address="" if client is None else telling.address_of(client),
        pins=[] if client is None else _pins(client),
    )


def user_of(client: Client) -> str:
    """The name that a client has logged in with."""
    return client.user or client.pool.user


def _waiters(lines: Iterable[Line], limit: int) -> list[Client]:
    """Those who have waited longest, of all micro-pools."""
    queues = [pool for line in lines for pool in islice(_pools(line), limit)]
    firsts = [place for pool in queues for place in islice(_queue(pool), limit)]
    longest = heapq.nsmallest(limit, firsts, key=lambda place: place.waits_since)
    return [place.borrower for place in longest]


def _pools(line: Line) -> Iterator[MicroPool]:
    pool = line.first
    while pool is not None:
        yield pool
        pool = pool.behind


def _queue(pool: MicroPool) -> Iterator[Place]:
    place: Waiter | None = pool.first_waiter
    while place is not None:
        yield cast(Place, place)
        place = place.waits_before


def _part(numbers: Iterable[int], offset: int, limit: int) -> tuple[list[int], int]:
    """The smallest of these numbers behind `offset`, and the offset of the next part, 0 if there is
    none. So who is there all the time is told, whoever comes and goes between two parts."""
    found = heapq.nsmallest(limit + 1, (number for number in numbers if number > offset))
    part = found[:limit]
    return part, part[-1] if part and len(found) > limit else 0


def _pins(client: Client) -> list[str]:
    notes = known_notes(client) if client.pinned else None
    return [] if notes is None else sorted(each.value for each in notes.reasons)


def _seconds(duration_s: float) -> float:
    return round(max(0.0, duration_s), 3)
