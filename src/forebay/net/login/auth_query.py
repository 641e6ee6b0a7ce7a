"""Users who are looked up in the database: what a row of `auth_query` says of one.

The query is the operator's, as with PgBouncer: it is given the user's name as its only parameter
and returns no row, or one of the user's name, password (in the form in which PostgreSQL stores it,
or plain) and, if it has a third column, until when the password is valid::

    SELECT rolname, rolpassword, rolvaliduntil FROM pg_catalog.pg_authid
    WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin

Who runs it sees to it that the name is bound as a parameter (`queries.parameterized_query`), and
that the connection is one of its own, with the startup parameters of STARTUP_PARAMETERS and nothing
that a client has chosen: with another search_path a client's objects could stand in for the
catalog's, and with another DateStyle the time cannot be read.
"""

import datetime as dt
import re
from typing import Final

from forebay.net.login.kept import UserEntry
from forebay.net.queries import Rows
from forebay.protocol import md5

STARTUP_PARAMETERS: Final = {
    "search_path": "pg_catalog, pg_temp",
    "DateStyle": "ISO",
    "client_encoding": "UTF8",
}
"""What the connection of the query begins with; pg_temp stands last, or it would be searched
first."""

_TIMESTAMPTZ: Final = re.compile(
    r"([0-9]{4,6})(-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"[+-][0-9]{2}(?::[0-9]{2}){0,2})( BC)?"
)


class AuthQueryError(ValueError):
    """The configured query returns what it should not. Holds no secret."""


def entry_of(rows: Rows, user: str, now: dt.datetime) -> UserEntry | None:
    """The user as the rows of the query have it; None if there is no such user.

    `now` has a time zone. A user without a password, or with one that is no longer valid, has no
    password that is right. MD5 is the method where an MD5 hash is stored, else SCRAM-SHA-256.
    Raises AuthQueryError.
    """
    if not rows:
        return None
    if len(rows) > 1:
        raise AuthQueryError(f'auth_query returns {len(rows)} rows for user "{user}", not one')
    row = rows[0]
    if len(row) not in (2, 3):
        raise AuthQueryError(
            f"auth_query returns {len(row)} columns: it should have the user's name, the password"
            " and, if need be, until when it is valid"
        )
    if row[0] != user:
        raise AuthQueryError(f'auth_query returns another user than "{user}"')
    password = row[1]
    if not password or (len(row) == 3 and row[2] is not None and not _is_ahead(row[2], now)):
        return UserEntry(user, (), "scram-sha-256")
    is_hash = md5.parse_stored(password) is not None
    return UserEntry(user, (password,), "md5" if is_hash else "scram-sha-256")


def _is_ahead(text: str, now: dt.datetime) -> bool:
    """Whether a timestamptz, as PostgreSQL writes it with DateStyle ISO, lies in the future."""
    if text in ("infinity", "-infinity"):
        return text == "infinity"
    match = _TIMESTAMPTZ.fullmatch(text)
    if match is None:
        raise AuthQueryError(
            "the third column of auth_query is no timestamptz with DateStyle ISO, as in"
            " 2026-11-28 10:30:00+00"
        )
    year, rest, before_christ = match.groups()
    if before_christ:
        return False
    if len(year) > 4:  # beyond what datetime knows
        return True
    try:
        return dt.datetime.fromisoformat(year + rest) > now
    except ValueError:
        raise AuthQueryError("the third column of auth_query is a time that is none") from None
