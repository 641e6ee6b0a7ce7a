"""One frame of ``forebay top``: what goes on in one proxy, in the room that there is. Pure."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forebay.channel import ClientRow, ConnectionRow, Histogram, PinRow, ProxyFigures, ProxyView
from forebay.cli.reaching import duration, printable
from forebay.cli.tables import Column, cut, span, table
from forebay.node.events import Event
from forebay.node.processes import NodeFigures
from forebay.node.status import ProxyStatus
from forebay.node.target_status import Role, TargetStatus

Part = Literal["h", "w", "p"]
"""Holders, waiters or pins, by the key that brings them to the front."""

HOLDERS = (
    Column("HELD", is_number=True),
    Column("STATE"),
    Column("FOR", is_number=True),
    Column("APPLICATION"),
    Column("PINS"),
    Column("USER"),
    Column("DATABASE"),
    Column("CLIENT", is_number=True),
    Column("ADDRESS"),
)
WAITERS = (
    Column("WAITS", is_number=True),
    Column("APPLICATION"),
    Column("USER"),
    Column("DATABASE"),
    Column("CLIENT", is_number=True),
    Column("ADDRESS"),
)
PINS = (
    Column("IN ALL", is_number=True),
    Column("NOW", is_number=True),
    Column("PINS", is_number=True),
    Column("REASON"),
    Column("APPLICATION"),
    Column("DIGEST"),
)
ROLES: Mapping[Role, str] = {"READ_WRITE": "writes", "READ_ONLY": "standby", "UNKNOWN": ""}
# A cluster may have a hundred servers.
SERVERS_TOLD = 5
# The part in front has so much of the room, if it needs it.
FRONT_SHARE = 0.6
# For so long the latest warning of the log is told.
TOLD_S = 300.0
# A part takes two lines besides its rows: its heading, and its titles.
OVERHEAD = 2


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one proxy. ``before``: the figures of the look before, for rates.
    ``number`` of ``count``: which of the proxies it is; ``trouble``: why it is not up to date."""

    name: str
    status: ProxyStatus
    figures: NodeFigures
    view: ProxyView
    before: NodeFigures | None = None
    number: int = 1
    count: int = 1
    trouble: str = ""
    warning: Event | None = None  # the latest


def frame(look: Look, front: Part, width: int | None, height: int | None) -> list[str]:
    """Lines. ``width`` and ``height``: the terminal's; None: as much as it takes."""
    head = list(_head(look))
    room = None if height is None else max(0, height - len(head))
    lines = [*head, *_parts(look.view, front, width, room)]
    if width is not None:
        lines = [cut(each, width) for each in lines]
    return lines if height is None else lines[:height]


def _head(look: Look) -> Iterator[str]:
    numbers = look.figures.counted.proxies[look.name].numbers
    clock = time.strftime("%H:%M:%S", time.localtime(look.figures.at))
    up = duration(look.figures.at - look.figures.node.started_at)
    which = f" ({look.number} of {look.count})" if look.count > 1 else ""
    yield f"{printable(look.name)}{which}  {clock}  up {up}  {' '.join(_rates(look))}".rstrip()
    yield picture(look, numbers)
    yield f"limit: {printable(look.status.limit)}"
    if look.status.servers is not None:
        yield from (printable(each) for each in servers(look.status.servers, look.figures.at))
    said = look.trouble or look.view.hint or look.view.sentence
    yield printable(said) if said else ""
    if look.warning is not None and look.figures.at - look.warning.at < TOLD_S:
        at = time.strftime("%H:%M:%S", time.localtime(look.warning.at))
        yield f"{at} {look.warning.level.lower()}: {printable(look.warning.text)}"


def servers(found: TargetStatus, now: float) -> Iterator[str]:
    """The database servers of a target that has several: what is known, and each of them."""
    since = f" for {span(max(0.0, now - found.since))}" if found.since else ""
    why = f": {found.cause or found.trouble}" if found.cause or found.trouble else ""
    yield f"servers: {found.state}{since}, epoch {found.epoch}{why}"
    for each in found.servers[:SERVERS_TOLD]:
        told = [ROLES[each.role], each.health if each.health != "AVAILABLE" else ""]
        told += [f"timeline {each.timeline}" if each.timeline else ""]
        told += [f"{each.lag_s:.1f} s behind" if each.lag_s is not None else "", each.text]
        yield f"  {each.address}  {', '.join(word for word in told if word)}".rstrip()
    if len(found.servers) > SERVERS_TOLD:
        yield f"  and {len(found.servers) - SERVERS_TOLD} more: forebay status"


