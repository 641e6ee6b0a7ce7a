"""Which statements draw from sequences, and which ask what was drawn.

What nextval and setval leave in a session matters only to who calls currval or lastval there.
"""

import re
from typing import Final

from forebay.sql.effects import Call, Command, Effect, Effects
from forebay.sql.reasons import Reason

ASKING: Final = frozenset({"currval", "lastval"})
DRAWING: Final = frozenset({"nextval", "setval"})

_ASKING_IN_BODY: Final = re.compile(rb"currval|lastval", re.IGNORECASE)
# Where no name is read: what stands last begins one in escapes.
_ASKING_ANYWHERE: Final = re.compile(rb"currval|lastval|u&\"", re.IGNORECASE)
_DRAWING_IN_BODY: Final = re.compile(rb"nextval|setval", re.IGNORECASE)
# What draws where no text shows it: commands that compute columns' defaults or run routines.
# Wherever it stands: to find more of it than there is only makes a pin begin earlier.
_MAY_DRAW: Final = re.compile(
    rb"\b(?:insert|merge|copy|call|execute)\b|\bupdate\b.*=\s*default\b", re.IGNORECASE | re.DOTALL
)


def asks(effects: Effects) -> bool:
    """Whether a text asks for what its session has drawn, as far as it shows: it calls currval or
    lastval, or what the operator lists as using sequences."""
    return any(map(_asks, effects))


def _asks(effect: Effect) -> bool:
    detail = effect.detail
    if isinstance(detail, Call) and effect.reason is Reason.SEQUENCE:
        is_own = detail.listed and detail.function not in DRAWING
        return not detail.stored and (is_own or detail.function in ASKING)
    return _is_block_with(effect, _ASKING_IN_BODY)


def may_ask(text: bytes) -> bool:
    """As ``asks``, for a text that is not read or cannot be: returns whether the name of a function
    that asks may stand in it."""
    return _ASKING_ANYWHERE.search(text) is not None


def only_draws(effect: Effect) -> bool:
    """Returns whether the effect is a call of nextval or setval, unless the operator lists that
    function as doing more; or any call that uses sequences and is only stored, in the definition of
    a table."""
    detail = effect.detail
    return (
        effect.reason is Reason.SEQUENCE
        and isinstance(detail, Call)
        and (detail.stored or (not detail.listed and detail.function in DRAWING))
    )


def draws(effects: Effects) -> bool:
    """Whether a text draws from a sequence, as far as it shows."""
    return any(map(_draws, effects))


def _draws(effect: Effect) -> bool:
    detail = effect.detail
    if isinstance(detail, Call):
        return effect.reason is Reason.SEQUENCE and not detail.stored
    return _is_block_with(effect, _DRAWING_IN_BODY)


def _is_block_with(effect: Effect, names: re.Pattern[bytes]) -> bool:
    detail = effect.detail
    if not isinstance(detail, Command) or effect.reason is not Reason.DO_BLOCK:
        return False
    return names.search(detail.body) is not None


def may_draw(text: bytes) -> bool:
    """Returns whether a text may draw from a sequence though it names none: by the default of a
    column that it inserts into, say."""
    return _MAY_DRAW.search(text) is not None
