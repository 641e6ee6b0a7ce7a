"""What an operator lists about functions: what a call of one does to the session. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from forebay.session.causes import PinReason
from forebay.sql.functions import KNOWN_FUNCTIONS, Functions, parse_function_name
from forebay.sql.reasons import Reason

# What functions can be listed as, in the codes of pins. NONE: not looked at.
REASONS: Final[Mapping[str, Reason | None]] = {
    **{each.value: each.cause.effects[0] for each in PinReason if each.cause.listed_as},
    "NONE": None,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One proxy's list: what the lexer's reading makes of a call, and which settings the database
    is asked for after one."""

    functions: Functions = KNOWN_FUNCTIONS
    settings: frozenset[str] = frozenset()


NOTHING_LISTED: Final = Listed()


def functions_of(session_functions: Mapping[str, str]) -> Functions:
    """The functions of a checked configuration: names, and codes that `REASONS` has."""
    return Functions(
        {parse_function_name(name): REASONS[code] for name, code in session_functions.items()}
    )


def settings_of(session_settings: Iterable[str]) -> frozenset[str]:
    """The settings of a configuration, as the database knows them."""
    return frozenset(name.lower() for name in session_settings)
