"""SHOW CLIENTS and SHOW SERVERS as PgBouncer has them, and SHOW HOLDERS, which says more."""

import time
from collections.abc import Iterable
from typing import Final

from forebay.channel import AdminColumn, ClientRow, ConnectionRow
from forebay.config.addresses import Address, parse_address

Row = list[str | None]

COLUMNS: Final[list[AdminColumn]] = [
    ("type", "text"),
    ("user", "text"),
    ("database", "text"),
    ("replication", "text"),
    ("state", "text"),
    ("addr", "text"),
    ("port", "int4"),
    ("local_addr", "text"),
    ("local_port", "int4"),
    ("connect_time", "text"),
    ("request_time", "text"),
    ("wait", "int4"),
    ("wait_us", "int4"),
    ("close_needed", "int4"),
    ("ptr", "text"),
    ("link", "text"),
    ("remote_pid", "int4"),
    ("tls", "text"),
    ("application_name", "text"),
    ("prepared_statements", "int4"),
    ("id", "int4"),
]

HOLDER_COLUMNS: Final[list[AdminColumn]] = [
    ("connection", "int4"),
    ("user", "text"),
    ("database", "text"),
    ("client", "int4"),
    ("application_name", "text"),
    ("addr", "text"),
    ("state", "text"),
    ("state_s", "numeric"),
    ("held_s", "numeric"),
    ("held_since", "text"),
    ("pins", "text"),
]

WAITING: Final = "waiting"
UNUSED: Final = "unused"
CLEANED: Final = "being cleaned"


def client_row(row: ClientRow, local: Address, now: float) -> Row:
    """A client. ``local``: where the proxy listens; ``now``: Unix time, s."""
    host, port = place(row.address)
    state = "active" if row.connection else WAITING if row.state == WAITING else "idle"
    waited_s = row.state_s if state == WAITING else 0.0
    return [
        "C",
        row.user,
        row.database,
        "none",
        state,
        host,
        port,
        *_local(local),
        moment(now - row.connected_s),
        moment(now - row.state_s),
        *_seconds(waited_s),
        "0",
        pointer("C", row.id),
        pointer("S", row.connection) if row.connection else "",
        "0",
        row.tls,
        row.application,
        str(row.statements),
        str(row.id),
    ]


def server_row(row: ConnectionRow, target: Address, now: float) -> Row:
    """A database connection. ``target``: the database server, if the row does not say."""
    is_linked = bool(row.client)
    state = "active" if is_linked else "idle" if row.state == UNUSED else "tested"
    return [
        "S",
        row.user,
        row.database,
        "none",
        state,
        *_local(parse_address(row.server, wildcard=False) if row.server else target),
        "",
        "0",
        moment(now - row.opened_s),
        moment(now - row.state_s),
        *_seconds(0.0),
        str(int(row.is_retired)),
        pointer("S", row.id),
        pointer("C", row.client) if is_linked else "",
        str(row.id),
        row.tls,
        row.application,
        "0",
        str(row.id),
    ]


def holder_row(row: ConnectionRow, now: float) -> Row:
    """A connection that is in use, with whom, for what, and for how long."""
    return [
        str(row.id),
        row.user,
        row.database,
        str(row.client) if row.client else None,
        row.application,
        row.address,
        row.state,
        f"{row.state_s:.3f}",
        f"{row.held_s:.3f}",
        moment(now - row.held_s),
        ", ".join(row.pins),
    ]


def holders(rows: Iterable[ConnectionRow], now: float) -> list[Row]:
    """Those in use, the one held longest first."""
    used = [row for row in rows if row.state != UNUSED]
    return [holder_row(row, now) for row in sorted(used, key=lambda row: -row.held_s)]


def pointer(kind: str, number: int) -> str:
    """What PgBouncer has memory addresses for: ``ptr`` of one row is ``link`` of another."""
    return f"0x{'c' if kind == 'C' else '5'}{number:08x}"


def place(address: str) -> tuple[str, str]:
    """Host and port, as text; a Unix socket has neither."""
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        return "unix", "0"
    return host.removeprefix("[").removesuffix("]"), port


def moment(at: float) -> str:
    """Unix time in PgBouncer's form."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(max(0.0, at)))


def _local(address: Address) -> tuple[str, str]:
    return address.host or "unix", str(address.port)


def _seconds(duration_s: float) -> tuple[str, str]:
    whole = int(duration_s)
    return str(whole), str(int((duration_s - whole) * 1e6))
