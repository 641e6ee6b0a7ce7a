"""``forebay pools``: clients and connections of each database and user."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from forebay.channel import PoolFigures
from forebay.cli.output import EXIT_FINE
from forebay.cli.reaching import ReachError, printable, reach
from forebay.cli.status import print_json
from forebay.cli.tables import Column, span, table, terminal_width, write
from forebay.control import (
    ControlClient,
    FiguresAnswer,
    FiguresRequest,
    PoolsAnswer,
    PoolsRequest,
)

Numbers = Mapping[str, int | float]

COLUMNS = (
    Column("DATABASE"),
    Column("USER"),
    Column("CLIENTS", is_number=True),
    Column("WAITING", is_number=True),
    Column("FOR", is_number=True),
    Column("CONNECTIONS", is_number=True),
    Column("BORROWED", is_number=True),
    Column("IDLE", is_number=True),
    Column("OPENING", is_number=True),
)


def pools(
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """List the micro-pools of a running Forebay: clients and connections of each database and user.

    Those in which clients wait come first, the longest wait before others; then those with most
    connections. Exit codes: 0 told, 1 there is no Forebay or no such proxy, 2 several may be meant.

    Parameters
    ----------
    proxy
        Micro-pools of this proxy only.
    socket
        The control socket of the one that is meant. Without it FOREBAY_CONTROL_SOCKET; else, if no
        configuration is named either, the only Forebay that runs.
    config
        The file that the one that is meant was started with. Without it FOREBAY_CONFIG.
    as_json
        Print one JSON object.
    """
    try:
        with reach(socket, config) as node:
            found = ask_pools(node, proxy)
            figures = node.answer_to(FiguresRequest(id=2), FiguresAnswer).figures
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell("pools")
    numbers = {
        name: each.numbers for name, each in figures.counted.proxies.items() if proxy in ("", name)
    }
    if as_json:
        print_json({"ok": True, "proxies": as_object(found, numbers)})
    else:
        write([*lines(found, numbers, terminal_width())])
    return EXIT_FINE


def ask_pools(node: ControlClient, proxy: str) -> dict[str, list[PoolFigures]]:
    """The micro-pools of one proxy, or (empty) of each, by proxy. Raises ControlError."""
    found: dict[str, list[PoolFigures]] = {}
    for answer in node.ask(PoolsRequest(id=1, proxy=proxy)):
        if isinstance(answer, PoolsAnswer) and answer.pools:
            found.setdefault(answer.proxy, []).extend(answer.pools)
    for each in found.values():
        each.sort(key=lambda pool: (-pool.waited_s, -pool.connections, pool.database, pool.user))
    return found


def as_object(
    found: Mapping[str, Sequence[PoolFigures]], numbers: Mapping[str, Numbers]
) -> dict[str, object]:
    """For JSON: by proxy."""
    return {
        name: {
            "max_database_connections_allowed": each.get("max_database_connections_allowed"),
            "database_connections": each.get("database_connections"),
            "client_connections": each.get("client_connections"),
            "clients_waiting": each.get("clients_waiting"),
            "pools": msgspec.to_builtins(list(found.get(name, ()))),
        }
        for name, each in numbers.items()
    }


def lines(
    found: Mapping[str, Sequence[PoolFigures]],
    numbers: Mapping[str, Numbers],
    width: int | None,
) -> Iterator[str]:
    """For people."""
    for name, each in numbers.items():
        yield f"proxy {printable(name)}: {summary(each)}"
        rows = [cells(pool) for pool in found.get(name, ())]
        if rows:
            yield from table(COLUMNS, rows, width)


def summary(numbers: Numbers) -> str:
    """One proxy in a line."""
    allowed = int(numbers.get("max_database_connections_allowed", 0))
    limit = f"of at most {allowed}" if allowed else "(their limit is not known yet)"
    return (
        f"{int(numbers.get('client_connections', 0))} clients,"
        f" {int(numbers.get('clients_waiting', 0))} of them waiting;"
        f" {int(numbers.get('database_connections', 0))} connections {limit},"
        f" {int(numbers.get('database_connections_borrowed', 0))} of them borrowed"
    )


def cells(pool: PoolFigures) -> list[str]:
    """One micro-pool, as COLUMNS has it."""
    return [
        pool.database,
        pool.user,
        str(pool.clients),
        str(pool.waiting),
        span(pool.waited_s) if pool.waiting else "",
        str(pool.connections),
        str(pool.borrowed),
        str(pool.idle),
        str(pool.opening),
    ]
