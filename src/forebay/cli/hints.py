"""The words of ``forebay explain``: what an effect is, when a pin ends, and how to avoid it."""

from typing import Final

from forebay.session.causes import BY_EFFECT, PinReason
from forebay.sql.effects import Call, Command, Cursor, Effect, Effects
from forebay.sql.settings import SettingChange
from forebay.sql.temporary import Creation, TemporaryObject

_PG_TEMP_FIRST: Final = "Put another schema before pg_temp."
_READ_LOCALLY: Final = "Set it without LOCAL, or at the login."


def hint(reason: PinReason, effects: Effects) -> str:
    """How to avoid the pin, in the default mode."""
    changes = [each.detail for each in effects if isinstance(each.detail, SettingChange)]
    if reason is PinReason.SETTING and any(change.makes_temporary for change in changes):
        return _PG_TEMP_FIRST
    if reason is PinReason.UNREADABLE and changes:
        return _READ_LOCALLY
    return reason.cause.hint


def rds_hint(reason: PinReason) -> str:
    """How to avoid the pin with ``pinning = "rds"``."""
    return reason.cause.rds_hint or reason.cause.hint


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
        cause = BY_EFFECT[effect.reason].cause
        what = f"listed as {cause.listed_as}" if detail.listed else cause.called
        return f"calls {detail.function}(), {what}"
    if isinstance(detail, Command):
        return _COMMANDS.get(detail.command, detail.command).format(name=detail.name)
    return "cannot be read with certainty"


def _setting(change: SettingChange) -> str:
    if change.command == "RESET ALL":
        return "resets all settings"
    name = change.name or "a setting that the text does not name"
    if change.command == "RESET":
        return f"resets {name}"
    if change.local:
        return f"sets {name} until the transaction ends"
    return f"sets {name} for the session"
