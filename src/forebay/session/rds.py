"""Where RDS Proxy for PostgreSQL pins: on the text of a statement, until the client disconnects.

Its documentation says less than one would like. Where its sources disagree or are silent the
strictest reading holds (docs/sessions.md names each such place): a test against Forebay may then
see a pin that production spares, never the other way round.
"""

from collections.abc import Callable

from forebay.session.pins import PinReason
from forebay.sql.effects import Call, Command, Effect, Effects
from forebay.sql.lexer import lex
from forebay.sql.reasons import Reason
from forebay.sql.settings import word
from forebay.sql.split import segments, statements

# The whole statement counts; a statement of just this length does not pin.
STATEMENT_LIMIT_BYTES = 16384

# RDS Proxy's one sentence for nearly everything.
_GENERIC = (
    "SQL changed session settings that the proxy doesn't track. Consider moving session"
    " configuration to the proxy's initialization query."
)
_OWN = {
    PinReason.STATEMENT_TOO_LONG: "The connection ran a SQL query which exceeded the"
    f" {STATEMENT_LIMIT_BYTES} byte limit.",
    PinReason.PREPARED_STATEMENT: "Running a prepared statement.",
}


def _always(_effect: Effect) -> bool:
    return True


def _listens(effect: Effect) -> bool:
    return not (isinstance(effect.detail, Command) and effect.detail.command == "UNLISTEN")


def _locks(effect: Effect) -> bool:
    return not (isinstance(effect.detail, Call) and "unlock" in effect.detail.function)


def _is_listed(effect: Effect) -> bool:
    return not (isinstance(effect.detail, Call) and effect.detail.function == "lastval")


# What is absent here RDS Proxy does not see: DO, and functions that change the session.
_PINNING: dict[Reason, tuple[PinReason, Callable[[Effect], bool]]] = {
    Reason.SETTING: (PinReason.SETTING, _always),
    Reason.PREPARE: (PinReason.PREPARED_STATEMENT, _always),
    Reason.TEMPORARY_OBJECT: (PinReason.TEMPORARY_OBJECT, _always),
    Reason.CURSOR: (PinReason.CURSOR, _always),
    Reason.LISTEN: (PinReason.LISTEN, _listens),
    Reason.ADVISORY_LOCK: (PinReason.ADVISORY_LOCK, _locks),
    Reason.SEQUENCE: (PinReason.SEQUENCE, _is_listed),
    Reason.LOAD: (PinReason.LOAD, _always),
    Reason.DISCARD: (PinReason.DISCARD, _always),
    Reason.UNREADABLE: (PinReason.UNREADABLE, _always),
}


def rds_pin(
    effects: Effects,
    text: bytes,
    *,
    named: bool = False,
    standard_conforming_strings: bool = True,
) -> PinReason | None:
    """Why RDS Proxy would pin a client that runs `text`, or None.

    `effects` are the text's (see `forebay.sql.effects`), not used if it exceeds the limit. `named`:
    it runs as a prepared statement of the protocol that has a name.
    """
    if len(text) > STATEMENT_LIMIT_BYTES:
        return PinReason.STATEMENT_TOO_LONG
    found = ((effect.statement, rds_pin_of(effect)) for effect in effects)
    at, reason = next((pin for pin in found if pin[1] is not None), (None, None))
    if at != 0:
        setting_at = _first_set(text, standard_conforming_strings)
        if setting_at is not None and (at is None or setting_at < at):
            return PinReason.SETTING
    return PinReason.PREPARED_STATEMENT if named and reason is None else reason


def rds_pin_of(effect: Effect) -> PinReason | None:
    """As `rds_pin`, for one effect of a text."""
    found = _PINNING.get(effect.reason)
    return found[0] if found is not None and found[1](effect) else None


def rds_explanation(reason: PinReason, *, named: bool = False) -> str:
    """What RDS Proxy's log says behind "Reason:"."""
    if reason is PinReason.PREPARED_STATEMENT and not named:
        return _GENERIC
    return _OWN.get(reason, _GENERIC)


def _first_set(text: bytes, standard_conforming_strings: bool) -> int | None:
    """Which statement is the first SET or RESET, even one that ends with its transaction."""
    tokens = lex(text, standard_conforming_strings=standard_conforming_strings).tokens
    for number, statement in enumerate(statements(tokens)):
        if any(word(part, 0) in (b"set", b"reset") for part in segments(statement)):
            return number
    return None
