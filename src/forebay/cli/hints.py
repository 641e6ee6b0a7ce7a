"""The words of ``forebay explain``: what an effect is, when a pin ends, and how to avoid it."""

from typing import Final

from forebay.session.pins import PinReason
from forebay.sql.effects import Call, Command, Cursor, Effect, Effects
from forebay.sql.reasons import Reason
from forebay.sql.settings import SettingChange
from forebay.sql.temporary import Creation, TemporaryObject

HINTS: Final = {
    PinReason.TEMPORARY_OBJECT: "Create it with ON COMMIT DROP in the transaction that uses it.",
    PinReason.CURSOR: "Declare it without HOLD in the transaction that reads it, or close it soon"
    " (Django: DISABLE_SERVER_SIDE_CURSORS).",
    PinReason.ADVISORY_LOCK: "Use pg_advisory_xact_lock, which ends with the transaction.",
    PinReason.LISTEN: "Listen with one connection of its own, straight to the database.",
    PinReason.PREPARED_STATEMENT: "Let the driver prepare by protocol (Parse with a name).",
    PinReason.SETTING: "Name the setting in the text: SET name = value.",
    PinReason.SEQUENCE: "Use INSERT … RETURNING: nobody has to ask for the value.",
    PinReason.LOAD: "Name the library in session_preload_libraries (ALTER ROLE … SET).",
    PinReason.DO_BLOCK: "Use SET LOCAL and set_config(…, true) in the block, or plain statements.",
    PinReason.SESSION_FUNCTION: "Do it with a connection of its own, straight to the database.",
    PinReason.UNREADABLE: "Send values as parameters, and use client_encoding UTF8.",
    PinReason.STATEMENT_TOO_LONG: "Send values as parameters, or use COPY; split the statement.",
    PinReason.FUNCTION_CALL: "Call the function by SELECT.",
    PinReason.TOO_MANY_SETTINGS: "Use fewer parameters of your own.",
    PinReason.DISCARD: "Leave it out: what a client leaves is discarded when it disconnects.",
}

RDS_HINTS: Final = {
    PinReason.SETTING: "Move it to init_query or ALTER ROLE … SET, or send it as a startup"
    " parameter if RDS Proxy takes it (search_path, TimeZone, DateStyle, client_encoding,"
    " application_name, extra_float_digits).",
    PinReason.TEMPORARY_OBJECT: "Use an ordinary table (UNLOGGED), or a WITH query.",
    PinReason.CURSOR: "Read without a cursor, or in pages by key (Django:"
    " DISABLE_SERVER_SIDE_CURSORS).",
    PinReason.PREPARED_STATEMENT: "Prepare by protocol and without a name (psycopg:"
    " prepare_threshold=None; asyncpg: statement_cache_size=0).",
    PinReason.SEQUENCE: "Use INSERT … RETURNING with a column default: it is not noticed.",
    PinReason.STATEMENT_TOO_LONG: "Send values as parameters, which do not count; split it.",
}

_PG_TEMP_FIRST: Final = "Put another schema before pg_temp."
_READ_LOCALLY: Final = "Set it without LOCAL, or at the login."


def hint(reason: PinReason, effects: Effects) -> str:
    """How to avoid the pin, in the default mode."""
    changes = [each.detail for each in effects if isinstance(each.detail, SettingChange)]
    if reason is PinReason.SETTING and any(change.makes_temporary for change in changes):
        return _PG_TEMP_FIRST
    if reason is PinReason.UNREADABLE and changes:
        return _READ_LOCALLY
    return HINTS[reason]


def rds_hint(reason: PinReason) -> str:
    """How to avoid the pin with ``pinning = "rds"``."""
    return RDS_HINTS.get(reason) or HINTS[reason]


_COMMANDS: Final = {
    "PREPARE": "prepares the statement {name}",
    "EXECUTE": "runs the prepared statement {name}",
    "DEALLOCATE": "drops the prepared statement {name}",
    "DEALLOCATE ALL": "drops all prepared statements",
    "LISTEN": "listens for notifications on {name}",
    "UNLISTEN": "stops listening",
    "LOAD": "loads a library into the server process",
    "DISCARD": "discards session state ({name})",
    "DO": "runs a code block, whose body may do anything",
}


def deed(effect: Effect) -> str:
    """What an effect is, in plain words, behind "it"."""
    detail = effect.detail
    if isinstance(detail, SettingChange):
        return _setting(detail)
    if isinstance(detail, Cursor):
        kind = "that outlives the transaction" if detail.hold else "for this transaction"
        return f"declares the cursor {detail.name} {kind}"
    if isinstance(detail, TemporaryObject):
        end = ", dropped at commit" if detail.on_commit_drop else ""
        return f"creates the temporary {detail.kind} {detail.name}".rstrip() + end
    if isinstance(detail, Creation):
        if not detail.kind:
            return "names pg_temp, where something temporary may be created"
        made = f"creates the {detail.kind} {detail.name}".rstrip()
        return f"{made} (temporary where the search_path leads to pg_temp)"
    if isinstance(detail, Call):
        calls = _LISTED_CALLS if detail.listed else _CALLS
        return f"calls {detail.function}(), {calls[effect.reason]}"
    if isinstance(detail, Command):
        return _COMMANDS.get(detail.command, detail.command).format(name=detail.name)
    return "cannot be read with certainty"


_CALLS: Final = {
    Reason.ADVISORY_LOCK: "whose locks belong to the session",
    Reason.SEQUENCE: "whose value belongs to the session",
    Reason.SESSION_FUNCTION: "which changes the session",
}
_LISTED_CALLS: Final = {
    Reason.TEMPORARY_OBJECT: "listed as creating something temporary",
    Reason.CURSOR: "listed as declaring a cursor",
    Reason.ADVISORY_LOCK: "listed as taking or releasing an advisory lock",
    Reason.LISTEN: "listed as listening for notifications",
    Reason.PREPARE: "listed as preparing a statement",
    Reason.SETTING: "listed as changing settings",
    Reason.SEQUENCE: "listed as using a sequence",
    Reason.LOAD: "listed as loading a library",
    Reason.SESSION_FUNCTION: "listed as changing the session",
}


def _setting(change: SettingChange) -> str:
    if change.command == "RESET ALL":
        return "resets all settings"
    name = change.name or "a setting that the text does not name"
    if change.command == "RESET":
        return f"resets {name}"
    if change.local:
        return f"sets {name} until the transaction ends"
    return f"sets {name} for the session"
