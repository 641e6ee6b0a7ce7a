"""The causes of pins: all that is known of each, in one row.

What asks for causes, tells of them, explains them or pins as RDS Proxy does is derived from these
rows. A new cause is one row here; documentation and tests that compare with them name what else has
to know of it: its line in docs/sessions.md and, if operators may list functions by it, its code in
``FunctionCode`` (`config` does not know of sessions).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from forebay.sql.effects import Call, Command, Effect
from forebay.sql.reasons import Reason

# Longer statements are not read. (RDS Proxy's limit: a statement of just this length does not pin.)
STATEMENT_LIMIT_BYTES: Final = 16384

WITH_ITS_CLIENT: Final = "the client disconnects"

# RDS Proxy's one sentence for nearly everything.
_SETTINGS: Final = (
    "SQL changed session settings that the proxy doesn't track. Consider moving session"
    " configuration to the proxy's initialization query."
)


def _always(_effect: Effect) -> bool:
    return True


def _is_said_temporary(effect: Effect) -> bool:
    return effect.reason is Reason.TEMPORARY_OBJECT


def _listens(effect: Effect) -> bool:
    return not (isinstance(effect.detail, Command) and effect.detail.command == "UNLISTEN")


def _locks(effect: Effect) -> bool:
    return not (isinstance(effect.detail, Call) and "unlock" in effect.detail.function)


def _is_not_lastval(effect: Effect) -> bool:
    return not (isinstance(effect.detail, Call) and effect.detail.function == "lastval")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """All that is known of one cause of a pin."""

    code: str
    # What the log says behind "Reason:", in RDS Proxy's words where it has some.
    sentence: str
    # How to avoid the pin.
    hint: str
    # What it follows from; the first is what a function does that is listed by this code.
    effects: tuple[Reason, ...] = ()
    # How the database is asked for it between transactions. Without: it lasts until the client
    # leaves, as it cannot be asked for. (Settings are always asked for.)
    question: str = ""
    # Until when a pin lasts, in words.
    ends: str = WITH_ITS_CLIENT
    # DISCARD ALL does not end what it leaves, so the connection is closed.
    outlasts_discard: bool = False
    # What a function is said to do that is listed by this code. Without: none can be listed by it.
    listed_as: str = ""
    # What is said of a call of PostgreSQL's own functions that have this effect.
    called: str = ""
    # What stands in the body of a DO that most likely leaves it, unless the second stands there.
    in_body: tuple[bytes, bytes] | None = None
    # Names in later statements may mean something else, in ways that the text does not show.
    changes_names: bool = False
    # So may plans that were made before it.
    changes_plans: bool = False
    # Whether RDS Proxy pins by an effect of this cause. Without: it sees none of them.
    rds_pins: Callable[[Effect], bool] | None = None
    # RDS Proxy's sentence; and where the statement runs as a prepared one that has a name.
    rds_sentence: str = _SETTINGS
    rds_named: str = ""
    # How to avoid the pin there, if that is another way.
    rds_hint: str = ""


class PinReason(StrEnum):
    """Why a client is pinned. A closed list: logs and metrics are keyed by the codes."""

    cause: Cause

    def __new__(cls, cause: Cause) -> "PinReason":
        member = str.__new__(cls, cause.code)
        member._value_ = cause.code
        member.cause = cause
        return member

    @classmethod
    def of(cls, code: str) -> "PinReason":
        """The reason with this code. Raises ValueError if there is none."""
        if code not in cls.__members__:
            raise ValueError(f"no reason for a pin: {code!r}")
        return cls[code]

    TEMPORARY_OBJECT = Cause(
        code="TEMPORARY_OBJECT",
        sentence="A temporary table, view or sequence was created.",
        hint="Create it with ON COMMIT DROP in the transaction that uses it.",
        effects=(Reason.TEMPORARY_OBJECT, Reason.CREATION),
        # Whatever stands in the session's temporary schema: tables, but functions, types as well.
        question="SELECT 1 FROM pg_catalog.pg_depend"
        " WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass"
        " AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()",
        ends="nothing temporary is left (DROP, DISCARD TEMP)",
        listed_as="creating something temporary",
        in_body=(rb"\b(?:temp|temporary|pg_temp)\b", rb"\bcommit\s+drop\b"),
        changes_names=True,
        rds_pins=_is_said_temporary,
        rds_hint="Use an ordinary table (UNLOGGED), or a WITH query.",
    )
    CURSOR = Cause(
        code="CURSOR",
        sentence="A cursor that outlives its transaction was declared.",
        hint="Declare it without HOLD in the transaction that reads it, or close it soon"
        " (Django: DISABLE_SERVER_SIDE_CURSORS).",
        effects=(Reason.CURSOR,),
        question="SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable",
        ends="the cursor is closed (CLOSE)",
        listed_as="declaring a cursor",
        rds_pins=_always,
        rds_hint="Read without a cursor, or in pages by key (Django: DISABLE_SERVER_SIDE_CURSORS).",
    )
    ADVISORY_LOCK = Cause(
        code="ADVISORY_LOCK",
        sentence="A session-level advisory lock is held.",
        hint="Use pg_advisory_xact_lock, which ends with the transaction.",
        effects=(Reason.ADVISORY_LOCK,),
        question="SELECT 1 FROM pg_catalog.pg_locks"
        " WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
        " AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()",
        ends="no session-level advisory lock is held (pg_advisory_unlock)",
        listed_as="taking or releasing an advisory lock",
        called="whose locks belong to the session",
        in_body=(rb"\bpg_(?:try_)?advisory_lock", rb"\bpg_advisory_unlock"),
        rds_pins=_locks,
    )
    LISTEN = Cause(
        code="LISTEN",
        sentence="The client listens for notifications.",
        hint="Listen with one connection of its own, straight to the database.",
        effects=(Reason.LISTEN,),
        question="SELECT 1 FROM pg_catalog.pg_listening_channels()",
        ends="UNLISTEN",
        listed_as="listening for notifications",
        in_body=(rb"\blisten\b", rb"\bunlisten\b"),
        rds_pins=_listens,
    )
    PREPARED_STATEMENT = Cause(
        code="PREPARED_STATEMENT",
        sentence="A prepared statement was created.",
        hint="Let the driver prepare by protocol (Parse with a name).",
        effects=(Reason.PREPARE,),
        question="SELECT 1 FROM pg_catalog.pg_prepared_statements WHERE from_sql",
        ends="DEALLOCATE",
        listed_as="preparing a statement",
        rds_pins=_always,
        rds_named="Running a prepared statement.",
        rds_hint="Prepare by protocol and without a name (psycopg: prepare_threshold=None; asyncpg:"
        " statement_cache_size=0).",
    )
    SETTING = Cause(
        code="SETTING",
        sentence=_SETTINGS,
        hint="Name the setting in the text: SET name = value.",
        effects=(Reason.SETTING,),
        listed_as="changing settings",
        rds_pins=_always,
        rds_hint="Move it to init_query or ALTER ROLE … SET, or send it as a startup parameter if"
        " RDS Proxy takes it (search_path, TimeZone, DateStyle, client_encoding, application_name,"
        " extra_float_digits).",
    )
    SEQUENCE = Cause(
        code="SEQUENCE",
        sentence="The current value of a sequence, which belongs to the session, was used or may be"
        " asked for.",
        hint="Use INSERT … RETURNING: nobody has to ask for the value.",
        effects=(Reason.SEQUENCE,),
        ends="the client disconnects, or DISCARD ALL or DISCARD SEQUENCES",
        listed_as="using a sequence",
        called="whose value belongs to the session",
        rds_pins=_is_not_lastval,
        rds_hint="Use INSERT … RETURNING with a column default: it is not noticed.",
    )
    LOAD = Cause(
        code="LOAD",
        sentence="A library was loaded.",
        hint="Name the library in session_preload_libraries (ALTER ROLE … SET).",
        effects=(Reason.LOAD,),
        outlasts_discard=True,
        listed_as="loading a library",
        rds_pins=_always,
    )
    DO_BLOCK = Cause(
        code="DO_BLOCK",
        sentence="An anonymous code block may have changed session state that can't be seen.",
        hint="Use SET LOCAL and set_config(…, true) in the block, or plain statements.",
        effects=(Reason.DO_BLOCK,),
        changes_names=True,
        changes_plans=True,
    )
    SESSION_FUNCTION = Cause(
        code="SESSION_FUNCTION",
        sentence="A function was called that changes session state.",
        hint="Do it with a connection of its own, straight to the database.",
        effects=(Reason.SESSION_FUNCTION,),
        outlasts_discard=True,  # replication origins, the seed of random()
        listed_as="changing the session",
        called="which changes the session",
        changes_names=True,
        changes_plans=True,
    )
    UNREADABLE = Cause(
        code="UNREADABLE",
        sentence="The SQL text couldn't be read with certainty.",
        hint="Send values as parameters, and use client_encoding UTF8.",
        effects=(Reason.UNREADABLE,),
        changes_names=True,
        changes_plans=True,
        rds_pins=_always,
    )
    STATEMENT_TOO_LONG = Cause(
        code="STATEMENT_TOO_LONG",
        sentence=f"The connection ran a SQL query which exceeded the {STATEMENT_LIMIT_BYTES} byte"
        " limit up to which the proxy looks for session state.",
        hint="Send values as parameters, or use COPY; split the statement.",
        effects=(Reason.TOO_LONG,),
        changes_names=True,
        changes_plans=True,
        rds_pins=_always,
        rds_sentence="The connection ran a SQL query which exceeded the"
        f" {STATEMENT_LIMIT_BYTES} byte limit.",
        rds_hint="Send values as parameters, which do not count; split it.",
    )
    FUNCTION_CALL = Cause(
        code="FUNCTION_CALL",
        sentence="A function was called by its number (FunctionCall message).",
        hint="Call the function by SELECT.",
    )
    TOO_MANY_SETTINGS = Cause(
        code="TOO_MANY_SETTINGS",
        sentence="The client has set more parameters, or longer ones, than the proxy carries to"
        " other connections.",
        hint="Use fewer parameters of your own.",
    )
    DISCARD = Cause(
        code="DISCARD",
        sentence="Session state was discarded.",
        hint="Leave it out: what a client leaves is discarded when it disconnects.",
        effects=(Reason.DISCARD,),
        changes_names=True,
        rds_pins=_always,
    )


# Those for which the database is asked whether they hold. The others last.
AUDITED: Final = frozenset(reason for reason in PinReason if reason.cause.question)

# Those whose connection is closed behind their client.
OUTLASTING: Final = frozenset(reason for reason in PinReason if reason.cause.outlasts_discard)

# The cause that each effect of a text belongs to.
BY_EFFECT: Final[Mapping[Reason, PinReason]] = {
    effect: reason for reason in PinReason for effect in reason.cause.effects
}
