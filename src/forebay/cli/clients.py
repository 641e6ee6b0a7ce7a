"""``forebay clients``: who is connected, and what each does."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from forebay.channel import ClientRow
from forebay.cli.output import EXIT_FINE
from forebay.cli.reaching import ReachError, reach
from forebay.cli.status import print_json
from forebay.cli.tables import Column, span, table, terminal_width, write
from forebay.control import ClientsAnswer, ClientsRequest, ControlClient

Found = tuple[str, ClientRow]
"""A proxy's name, and a client of it."""

COLUMNS = (
    Column("STATE"),
    Column("FOR", is_number=True),
    Column("CLIENT", is_number=True),
    Column("USER"),
    Column("DATABASE"),
    Column("CONNECTION", is_number=True),
    Column("APPLICATION"),
    Column("ADDRESS"),
    Column("PINS"),
)


def clients(
    *,
    proxy: str = "",
    state: str = "",
    user: str = "",
    database: str = "",
    limit: int = 50,
    socket: str | None = None,
    config: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """List the clients of a running Forebay, and tell what each does, and for how long.

    Those that hold a connection or wait for one come first, the others behind them; of both those
    first that have done so for longest. Exit codes: 0 told, 1 there is no Forebay or no such proxy,
    2 several may be meant.

    Parameters
    ----------
    proxy
        Clients of this proxy only.
    state
        Only those that do this: active, waiting, idle, "idle in transaction" … (its beginning will
        do).
    user
        Only those that logged in as this user.
    database
        Only those of this database.
    limit
        How many are told at most; 0: all.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """

    def is_meant(row: ClientRow) -> bool:
        return (
            row.state.startswith(state)
            and user in ("", row.user)
            and database in ("", row.database)
        )

    try:
        with reach(socket, config) as node:
            every = [each for each in ask_clients(node, proxy) if is_meant(each[1])]
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell("clients")
    found = first(every, limit)
    if as_json:
        rows = [{"proxy": name, **msgspec.to_builtins(row)} for name, row in found]
        print_json({"ok": True, "count": len(every), "clients": rows})
    else:
        write([*lines(found, len(every), terminal_width())])
    return EXIT_FINE


def ask_clients(node: ControlClient, proxy: str) -> Iterator[Found]:
    """All clients of one proxy, or (empty) of each. Raises ControlError."""
    for answer in node.ask(ClientsRequest(id=1, proxy=proxy)):
        if isinstance(answer, ClientsAnswer):
            yield from ((answer.proxy, row) for row in answer.clients)


def first(every: Sequence[Found], limit: int) -> list[Found]:
    """Those that are told, in their order."""
    return heapq.nsmallest(limit or len(every), every, key=lambda each: order(each[1]))


def order(row: ClientRow) -> tuple[bool, float]:
    """Who only keeps a client connection open takes nothing away from others."""
    return not row.connection and row.state == "idle", -row.state_s


def lines(found: Sequence[Found], count: int, width: int | None) -> Iterator[str]:
    """For people. ``count``: how many there are in all."""
    if not found:
        yield "There are no such clients"
        return
    rows = [cells(row) for _, row in found]
    columns: Sequence[Column] = COLUMNS
    if len({name for name, _ in found}) > 1:
        columns = (Column("PROXY"), *columns)
        rows = [[name, *row] for (name, _), row in zip(found, rows, strict=True)]
    yield from table(columns, rows, width)
    if count > len(found):
        yield f"… and {count - len(found)} more (--limit 0 tells all)"


def cells(row: ClientRow) -> list[str]:
    """One client, as COLUMNS has it."""
    return [
        row.state,
        span(row.state_s),
        str(row.id),
        row.user,
        row.database,
        str(row.connection) if row.connection else "",
        row.application,
        row.address or "local",
        ", ".join(row.pins),
    ]


def pinned(every: Iterable[Found]) -> list[Found]:
    """Those that keep their connection, for whatever reason."""
    return [each for each in every if each[1].pins]
