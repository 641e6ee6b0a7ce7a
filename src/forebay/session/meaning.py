"""What a prepared statement means: its text, and what that depends on.

Clients share what they prepare if they mean the same by it. Names depend on ``search_path`` and
role, literals on ``TimeZone``, ``DateStyle`` and the like. Within a transaction a client may set
these, until the end of that or for longer, and make temporary tables: what it prepares meanwhile
must not be taken for what other clients with its settings mean by the same text.
"""

import re
from collections.abc import Hashable
from typing import Final, NamedTuple

from forebay.session.causes import BY_EFFECT
from forebay.session.settings import Settings, Values, decides_plans
from forebay.session.special import OF_LITERALS, OF_MEANING, OF_NAMES
from forebay.sql.effects import Call, Command, Effect, Effects
from forebay.sql.reading import Reading, Traits
from forebay.sql.settings import SettingChange
from forebay.sql.temporary import Creation

# More changes than this in one transaction are not told apart.
CHANGES_LIMIT: Final = 16

# Calls of set_config and nothing else: they are executed.
_ALWAYS_CALLS: Final = re.compile(
    rb"\s*select\s+{call}(?:\s*,\s*{call})*\s*;?\s*".replace(
        b"{call}", rb"(?:pg_catalog\.)?set_config\s*\([^()]*\)"
    ),
    re.IGNORECASE,
)


class Unknown:
    """A change whose outcome the text does not show: like no other one."""


class Change(NamedTuple):
    """A setting and its value, as the text has it. No name: all."""

    name: str
    value: str | None


Changes = tuple[Change | Unknown, ...]


class Context(NamedTuple):
    """What a client's texts depend on at one time."""

    pool: tuple[str, str]  # its database and user
    settings: Settings
    changes: Changes | None  # since its transaction began
    own: int | None  # its number, if it has what only it can mean
    reading: Reading


class Meaning(NamedTuple):
    """What one text depends on, of a Context. Equal texts with equal meanings mean the same."""

    traits: Traits
    pool: tuple[str, str]
    settings: Values
    changes: Changes
    own: int | None
    reading: Reading | None
    moment: Hashable


def meaning_of(traits: Traits, context: Context) -> Meaning:
    """What a text of these traits depends on."""
    mattering = OF_LITERALS if traits.literals else OF_NAMES
    return Meaning(
        traits,
        context.pool,
        context.settings.literals if traits.literals else context.settings.names,
        tuple(
            change
            for change in context.changes or ()
            if isinstance(change, Unknown) or not change.name or change.name in mattering
        ),
        context.own,
        context.reading if traits.raw else None,
        object() if traits.moment else None,
    )


def changes_since(before: Changes | None, text: bytes, effects: Effects) -> Changes | None:
    """What may have changed the meaning of texts since the transaction began; None: nothing.

    ``before``: the same without this text, which has these effects. Clients for whom it is equal
    mean the same.
    """
    found = [effect for effect in effects if _matters(effect)]
    if not found:
        return before
    # Behind a SET there may be a ROLLBACK.
    is_one = b";" not in text.rstrip(b"; \t\r\n")
    changes = before or ()
    for effect in found:
        changes += (_change(effect, text) if is_one else Unknown(),)
    return changes if len(changes) <= CHANGES_LIMIT else (Unknown(),)


def changes_plans(effects: Effects) -> bool:
    """Whether plans that were made before must not be used any more behind a text with these
    effects, or those that are made behind it by anybody else (see `settings.decides_plans`)."""
    return any(map(_changes_plans, effects))


def _changes_plans(effect: Effect) -> bool:
    detail = effect.detail
    if isinstance(detail, SettingChange):
        return not detail.name or decides_plans(detail.name)
    if isinstance(detail, Call):
        return detail.listed
    return BY_EFFECT[effect.reason].cause.changes_plans


def _matters(effect: Effect) -> bool:
    detail = effect.detail
    if isinstance(detail, SettingChange):
        return not detail.name or detail.name in OF_MEANING
    if isinstance(detail, Command) and detail.command == "EXECUTE":
        return True
    if isinstance(detail, Creation):
        return detail.likely  # it may hide what others mean
    if isinstance(detail, Call) and detail.listed:
        return True
    return BY_EFFECT[effect.reason].cause.changes_names


def _change(effect: Effect, text: bytes) -> Change | Unknown:
    detail = effect.detail
    if not isinstance(detail, SettingChange) or not detail.exact:
        return Unknown()
    if detail.command == "set_config" and not _ALWAYS_CALLS.fullmatch(text):
        return Unknown()  # it may stand in a CASE, or where no row is
    return Change(detail.name, detail.value)
