"""Which statements tie a client to its connection. The one place where that is decided.

A client that may have changed the state of its session keeps its connection until it leaves, and
the connection is cleaned then. What ends with the transaction by itself (SET LOCAL, a cursor
without HOLD) does not pin: the connection is the client's until then anyway.
"""

from enum import StrEnum

from forebay.sql.effects import Effects, Reason


class PinReason(StrEnum):
    """Why a client is pinned. A closed list: logs and metrics are keyed by it."""

    SETTING = "SETTING"
    PREPARED_STATEMENT = "PREPARED_STATEMENT"
    TEMPORARY_OBJECT = "TEMPORARY_OBJECT"
    CURSOR = "CURSOR"
    LISTEN = "LISTEN"
    ADVISORY_LOCK = "ADVISORY_LOCK"
    SEQUENCE = "SEQUENCE"
    LOAD = "LOAD"
    DISCARD = "DISCARD"
    DO_BLOCK = "DO_BLOCK"
    SESSION_FUNCTION = "SESSION_FUNCTION"
    UNREADABLE = "UNREADABLE"
    # These do not lie in the text of one statement; the relay names them.
    STATEMENT_TOO_LONG = "STATEMENT_TOO_LONG"
    FUNCTION_CALL = "FUNCTION_CALL"
    PARAMETER_CHANGED = "PARAMETER_CHANGED"


_BY_EFFECT = {
    Reason.SETTING: PinReason.SETTING,
    Reason.PREPARE: PinReason.PREPARED_STATEMENT,
    Reason.TEMPORARY_OBJECT: PinReason.TEMPORARY_OBJECT,
    Reason.CURSOR: PinReason.CURSOR,
    Reason.LISTEN: PinReason.LISTEN,
    Reason.ADVISORY_LOCK: PinReason.ADVISORY_LOCK,
    Reason.SEQUENCE: PinReason.SEQUENCE,
    Reason.LOAD: PinReason.LOAD,
    Reason.DISCARD: PinReason.DISCARD,
    Reason.DO_BLOCK: PinReason.DO_BLOCK,
    Reason.SESSION_FUNCTION: PinReason.SESSION_FUNCTION,
    Reason.TOO_LONG: PinReason.STATEMENT_TOO_LONG,
    Reason.UNREADABLE: PinReason.UNREADABLE,
}

# What the log says behind "Reason:", in RDS Proxy's words where it has some.
EXPLANATIONS = {
    PinReason.SETTING: "SQL changed session settings that the proxy doesn't track. Consider moving"
    " session configuration to the proxy's initialization query.",
    PinReason.PREPARED_STATEMENT: "A prepared statement was created or used.",
    PinReason.TEMPORARY_OBJECT: "A temporary table, view or sequence was created.",
    PinReason.CURSOR: "A cursor that outlives its transaction was declared.",
    PinReason.LISTEN: "The client listens for notifications.",
    PinReason.ADVISORY_LOCK: "A session-level advisory lock was used.",
    PinReason.SEQUENCE: "A sequence was used, whose current value belongs to the session.",
    PinReason.LOAD: "A library was loaded.",
    PinReason.DISCARD: "Session state was discarded.",
    PinReason.DO_BLOCK: "An anonymous code block ran, which may change session state.",
    PinReason.SESSION_FUNCTION: "A function was called that changes session state.",
    PinReason.UNREADABLE: "The SQL text couldn't be read with certainty.",
    PinReason.STATEMENT_TOO_LONG: "The connection ran a SQL query which exceeded the 65536 byte"
    " limit up to which the proxy looks for session state.",
    PinReason.FUNCTION_CALL: "A function was called by its number (FunctionCall message).",
    PinReason.PARAMETER_CHANGED: "The database reported a changed parameter that no statement"
    " showed.",
}


def pin_reason(effects: Effects) -> PinReason | None:
    """Why statements with these effects pin the client that runs them; None if they do not."""
    for effect in effects:
        if not effect.ends_with_transaction:
            return _BY_EFFECT[effect.reason]
    return None
