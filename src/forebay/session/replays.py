"""How a connection changes over from one client's settings to another's.

A statement must never run under the settings of the last client: any of them may decide whose rows
it finds. So either the success of the change-over is seen before the client's message is sent
(``plain``), or the database itself skips the message if the change-over has failed (``guarded``):

    Close     GUARD, if there is one (a function may have made it)
    Query     what takes settings back and puts others in place; PREPARE GUARD
    Describe  GUARD
    Close     GUARD
    ...       what the client has sent

All of the Query is one transaction. Unless it succeeds GUARD does not exist, so Describe fails, and
after an error in the extended protocol PostgreSQL reads nothing before the next Sync, not even a
simple Query. If it succeeds Describe leaves no trace: no snapshot is taken, so that the client's
BEGIN may still choose an isolation level, and no command was executed, so that its VACUUM is alone.
GUARD is made by SQL's PREPARE: behind a Parse of the protocol a statement_timeout would run on to
the Sync, and could fire when GUARD is there, which no rollback removes, and the settings are not
committed yet.

Sources: PostgreSQL's protocol chapter, "Extended Query"; PostgresMain, exec_execute_message and
PreventInTransactionBlock in its source.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple
from weakref import WeakSet

from forebay.protocol.messages import message, query
from forebay.session.settings import Settings, Values, quote_identifier, quote_literal
from forebay.session.special import IDENTITY, TIMEOUTS, is_sure, place
from forebay.sql.names import NAME_BYTES

# A name that no client and no statement of a client has.
GUARD: Final = "_forebay_settings"
# The most arguments of a function.
ARGUMENTS_LIMIT: Final = 100

# Timeouts hold for a change-over, too, and may cut it short if they are below a second: it is seen
# first then, and tried elsewhere. So it is if they are the next client's, for they run from the
# guard on: should one fire before the client's message has come as a whole, the client would hear
# an error, and the message would run.
_SECOND_OR_MORE = re.compile(r"0|[1-9]\d{3,}|[1-9]\d*\s*(s|min|h|d)")  # in ms, as PostgreSQL has it
# Change-overs between two Settings that are remembered ready to send.
REPLAYS_KEPT = 1024
# ... if the Settings are no longer than this: a client may set 1,000 of 8,192 characters.
KEPT_CHARACTERS = 16384


class Replay(NamedTuple):
    """Messages that change a connection over. If ``must_confirm``, ``plain`` is to be sent, and
    nothing else until it has succeeded; otherwise ``guarded``, and the client's message behind
    it."""

    plain: bytes
    guarded: bytes
    must_confirm: bool


class Replays:
    """What changes a connection over from one client's settings to another's.

    `init_query` is what every new connection has run: a setting that is taken back must become what
    that had made it, so it runs again behind a RESET.
    """

    def __init__(self, init_query: str = "") -> None:
        self._init_query = init_query
        self._doubted: WeakSet[Settings] = WeakSet()
        self._kept: OrderedDict[tuple[Settings, Settings, bool, bool], Replay] = OrderedDict()

    def doubt(self, settings: Settings) -> None:
        """A change-over with these settings was refused, though it was sure to be accepted. From
        now on those that they are part of must be confirmed."""
        self._doubted.add(settings)
        self._kept.clear()

    def replay(
        self, old: Settings, new: Settings, deallocates: bool = False, discards_plans: bool = False
    ) -> Replay:
        """Returns what changes a connection over from `old` to `new`. With `deallocates`, all that
        is prepared on the connection is forgotten as well; with `discards_plans`, all plans."""
        key = (old, new, deallocates, discards_plans)
        found = self._kept.get(key)
        if found is None:
            found = self._build(old, new, deallocates, discards_plans)
            pairs = old.values + new.values
            if sum(len(name) + len(value) for name, value in pairs) <= KEPT_CHARACTERS:
                self._kept[key] = found
            if len(self._kept) > REPLAYS_KEPT:
                self._kept.popitem(last=False)
        return found

    def _build(
        self, old: Settings, new: Settings, deallocates: bool, discards_plans: bool
    ) -> Replay:
        before, after = dict(old.values), dict(new.values)
        taken_back = [name for name in before if name and name not in after]
        changed = [name for name, value in after.items() if before.get(name) != value]
        starts_over = bool(self._init_query) and (bool(taken_back) or "" in before)
        if starts_over:
            # It may set anything: what the client asked for must come after it, all of it.
            changed = list(after)
        identity = [name for name in before if name in IDENTITY]
        if identity and (starts_over or not all(map(is_sure, taken_back + changed))):
            # The rest takes the rights of the user who logged in; and a role ends with the
            # session's user who took it on.
            taken_back = identity + [name for name in taken_back if name not in IDENTITY]
            changed = [name for name in after if name in changed or name in IDENTITY]
        changed.sort(key=place)
        statements = ["DEALLOCATE ALL"] if deallocates else []
        statements += [_reset(name) for name in taken_back]
        if starts_over:
            statements.append(self._init_query + "\n")  # it may end with a comment
        statements += _put_in_place({name: after[name] for name in changed})
        if discards_plans or old.of_plans != new.of_plans:
            statements.append("DISCARD PLANS")
        # init_query may end the transaction that a guard relies on.
        is_safe = not starts_over and all(map(is_sure, [*taken_back, *changed]))
        is_safe = is_safe and not (is_hasty(before) or is_hasty(after))
        is_safe = is_safe and self._doubted.isdisjoint((old, new))
        return Replay(query(";".join(statements)), _guarded(statements), not is_safe)


def _put_in_place(values: Mapping[str, str]) -> list[str]:
    """A statement that sets them, in this order. (All values together may be longer than anything
    that the relay keeps of an answer: it holds only numbers.)"""
    calls = [
        f"pg_catalog.set_config({quote_literal(name)}, {quote_literal(value)}, false)"
        for name, value in values.items()
    ]
    groups = [calls[at : at + ARGUMENTS_LIMIT] for at in range(0, len(calls), ARGUMENTS_LIMIT)]
    columns = ", ".join(f"pg_catalog.num_nulls({', '.join(group)})" for group in groups)
    return [f"SELECT {columns}"] if columns else []


def _guarded(statements: list[str]) -> bytes:
    """See the module's description."""
    guard = f"S{GUARD}\0".encode()
    making = [*statements, f"PREPARE {GUARD} AS VALUES (true)"]
    close = message(b"C", guard)
    return close + query(";".join(making)) + message(b"D", guard) + close


def _reset(name: str) -> str:
    if name.isascii() and all(len(part) <= NAME_BYTES for part in name.split(".")):
        return f"RESET {quote_identifier(name)}"
    # As an identifier it would be cut, or read by the last client's encoding.
    call = f"pg_catalog.set_config({quote_literal(name)}, NULL, false)"
    return f"SELECT pg_catalog.num_nulls({call})"


def is_hasty(settings: Mapping[str, str]) -> bool:
    """Returns whether a timeout among these settings is so short that it may cut a change-over
    short."""
    return any(not _SECOND_OR_MORE.fullmatch(settings.get(name, "0")) for name in TIMEOUTS)


def without_refused(values: Values, startup: Values, message: str) -> Values:
    """The settings without those with a dot that an error message names: PostgreSQL, too, takes off
    what a module that was loaded since does not accept. What was asked for at the login stays."""
    said = message.lower()
    return tuple(
        pair
        for pair in values
        if "." not in pair[0] or f'"{pair[0]}"' not in said or pair in startup
    )
