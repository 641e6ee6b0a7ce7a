"""Asking the database what a session still holds.

Which statements *may* have changed a session is told from their text; what is true then, PostgreSQL
knows best: it has rolled back what failed, ended what was local, resolved units and quoting. So at
the end of a transaction that may have changed something, one query asks for the session's settings
and for whatever would tie the client to its connection. The answer is swallowed; the client's own
replies have gone out before.

Names are qualified down to the operators: the client's search_path must not lend them another
meaning.
"""

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache

from forebay.session.causes import AUDITED, PinReason
from forebay.session.settings import Values, quote_literal
from forebay.session.special import OF_THE_TRANSACTION, QUESTIONS

# Longer values are not carried; in bytes that is still less than the relay holds of one answer.
VALUE_CHARACTERS = 8192
_SHOWN_CHARACTERS = VALUE_CHARACTERS + 1

# With more names of custom settings than these, a query is not kept for others.
FEW = 20

_SETTINGS = (
    f"SELECT '', name, pg_catalog.left(setting, {_SHOWN_CHARACTERS})"  # noqa: S608
    " FROM pg_catalog.pg_settings"
    " WHERE source OPERATOR(pg_catalog.=) 'session'"
)


# Names and values come in the client's encoding, unless they look the same in all.
_BYTES = "pg_catalog.convert_to({}, 'UTF8')"
_BOTH = "pg_catalog.concat(name, value)"
_IS_PLAIN = (
    f"pg_catalog.octet_length({_BYTES.format(_BOTH)})"
    f" OPERATOR(pg_catalog.=) pg_catalog.length({_BOTH})"
)
_ENCODED = "BASE64"


def _told(column: str) -> str:
    encoded = f"pg_catalog.encode({_BYTES.format(column)}, 'base64')"
    return f"CASE WHEN {_IS_PLAIN} THEN {column} ELSE {encoded} END"


_TOLD = (
    f"SELECT CASE WHEN {_IS_PLAIN} THEN cause ELSE '{_ENCODED}' END,"  # noqa: S608
    f" {_told('name')}, {_told('value')} FROM "
)


def audit_query(user: str, causes: frozenset[PinReason], custom: frozenset[str]) -> bytes:
    """The query for a session of `user`: its settings, `custom` ones by name (pg_settings hides
    settings with a dot in their name), and which of `causes` hold.

    Rows are (cause, name, value).
    """
    build = _query if len(custom) <= FEW else _query.__wrapped__
    return build(user, causes, custom)


@lru_cache(maxsize=256)
def _query(user: str, causes: frozenset[PinReason], custom: frozenset[str]) -> bytes:
    parts = [_SETTINGS, *(each.format(user=quote_literal(user)) for each in QUESTIONS)]
    for name in sorted(custom):
        literal = quote_literal(name)
        value = f"pg_catalog.current_setting({literal}, true)"
        part = f"pg_catalog.left({value}, {_SHOWN_CHARACTERS})"
        # An empty one is told, too: to its client it is not the same as one that is unknown.
        parts.append(f"SELECT '', {literal}, {part} WHERE {value} IS NOT NULL")
    parts += [
        f"SELECT '{cause.value}', '', '' WHERE EXISTS ({cause.cause.question})"
        for cause in sorted(causes & AUDITED)
    ]
    return (_TOLD + "(" + " UNION ALL ".join(parts) + ") AS s(cause, name, value)").encode()


def read_audit(rows: Iterable[Sequence[str | None]]) -> tuple[Values, frozenset[PinReason]]:
    """The answer: the session's settings, and the causes that hold.

    Raises ValueError on what is no answer to an audit query.
    """
    settings: dict[str, str] = {}
    causes = set()
    for row in rows:
        if len(row) != 3 or row[1] is None or row[2] is None:
            raise ValueError("the database did not tell the state of the session")
        if row[0] == _ENCODED:
            settings[_decoded(row[1]).lower()] = _decoded(row[2])
        elif row[0]:
            causes.add(PinReason.of(row[0]))
        elif row[1].lower() not in OF_THE_TRANSACTION:
            settings[row[1].lower()] = row[2]
    return tuple(sorted(settings.items())), frozenset(causes)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="surrogateescape")
