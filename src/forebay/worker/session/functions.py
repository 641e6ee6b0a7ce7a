"""What an operator lists about functions, as the sessions of a proxy use it.

Three things are made of one list: what the relay looks for in every text (``names``), what the
lexer's reading makes of a call (``functions``), and what the database is asked for after one
(``settings``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from forebay.config.settings import FunctionCode, ProxySettings
from forebay.sql.functions import KNOWN_FUNCTIONS, Functions, parse_function_name
from forebay.sql.reasons import Reason
from forebay.worker.relay.glance import glance_text
from forebay.worker.relay.names import FunctionNames

# The configuration has the codes of pins (PinReason). NONE: not looked at.
REASONS: Final[Mapping[FunctionCode, Reason | None]] = {
    "TEMPORARY_OBJECT": Reason.TEMPORARY_OBJECT,
    "CURSOR": Reason.CURSOR,
    "ADVISORY_LOCK": Reason.ADVISORY_LOCK,
    "LISTEN": Reason.LISTEN,
    "PREPARED_STATEMENT": Reason.PREPARE,
    "SETTING": Reason.SETTING,
    "SEQUENCE": Reason.SEQUENCE,
    "LOAD": Reason.LOAD,
    "SESSION_FUNCTION": Reason.SESSION_FUNCTION,
    "NONE": None,
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One proxy's list. ``names`` is None if no text has to be searched for any."""

    functions: Functions = KNOWN_FUNCTIONS
    names: FunctionNames | None = None
    settings: frozenset[str] = frozenset()

    def is_certain(self, text: bytes) -> bool:
        """Whether ``text`` changes no session, as far as the first look can tell."""
        return glance_text(text) and not (self.names is not None and self.names.named_in(text))


NOTHING_LISTED: Final = Listed()


def listed_by(proxy: ProxySettings) -> Listed:
    """The list of a configuration that was checked. In rds mode it is empty: RDS Proxy has none."""
    if proxy.pinning == "rds":
        return NOTHING_LISTED
    functions = Functions(
        {parse_function_name(name): REASONS[code] for name, code in proxy.session_functions.items()}
    )
    return Listed(
        functions,
        FunctionNames(functions.looked_for) if functions.looked_for else None,
        frozenset(name.lower() for name in proxy.session_settings),
    )
