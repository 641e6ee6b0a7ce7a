"""Where RDS Proxy for PostgreSQL pins: on the text of a statement, until the client disconnects.

Its documentation says less than one would like. Where its sources disagree or are silent the
strictest reading holds (docs/sessions.md names each such place): a test against Forebay may then
see a pin that production spares, never the other way round.
"""

from forebay.session.causes import BY_EFFECT, PinReason
from forebay.sql.effects import Effect
from forebay.sql.facts import Facts


def rds_pin(facts: Facts, *, named: bool = False) -> PinReason | None:
    """Why RDS Proxy would pin a client that runs a text with these facts, or None.

    `named`: it runs as a prepared statement of the protocol that has a name.
    """
    found = ((effect.statement, rds_pin_of(effect)) for effect in facts.effects)
    at, reason = next((pin for pin in found if pin[1] is not None), (None, None))
    if facts.first_set is not None and (at is None or facts.first_set < at):
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
