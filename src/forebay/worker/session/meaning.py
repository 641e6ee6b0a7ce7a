"""What the names in a statement depend on, beyond the settings that are known of its client.

Within a transaction a client may set ``search_path`` or its role, until the end of that or for
longer, and make temporary tables. What it prepares meanwhile must not be taken for what other
clients with its settings mean by the same text.
"""

from collections.abc import Hashable
from typing import Final

from forebay.sql.effects import Call, Command, Effect, Effects
from forebay.sql.reasons import Reason
from forebay.sql.settings import SettingChange
from forebay.worker.session.settings import OF_MEANING

# More changes than this in one transaction are not told apart.
CHANGES_LIMIT: Final = 16

# What may change the meaning of names in ways that the text does not show.
_UNKNOWN: Final = frozenset(
    {
        Reason.TEMPORARY_OBJECT,
        Reason.DO_BLOCK,
        Reason.SESSION_FUNCTION,
        Reason.DISCARD,
        Reason.TOO_LONG,
        Reason.UNREADABLE,
    }
)


def meaning_since(
    before: tuple[Hashable, ...] | None, effects: Effects, own: int
) -> tuple[Hashable, ...] | None:
    """What has changed the meaning of names since the transaction began; None: nothing.

    ``before``: the same without these effects. Clients for whom it is equal mean the same, as far
    as texts show; `own` is the number of this client, which stands for what only it can mean.
    """
    changes = tuple(dict.fromkeys(_change(effect, own) for effect in effects if _matters(effect)))
    if not changes:
        return before
    changes = (before or ()) + changes
    return changes if len(changes) <= CHANGES_LIMIT else (own,)


def _matters(effect: Effect) -> bool:
    detail = effect.detail
    if isinstance(detail, SettingChange):
        return not detail.name or detail.name in OF_MEANING
    if isinstance(detail, Command) and detail.command == "EXECUTE":
        return True
    return effect.reason in _UNKNOWN or (isinstance(detail, Call) and detail.listed)


def _change(effect: Effect, own: int) -> Hashable:
    if isinstance(effect.detail, SettingChange):
        return effect.detail.name, effect.detail.value
    return own
