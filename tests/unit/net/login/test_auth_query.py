"""What a row of auth_query says of a user."""

import datetime as dt

import pytest

from forebay.net.login import UserEntry
from forebay.net.login.auth_query import STARTUP_PARAMETERS, AuthQueryError, entry_of
from forebay.net.server_login import startup_message

NOW = dt.datetime(2026, 11, 28, 10, 30, tzinfo=dt.UTC)
MD5 = "md5" + "0123456789abcdef" * 2
SCRAM = f"SCRAM-SHA-256$4096:c2FsdA==${'A' * 43}=:{'B' * 43}="


@pytest.mark.parametrize(
    ("password", "method"),
    [(MD5, "md5"), (SCRAM, "scram-sha-256"), ("plain", "scram-sha-256")],
)
def test_the_method_follows_from_what_is_stored(password: str, method: str) -> None:
    expected = UserEntry("app", (password,), method)
    assert entry_of([["app", password]], "app", NOW) == expected
    assert entry_of([["app", password, None]], "app", NOW) == expected


def test_no_such_user() -> None:
    assert entry_of([], "app", NOW) is None


@pytest.mark.parametrize("password", [None, ""])
def test_without_a_password_no_proof_holds(password: str | None) -> None:
    assert entry_of([["app", password, None]], "app", NOW) == UserEntry("app", (), "scram-sha-256")


@pytest.mark.parametrize(
    ("valid_until", "is_valid"),
    [
        ("infinity", True),
        ("-infinity", False),
        ("2026-11-28 10:30:01+00", True),
        ("2026-11-28 10:30:00.000001+00", True),
        ("2026-11-28 10:30:00+00", False),
        ("2026-11-28 10:29:59.999999+00", False),
        ("2026-11-28 16:15:00+05:45", False),
        ("2026-11-28 16:15:01+05:45", True),
        ("2026-11-28 05:30:00-05", False),
        ("2026-11-28 05:30:01-05", True),
        ("1890-01-01 00:00:00+00:53:28", False),
        ("9999-12-31 23:59:59+00", True),
        ("10000-01-01 00:00:00+00", True),
        ("294276-12-31 23:59:59.999999+00", True),
        ("4714-11-24 00:00:00+00 BC", False),
    ],
)
def test_valid_until(valid_until: str, is_valid: bool) -> None:
    entry = entry_of([["app", MD5, valid_until]], "app", NOW)
    assert entry is not None
    assert entry.passwords == ((MD5,) if is_valid else ())


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([["app", MD5], ["app", MD5]], 'returns 2 rows for user "app"'),
        ([["app"]], "returns 1 columns"),
        ([["app", MD5, None, None]], "returns 4 columns"),
        ([["App", MD5]], 'another user than "app"'),
        ([[None, MD5]], 'another user than "app"'),
        ([["app", MD5, "2026-11-28"]], "no timestamptz with DateStyle ISO"),
        ([["app", MD5, "2026-11-28 10:30:00"]], "no timestamptz"),
        ([["app", MD5, "28/11/2026 10:30:00 UTC"]], "no timestamptz"),
        ([["app", MD5, ""]], "no timestamptz"),
        ([["app", MD5, "2026-02-30 10:30:00+00"]], "a time that is none"),
    ],
)
def test_what_the_query_should_not_return(rows: list[list[str | None]], sentence: str) -> None:
    with pytest.raises(AuthQueryError, match=sentence) as caught:
        entry_of(rows, "app", NOW)
    assert MD5 not in str(caught.value)


def test_the_connection_can_begin_so() -> None:
    assert b"search_path\0pg_catalog, pg_temp\0" in startup_message("app", "x", STARTUP_PARAMETERS)
