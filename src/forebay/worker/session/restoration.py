"""What a session goes back to when it takes a setting back.

PostgreSQL resets a setting to what the session was started with. A shared connection was started
without any client's start-up parameters, so there RESET, SET … TO DEFAULT and DISCARD ALL reach
back too far. What the client asked for at its login is put in place again at once, as part of the
same turn (`LentConnection.follow`).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from forebay.protocol.messages import query
from forebay.sql.effects import Command, Effects
from forebay.sql.settings import SettingChange
from forebay.worker.session.settings import IDENTITY, Values, quote_identifier, quote_literal

# Lists of names: SET takes them one by one.
_LISTS = frozenset(
    {"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"}
)
_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(,|$)')


class FollowUp(NamedTuple):
    """Query messages that put settings back in place: outside a transaction block, where there may
    be nothing to put back, and in one."""

    outside: bytes
    inside: bytes


def taken_back(effects: Effects, startup: Values) -> dict[str, bool]:
    """The start-up settings that a statement takes back, and whether for its transaction only."""
    found: dict[str, bool] = {}
    names = [name for name, _ in startup]
    for effect in effects:
        detail = effect.detail
        if isinstance(detail, Command) and (detail.command, detail.name) == ("DISCARD", "all"):
            found |= dict.fromkeys(names, False)
        elif not isinstance(detail, SettingChange):
            continue
        elif detail.command == "RESET ALL":
            found |= {name: False for name in names if name not in IDENTITY}
        elif detail.value is None and detail.exact:
            # The session's user takes its role along.
            reset = IDENTITY if detail.name == "session_authorization" else {detail.name}
            found |= {name: detail.local for name in names if name in reset}
    return found


def follow_up(restored: dict[str, bool], startup: Values) -> FollowUp:
    """What puts these settings (names, and whether for the transaction only) back in place.

    In a transaction block it is SET, which takes no snapshot: SET TRANSACTION may still come. (SET
    writes lists of names in its own way; outside a block they stay as the client has written them.)
    """
    values = dict(startup)
    # What only the user who logged in may set comes before another role is taken on.
    names = sorted(restored, key=IDENTITY.__contains__)
    calls = (
        f"pg_catalog.set_config({quote_literal(name)}, {quote_literal(values[name])}, false)"
        for name in names
        if not restored[name]
    )
    outside = ", ".join(calls)
    inside = ";".join(
        f"SET {'LOCAL ' if restored[name] else ''}{quote_identifier(name)} TO "
        + ", ".join(map(quote_literal, _items(name, values[name])))
        for name in names
    )
    return FollowUp(query("SELECT " + outside) if outside else b"", query(inside))


def _items(name: str, value: str) -> Iterable[str]:
    """The value as SET takes it: the names of a list one by one."""
    if name not in _LISTS:
        return [value]
    found = []
    at = 0
    while match := _LIST_ITEM.match(value, at):
        quoted, plain, _ = match.groups()
        found.append(plain.lower() if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if at == len(value):
            return found
    return [value]
