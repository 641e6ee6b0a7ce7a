"""What ties a client to its connection, why, and for how long. The one place where it is decided.

A statement whose text may change the session makes its client *suspect*; when its transaction is
over, the database is asked (see `audit`) which causes to pin really hold, and again after later
suspect transactions, so that a pin ends when its cause ends. Causes that cannot be asked for last
until the client leaves; then the connection is cleaned.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from forebay.sql.effects import Call, Command, Effects, Reason
from forebay.sql.settings import SettingChange


class PinReason(StrEnum):
    """Why a client is pinned. A closed list: logs and metrics are keyed by it."""

    # The database is asked whether these hold.
    TEMPORARY_OBJECT = "TEMPORARY_OBJECT"
    CURSOR = "CURSOR"
    ADVISORY_LOCK = "ADVISORY_LOCK"
    LISTEN = "LISTEN"
    PREPARED_STATEMENT = "PREPARED_STATEMENT"
    # These last until the client leaves.
    SETTING = "SETTING"
    SEQUENCE = "SEQUENCE"
    LOAD = "LOAD"
    DO_BLOCK = "DO_BLOCK"
    SESSION_FUNCTION = "SESSION_FUNCTION"
    UNREADABLE = "UNREADABLE"
    STATEMENT_TOO_LONG = "STATEMENT_TOO_LONG"
    FUNCTION_CALL = "FUNCTION_CALL"
    DISCARD = "DISCARD"


AUDITED = frozenset(
    {
        PinReason.TEMPORARY_OBJECT,
        PinReason.CURSOR,
        PinReason.ADVISORY_LOCK,
        PinReason.LISTEN,
        PinReason.PREPARED_STATEMENT,
    }
)

# What the log says behind "Reason:", in RDS Proxy's words where it has some.
EXPLANATIONS = {
    PinReason.TEMPORARY_OBJECT: "A temporary table, view or sequence was created.",
    PinReason.CURSOR: "A cursor that outlives its transaction was declared.",
    PinReason.ADVISORY_LOCK: "A session-level advisory lock is held.",
    PinReason.LISTEN: "The client listens for notifications.",
    PinReason.PREPARED_STATEMENT: "A prepared statement was created.",
    PinReason.SETTING: "SQL changed session settings that the proxy doesn't track. Consider moving"
    " session configuration to the proxy's initialization query.",
    PinReason.SEQUENCE: "A sequence was used, whose current value belongs to the session.",
    PinReason.LOAD: "A library was loaded.",
    PinReason.DO_BLOCK: "An anonymous code block may have changed session state that"
    " can't be seen.",
    PinReason.SESSION_FUNCTION: "A function was called that changes session state.",
    PinReason.UNREADABLE: "The SQL text couldn't be read with certainty.",
    PinReason.STATEMENT_TOO_LONG: "The connection ran a SQL query which exceeded the 16384 byte"
    " limit up to which the proxy looks for session state.",
    PinReason.FUNCTION_CALL: "A function was called by its number (FunctionCall message).",
    PinReason.DISCARD: "Session state was discarded.",
}

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

# In the body of a DO block: what could change state that the database cannot be asked for.
_HIDDEN_IN_BODY = re.compile(
    rb"set_config|nextval|setval|currval|lastval|setseed|\bload\b|\bexecute\b|\bset\b",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Notes:
    """What is known of one client's session beyond its settings. Made when it is first suspect."""

    statement: bytes = b""  # the last one that made it suspect
    doubts: set[PinReason] = field(default_factory=set)  # to be asked for at the next audit
    lasting: set[PinReason] = field(default_factory=set)  # hold until the client leaves
    held: frozenset[PinReason] = frozenset()  # held at the last audit
    custom: set[str] = field(default_factory=set)  # settings with a dot in their name, ever set
    pinned_at: dict[PinReason, float] = field(default_factory=dict)
    resets: bool = False  # took a setting back, maybe to another value than init_query's

    @property
    def reasons(self) -> frozenset[PinReason]:
        """Why the client is pinned now."""
        return self.held | self.lasting


def note_effects(notes: Notes, effects: Effects, text: bytes) -> None:
    """Take note of what a statement may do to the session."""
    for effect in effects:
        reason = _BY_EFFECT[effect.reason]
        detail = effect.detail
        if reason in AUDITED:
            notes.doubts.add(reason)
        elif isinstance(detail, SettingChange):
            notes.resets = notes.resets or detail.value is None
            if not detail.exact and not detail.name and detail.command != "RESET ALL":
                notes.lasting.add(PinReason.SETTING)  # a name that the text does not show
            elif detail.local:
                notes.lasting.add(PinReason.UNREADABLE)  # what follows is read in another way
            elif "." in detail.name:
                notes.custom.add(detail.name)
        elif reason is PinReason.DO_BLOCK:
            notes.doubts |= AUDITED
            notes.resets = True
            if _HIDDEN_IN_BODY.search(text):
                notes.lasting.add(reason)
        elif reason is PinReason.DISCARD:
            notes.doubts |= AUDITED & notes.held
            notes.resets = True
            if isinstance(detail, Command) and detail.name in ("all", "sequences"):
                notes.lasting.discard(PinReason.SEQUENCE)
        elif isinstance(detail, Call) and detail.function == "set_config":
            notes.lasting.add(PinReason.SETTING)
        else:
            notes.lasting.add(reason)


class PinCounts:
    """How often clients were pinned, and for how long, by reason."""

    def __init__(self) -> None:
        self.begun: Counter[PinReason] = Counter()
        self.ended: Counter[PinReason] = Counter()
        self.duration_s: Counter[PinReason] = Counter()

    def begin(self, reason: PinReason) -> None:
        self.begun[reason] += 1

    def end(self, reason: PinReason, duration_s: float) -> None:
        """A pin for `reason` that lasted `duration_s` seconds is over."""
        self.ended[reason] += 1
        self.duration_s[reason] += duration_s  # type: ignore[assignment]
