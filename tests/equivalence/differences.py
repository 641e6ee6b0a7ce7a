"""Where a session over shared connections may differ from one of its own, each with its reason.

Nothing else may. ``normal`` takes out of an answer what differs by chance or by one of these.
"""

from collections.abc import Sequence
from itertools import pairwise

from tests.harness.raw import Message

# What is left out of answers before they are compared.
KNOWN = {
    "backend": "Process ids and cancel keys are Forebay's; a NotificationResponse that"
    " another client has sent carries the real process id of the backend that it had.",
    "tables": "Each side has tables of its own, whose numbers stand in RowDescription.",
    "aborted": "In an aborted transaction a statement that the connection lacks cannot be prepared:"
    " a Bind with the wrong number of values fails by that, not by the number, a Describe of a"
    " statement that returns nothing fails, too, and what follows it in its batch (a Parse that"
    " ends the unnamed statement) is skipped.",
    "values": "A Bind with the wrong number of values fails in any case; where the statement must"
    " be prepared anew and cannot be (its search_path has changed, its table is gone), by that. So"
    " does one with a value that is none of its type. One whose table is gone may fail by what the"
    " table had become before.",
    "described": "Describe of a statement that can be understood no longer, or would return"
    " something else by now, fails before its ParameterDescription, not behind it: what Forebay"
    " prepares or asks for it fails. If it returns nothing (DELETE), PostgreSQL still describes it"
    " when its table is gone, and fails when it is bound.",
    "signatures": "In the context of an error PL/pgSQL names a function with its schema or without,"
    " by the search_path of who called it first on that connection.",
    "hints": "Where a session has drawn nothing from a sequence that is asked for (55000), Forebay"
    " adds a hint if its client has had other connections.",
    "source": "File, line and routine of an error: Forebay's own errors come from no source file.",
}
# What the generated statements do not do.
NOT_ASKED = {
    "custom settings": "A custom setting that some client of a connection has ever set is '' there,"
    " and NULL or unknown elsewhere: read as coalesce(current_setting(name, true), '').",
    "pg_prepared_statements": "It lists the statements that Forebay prepared: read WHERE from_sql.",
    "DEALLOCATE of a protocol statement": "Exact unless it stands among other statements in one"
    " text, or is prepared itself.",
    "results nobody was told": "A statement that would return something else by now fails if its"
    " client was told what it returns, and else returns it: those that may change are described."
    " Where that has failed the program ends. So it does where the types of parameters, which"
    " nobody was told, do not fit any more, or are other ones when they are told.",
    "whether pg_temp is there": "Once any client of a connection has created something temporary,"
    " its schema exists: a function in it is unknown, not the schema.",
    "how lists are written": "What a session goes back to in a transaction is put in place by SET,"
    " which PostgreSQL 18 reports with a space behind each comma: so it is written at a login.",
    "one's own plans": "What a function wrongly marked IMMUTABLE reads of app.tenant may stay in a"
    " plan of the client's own: it is set by logins only. What several do by turns is in"
    " test_found_worlds, what they do in transactions in tenants.",
    "changes of tables": "DDL stands in a message of its own, or in a batch of which nothing else"
    " depends on it.",
    "what FETCH returns": "Describe of a prepared FETCH or EXECUTE tells what that found at its"
    " Parse; through Forebay, on a connection that lacks it, what it finds by now.",
    "literals read again": "A literal in a prepared statement is read by the settings under which"
    " that runs; directly, mostly, by those under which it was prepared.",
    "isolation behind Parse": "A Parse that Forebay answers itself takes no snapshot, so the level"
    " may still be set behind it: that is done only as the first thing in a transaction. Nor does"
    " it end the command before it, as Parse does: so a portal that changes rows is not suspended.",
    "names beyond ASCII": "After a change of client_encoding PostgreSQL reads other names in the"
    " same bytes; Forebay compares bytes.",
    "half a transaction": "A Query behind an Execute without a Sync between begins what PostgreSQL"
    " 18.6 does not end at a Sync that follows at once, or behind Close: the next statement of the"
    " connection fails (XX000), whosever it is. Nor behind a Parse that Forebay answers itself: so"
    " something is bound between. Nor is the Query a reset of a client that asked for settings at"
    " its login: what puts these back ends the half transaction sooner.",
    "resets that are rolled back": "A RESET that the same request rolls back, of a client that"
    " asked for settings at its login, leaves those of the login, not what it had set since.",
    "hidden changes": "What the body of a function or the default of a column changes is not seen.",
}

FIRST_OWN_NUMBER = 16384  # PostgreSQL's own objects have lower ones
WRONG_NUMBER = "bind message supplies"
GONE, CHANGED = "C42P01", "cached plan must not change result type"  # of the same statement
WRONG_VALUE = "unnamed portal parameter $"  # the context of an error in Bind
NO_UNNAMED = b"unnamed prepared statement does not exist"
LATE = b"\0C25P02\0", WRONG_NUMBER.encode(), NO_UNNAMED  # see "aborted"
SOURCE_FIELDS = b"FLR"
HINT_ABOUT_SEQUENCES = b"HWhat this client has drawn from sequences before"
SIGNATURE, WITH_SCHEMA = b"PL/pgSQL function ", b"PL/pgSQL function public."


def are_same(direct: Sequence[str], shared: Sequence[str]) -> bool:
    """Whether two answers are the same, or may differ (see "described" and "values")."""
    expected: list[str] = []
    for line, following in pairwise([*direct, ""]):
        is_failing = line.startswith("t ") and following.startswith("E ")
        if not (is_failing and shared[len(expected) :][:1] == [following]):
            expected.append(line)
    return len(expected) == len(shared) and all(map(_is_same, expected, shared))


def _is_same(direct: str, shared: str) -> bool:
    fails = (
        WRONG_NUMBER in direct or WRONG_VALUE in direct or (GONE in direct and CHANGED in shared)
    )
    return direct == shared or (fails and shared.startswith("E "))


def is_late(kind: str, body: bytes) -> bool:
    """Whether a message in an aborted transaction may be another one instead (see "aborted")."""
    return kind == "t" or (kind == "E" and any(part in body for part in LATE))


def normal(message: Message, own: bytes, common: bytes) -> Message:
    """The message without what may differ; the names in it that are `own` to one side as `common`
    ones (of equal length)."""
    kind, body = message
    if kind in "EN":
        fields = (field for field in body.split(b"\0") if field)
        body = b"\0".join(
            field
            for field in fields
            if field[0] not in SOURCE_FIELDS and not field.startswith(HINT_ABOUT_SEQUENCES)
        )
        body = body.replace(WITH_SCHEMA, SIGNATURE)
    elif kind == "A":
        body = bytes(4) + body[4:]
    elif kind == "T":
        body = _without_tables(body)
    elif kind == "K":
        body = b""
    return Message(kind, body.replace(own, common))


def _without_tables(body: bytes) -> bytes:
    """A RowDescription with zeros for the numbers of tables (of temporary ones, too)."""
    changed = bytearray(body)
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        at = body.index(b"\0", at) + 1
        changed[at : at + 4] = bytes(4)
        if int.from_bytes(body[at + 6 : at + 10], "big") >= FIRST_OWN_NUMBER:
            changed[at + 6 : at + 10] = bytes(4)  # the type of its rows
        at += 18
    return bytes(changed)
