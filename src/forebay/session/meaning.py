"""What a prepared statement means: its text, and what that depends on.

Clients share a prepared statement if they mean the same by it. Names depend on ``search_path`` and
role, literals on ``TimeZone``, ``DateStyle`` and the like. Within a transaction a client may set
these, until its end or for longer, and make temporary tables. Forebay does not work out what comes
of that: what a client prepares behind such a change is its own until the transaction is over.
"""

from collections.abc import Hashable
from typing import NamedTuple

from forebay.session.causes import BY_EFFECT
from forebay.session.settings import Settings, Values, decides_plans
from forebay.session.special import OF_MEANING
from forebay.sql.effects import Call, Command, Effect, Effects
from forebay.sql.reading import Reading, Traits
from forebay.sql.settings import SettingChange
from forebay.sql.temporary import Creation

# Stands for what a client means behind a change of its own, and equals only itself.
Changes = tuple[object]


class Context(NamedTuple):
    """What a client's texts depend on at one time."""

    pool: tuple[str, str]  # its database and user
    settings: Settings
    changes: Changes | None  # since its transaction began
    own: int | None  # its number, if it has what only it can mean
    reading: Reading


class Meaning(NamedTuple):
    """What one text depends on: the parts of a Context that matter to it. Equal texts with equal
    meanings mean the same."""

    traits: Traits
    pool: tuple[str, str]
    settings: Values
    changes: Changes | None
    own: int | None
    reading: Reading | None
    moment: Hashable


def meaning_of(traits: Traits, context: Context) -> Meaning:
    """What a text of these traits depends on."""
    return Meaning(
        traits,
        context.pool,
        context.settings.literals if traits.literals else context.settings.names,
        context.changes,
        context.own,
        context.reading if traits.raw else None,
        object() if traits.moment else None,
    )


def unlike_others() -> Changes:
    """Returns a token for a change that is made now. It equals only itself."""
    return (object(),)


def changes_since(before: Changes | None, effects: Effects) -> Changes | None:
    """Returns the token for all changes of what texts mean since the transaction began, when a text
    with these effects has run; None if there are none. `before` is the token without this text."""
    return unlike_others() if any(map(_matters, effects)) else before


def changes_plans(effects: Effects) -> bool:
    """Returns whether a text with these effects parts plans: those made before it must not be used
    behind it, and those made behind it must not be used by other clients (see
    `settings.decides_plans`)."""
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
