"""Where RDS Proxy for PostgreSQL pins: on the text of a statement, until the client disconnects.

Its documentation says less than one would like. Where its sources disagree or are silent the
strictest reading holds (docs/sessions.md names each such place): a test against Forebay may then
see a pin that production spares, never the other way round.
"""

from forebay.session.causes import BY_EFFECT, STATEMENT_LIMIT_BYTES, PinReason
from forebay.sql.effects import Effect, Effects
from forebay.sql.lexer import lex
from forebay.sql.settings import word
from forebay.sql.split import segments, statements


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
    reason = BY_EFFECT[effect.reason]
    pins = reason.cause.rds_pins
    return reason if pins is not None and pins(effect) else None


def rds_explanation(reason: PinReason, *, named: bool = False) -> str:
    """What RDS Proxy's log says behind "Reason:"."""
    return (named and reason.cause.rds_named) or reason.cause.rds_sentence


def _first_set(text: bytes, standard_conforming_strings: bool) -> int | None:
    """Which statement is the first SET or RESET, even one that ends with its transaction."""
    tokens = lex(text, standard_conforming_strings=standard_conforming_strings).tokens
    for number, statement in enumerate(statements(tokens)):
        if any(word(part, 0) in (b"set", b"reset") for part in segments(statement)):
            return number
    return None