def picture(look: Look, numbers: dict[str, int | float]) -> str:
    """Clients, queue, pool and database in a line, with their numbers."""

    def number(name: str) -> int:
        return int(numbers.get(name, 0))

    waiting = number("clients_waiting")
    longest = span(float(numbers.get("clients_waiting_longest_s", 0.0)))
    queue = f"{waiting} waiting, {longest}" if waiting else "nobody waits"
    allowed = number("max_database_connections_allowed")
    connections = number("database_connections")
    return (
        f"{counted(number('client_connections'), 'client')} ─▶ {queue} ─▶"
        f" {number('database_connections_borrowed')} of {counted(connections, 'connection')}"
        f" used (≤ {allowed or '?'}) ─▶"
        f" {printable(look.figures.counted.proxies[look.name].target)}"
    )


def counted(number: int, what: str) -> str:
    """So many of them."""
    return f"{number} {what}{'s' * (number != 1)}"


def _rates(look: Look) -> Iterator[str]:
    """What has happened since the look before."""
    before = look.before
    if before is None or before.counted.started_at != look.figures.counted.started_at:
        return
    seconds = look.figures.at - before.at
    old = before.counted.proxies.get(look.name)
    if old is None or seconds <= 0:
        return
    new = look.figures.counted.proxies[look.name]
    yield f" {_change(new, old, 'queries') / seconds:.0f} queries/s"
    latency = new.histograms.get("query", Histogram()) - old.histograms.get("query", Histogram())
    if latency.count:
        p50, p99 = (latency.percentile_us(each) / 1000 for each in (0.5, 0.99))
        yield f" p50 {p50:.1f} ms p99 {p99:.1f} ms"
    used = (look.figures.worker.cpu_s - before.worker.cpu_s) / seconds
    yield f" worker {max(0.0, used):.0%}"


def _change(new: ProxyFigures, old: ProxyFigures, name: str) -> float:
    return float(new.numbers.get(name, 0)) - float(old.numbers.get(name, 0))


def _parts(view: ProxyView, front: Part, width: int | None, room: int | None) -> Iterator[str]:
    """Holders, waiters and pins, that in front first."""
    found: dict[Part, tuple[str, Sequence[Column], list[list[str]]]] = {
        "h": (
            f"h  {counted(view.holders_count, 'connection')} in use, the one held longest first",
            HOLDERS,
            [holder_cells(each) for each in view.holders],
        ),
        "w": (
            f"w  {counted(view.waiters_count, 'client')} in the queue, the longest first",
            WAITERS,
            [waiter_cells(each) for each in view.waiters],
        ),
        "p": (
            f"p  {counted(len(view.pins), 'kind')} of pins, by the time that they took",
            PINS,
            [pin_cells(each) for each in view.pins],
        ),
    }
    order = [front, *(each for each in found if each != front)]
    counts = [len(found[each][2]) for each in order]
    rooms = counts if room is None else shares(counts, room)
    for part, count in zip(order, rooms, strict=True):
        heading, columns, rows = found[part]
        yield heading
        if rows and count > 0:
            yield from table(columns, rows[:count], width)


def shares(counts: Sequence[int], room: int) -> list[int]:
    """How many rows each part gets of so many lines: the first one first, then the others; what one
    does not need the next may have."""
    room -= sum(OVERHEAD if count else 1 for count in counts)
    given: list[int] = []
    for index, count in enumerate(counts):
        rest = [each for each in counts[index + 1 :] if each]
        part = FRONT_SHARE if index == 0 else 0.5
        fair = room if not rest else max(int(room * part), room - sum(rest))
        take = max(0, min(count, fair))
        given.append(take)
        room -= take
    return given


def holder_cells(row: ConnectionRow) -> list[str]:
    """A connection, as HOLDERS has it."""
    return [
        span(row.held_s),
        row.state,
        span(row.state_s),
        row.application,
        ", ".join(row.pins),
        row.user,
        row.database,
        str(row.client) if row.client else "",
        row.address,
    ]


def waiter_cells(row: ClientRow) -> list[str]:
    """A client, as WAITERS has it."""
    return [
        span(row.state_s),
        row.application,
        row.user,
        row.database,
        str(row.id),
        row.address or "local",
    ]


def pin_cells(row: PinRow) -> list[str]:
    """A kind of pins, as PINS has it."""
    return [
        span(row.total_s),
        str(row.now),
        str(row.count),
        row.reason,
        row.application,
        row.digest,
    ]
