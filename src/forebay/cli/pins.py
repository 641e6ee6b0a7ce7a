"""``forebay pins``: who is pinned, why, and what helps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from forebay.channel import PinRow, ProxyView
from forebay.cli.clients import Found, ask_clients, first, pinned
from forebay.cli.output import EXIT_FINE
from forebay.cli.reaching import ReachError, printable, reach
from forebay.cli.status import print_json
from forebay.cli.tables import Column, span, table, terminal_width, write
from forebay.control import ControlClient, ViewAnswer, ViewRequest

# Of clients that are pinned now so many are told.
PINNED_TOLD = 20

PINNED_COLUMNS = (
    Column("CLIENT", is_number=True),
    Column("USER"),
    Column("DATABASE"),
    Column("CONNECTION", is_number=True),
    Column("STATE"),
    Column("FOR", is_number=True),
    Column("APPLICATION"),
    Column("PINS"),
)
KIND_COLUMNS = (
    Column("REASON"),
    Column("PINS", is_number=True),
    Column("NOW", is_number=True),
    Column("IN ALL", is_number=True),
    Column("LONGEST", is_number=True),
    Column("APPLICATION"),
    Column("DIGEST"),
)


def pins(
    *,
    proxy: str = "",
    socket: str | None = None,
    config: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Tell which clients of a running Forebay are pinned, which statements pin, and what helps.

    A pinned client keeps its connection between transactions. Kinds of pins (reason, statement,
    application) come in the order of the time for which they have kept connections since the
    worker started. Exit codes: 0 told, 1 there is no Forebay or no such proxy, 2 several may be
    meant.

    Parameters
    ----------
    proxy
        Pins of this proxy only.
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
            views = ask_views(node, proxy)
            clients = pinned(ask_clients(node, proxy))
    except ReachError as error:
        if as_json:
            print_json({"ok": False, "problems": str(error).splitlines()})
            return error.code
        return error.tell("pins")
    if as_json:
        print_json({"ok": True, "proxies": as_object(views, clients)})
    else:
        write([*lines(views, clients, terminal_width())])
    return EXIT_FINE


def ask_views(node: ControlClient, proxy: str) -> dict[str, ProxyView]:
    """Who holds, waits and pins in one proxy, or (empty) in each. Raises ControlError."""
    views: dict[str, ProxyView] = {}
    for answer in node.ask(ViewRequest(id=1, proxy=proxy)):
        if isinstance(answer, ViewAnswer):
            views |= answer.views
    return views


def as_object(views: Mapping[str, ProxyView], clients: Sequence[Found]) -> dict[str, object]:
    """For JSON: by proxy."""
    return {
        name: {
            "clients": [msgspec.to_builtins(row) for where, row in clients if where == name],
            "kinds": msgspec.to_builtins(view.pins),
        }
        for name, view in views.items()
    }


def lines(
    views: Mapping[str, ProxyView], clients: Sequence[Found], width: int | None
) -> Iterator[str]:
    """For people."""
    for name, view in views.items():
        if len(views) > 1:
            yield f"proxy {printable(name)}:"
        own = [each for each in clients if each[0] == name]
        if own:
            yield f"{len(own)} client{'s are' if len(own) > 1 else ' is'} pinned now:"
            rows = [_client_cells(each) for each in first(own, PINNED_TOLD)]
            yield from table(PINNED_COLUMNS, rows, width)
            if len(own) > PINNED_TOLD:
                yield f"… and {len(own) - PINNED_TOLD} more"
        else:
            yield "No client is pinned now."
        if view.pins:
            yield ""
            yield "What has pinned since the worker started, by the time that it took:"
            yield from table(KIND_COLUMNS, [kind_cells(each) for each in view.pins], width)
            yield from _hints(view.pins)


def _hints(kinds: Sequence[PinRow]) -> Iterator[str]:
    """Each once."""
    for reason, hint in dict.fromkeys((each.reason, each.hint) for each in kinds if each.hint):
        yield f"{printable(reason)}: {printable(hint)}"


def _client_cells(found: Found) -> list[str]:
    _, row = found
    return [
        str(row.id),
        row.user,
        row.database,
        str(row.connection) if row.connection else "",
        row.state,
        span(row.state_s),
        row.application,
        ", ".join(row.pins),
    ]


def kind_cells(kind: PinRow) -> list[str]:
    """One kind of pins, as KIND_COLUMNS has it."""
    return [
        kind.reason,
        str(kind.count),
        str(kind.now),
        span(kind.total_s),
        span(kind.longest_s),
        kind.application,
        kind.digest,
    ]
