"""What a session goes back to when it takes a setting back.

PostgreSQL resets a setting to what the session was started with. A shared connection was started
without any client's start-up parameters, so there RESET, SET … TO DEFAULT and DISCARD ALL reach
back too far. What the client asked for at its login is put in place again at once, as part of the
same turn (`follow` in relay/turn.pyx).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from forebay.protocol.messages import query
from forebay.session.settings import Values, quote_identifier, quote_literal
from forebay.session.special import IDENTITY, LISTS, place
from forebay.sql.effects import Command, Effects
from forebay.sql.settings import SettingChange

_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(,|$)')


class FollowUp(NamedTuple):
    """Query messages that put settings back in place. ``inside`` is for a transaction block;
    ``outside``, for where there is none, is empty if there is nothing to put back."""

    outside: bytes
    inside: bytes


class TakenBack(NamedTuple):
    """A start-up setting that was taken back: for its transaction only (``local``), or for good.
    ``then`` is the statement that came after that, and gave the setting another value until the end
    of the transaction; empty if there was none."""

    local: bool = False
    then: str = ""


Restored = dict[str, TakenBack]


def taken_back(before: Restored, effects: Effects, startup: Values) -> Restored:
    """Returns the start-up settings that are taken back by a request, once a statement with these
    effects has run. `before` is the same for the statements in front of it."""
    found = dict(before)
    names = [name for name, _ in startup]
    for effect in effects:
        detail = effect.detail
        if isinstance(detail, Command) and (detail.command, detail.name) == ("DISCARD", "all"):
            found |= dict.fromkeys(names, TakenBack())
        elif not isinstance(detail, SettingChange):
            continue
        elif detail.command == "RESET ALL":
            found |= {name: TakenBack() for name in names if name not in IDENTITY}
        elif detail.value is None and detail.exact:
            # The session's user takes its role along.
            reset = IDENTITY if detail.name == "session_authorization" else {detail.name}
            for name in reset.intersection(names):
                old = found.get(name)
                found[name] = TakenBack(detail.local and (old is None or old.local))
        elif detail.name in found:
            old = found.pop(detail.name)
            if detail.local and not old.local:
                found[detail.name] = TakenBack(then=_set_local(detail))
    return found


def _set_local(change: SettingChange) -> str:
    """The same change as SET LOCAL; nothing if it is not known what it was."""
    if not change.exact or change.value is None:
        return ""
    if change.command == "set_config":
        return f"SET LOCAL {_assignment(change.name, change.value)}"
    if change.name == "timezone":
        return f"SET LOCAL TIME ZONE {change.value}"  # an INTERVAL stands nowhere else
    return f"SET LOCAL {quote_identifier(change.name)} TO {change.value}"


def follow_up(restored: Restored, startup: Values) -> FollowUp:
    """What puts these settings back in place.

    In a transaction block it is SET, which takes no snapshot: SET TRANSACTION may still come. (SET
    writes lists of names in its own way; outside a block they stay as the client has written them.)
    """
    values = dict(startup)
    names = sorted(restored, key=place)
    calls = (
        f"pg_catalog.set_config({quote_literal(name)}, {quote_literal(values[name])}, false)"
        for name in names
        if not restored[name].local
    )
    outside = ", ".join(calls)
    inside = []
    for name in names:
        scope = "LOCAL " if restored[name].local else ""
        inside.append(f"SET {scope}{_assignment(name, values[name])}")
        inside += [restored[name].then] if restored[name].then else []
    return FollowUp(query("SELECT " + outside) if outside else b"", query(";".join(inside)))


def _assignment(name: str, value: str) -> str:
    items = ", ".join(map(quote_literal, _items(name, value)))
    return f"{quote_identifier(name)} TO {items}"


def _items(name: str, value: str) -> Iterable[str]:
    """The value as SET takes it: the names of a list one by one."""
    if name not in LISTS:
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
