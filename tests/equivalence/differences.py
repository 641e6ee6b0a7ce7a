"""Where a session over shared connections may differ from one of its own, each with its reason.

Nothing else may. ``normal`` takes out of an answer what differs by chance or by one of these.
"""

from tests.harness.raw import Message

# What is left out of answers before they are compared.
KNOWN = {
    "backend": "Process ids and cancel keys are Forebay's; a NotificationResponse carries the real"
    " process id of the backend that sent it.",
    "source": "File, line and routine of an error: Forebay's own errors come from no source file.",
}
# What the generated statements do not do.
NOT_ASKED = {
    "custom settings": "A custom setting that some client of a connection has ever set is '' there,"
    " and NULL or unknown elsewhere: read as coalesce(current_setting(name, true), '').",
    "pg_prepared_statements": "It lists the statements that Forebay prepared: read WHERE from_sql.",
    "DEALLOCATE of a protocol statement": "Exact unless it stands among other statements in one"
    " text, or is prepared itself.",
    "hidden changes": "What the body of a function changes is not seen.",
}

SOURCE_FIELDS = b"FLR"


def normal(message: Message, own: bytes, common: bytes) -> Message:
    """The message without what may differ; the names in it that are `own` to one side as `common`
    ones (of equal length)."""
    kind, body = message
    if kind in "EN":
        fields = (field for field in body.split(b"\0") if field)
        body = b"\0".join(field for field in fields if field[0] not in SOURCE_FIELDS)
    elif kind == "A":
        body = bytes(4) + body[4:]
    elif kind == "K":
        body = b""
    return Message(kind, body.replace(own, common))
