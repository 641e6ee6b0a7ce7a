"""Errors: their encoding, reading those of a database, RDS Proxy's texts."""

import inspect
import pickle

import pytest

from forebay.protocol import errors
from forebay.protocol.errors import PgError, Severity, parse_fields


def test_encode_has_every_field_and_the_unlocalized_severity() -> None:
    encoded = PgError(Severity.FATAL, "28P01", "no", "detail", "hint").encode()
    assert encoded[:1] == b"E"
    assert int.from_bytes(encoded[1:5]) == len(encoded) - 1
    assert parse_fields(encoded[5:]) == {
        "S": "FATAL",
        "V": "FATAL",
        "C": "28P01",
        "M": "no",
        "D": "detail",
        "H": "hint",
    }


def test_a_nul_in_a_text_cannot_start_a_field_of_its_own() -> None:
    encoded = PgError(Severity.ERROR, "XX000", "a\0Cb").encode()
    assert parse_fields(encoded[5:])["M"] == "aCb"
    assert parse_fields(encoded[5:])["C"] == "XX000"


def test_what_a_database_said_is_passed_on_unchanged() -> None:
    body = b"SFEHLER\0VERROR\0C42P01\0Mgibt es nicht\0Qunknown field\0\0"
    error = PgError.parse(body)
    assert (error.severity, error.sqlstate) == (Severity.ERROR, "42P01")
    assert error.encode()[5:] == body


@pytest.mark.parametrize("body", [b"", b"\0", b"M", b"MOnly a message\0\0", b"SERROR\0Mcut off"])
def test_an_error_without_sqlstate_is_completed(body: bytes) -> None:
    error = PgError.parse(body)
    assert error.sqlstate == "XX000"
    assert parse_fields(error.encode()[5:])["C"] == "XX000"


def test_lone_surrogates_are_encoded() -> None:
    assert b"M?\0" in PgError(Severity.ERROR, "XX000", "\ud800").encode()
    assert b"M\xff\0" in PgError(Severity.ERROR, "XX000", "\udcff").encode()


def test_pickles() -> None:
    error = pickle.loads(pickle.dumps(errors.wrong_password("app")))
    assert error.encode() == errors.wrong_password("app").encode()
    assert "28P01" in repr(error)


@pytest.mark.parametrize(
    ("error", "sqlstate", "text"),
    [
        (errors.tls_required(), "28000", "This RDS Proxy requires TLS connections."),
        (
            errors.no_credentials("app"),
            "28000",
            (
                "This RDS proxy has no credentials for the role app. Check the credentials for "
                "this role and try again."
            ),
        ),
        (
            errors.wrong_password("app"),
            "28P01",
            "The password that was provided for the role app is wrong.",
        ),
        (
            errors.borrow_timed_out(),
            "08000",
            "Timed-out waiting to acquire database connection.",
        ),
        (
            errors.too_many_clients(7),
            "53300",
            "The maximum number of client connections to the proxy exceeded 7.",
        ),
    ],
)
def test_rds_texts(error: PgError, sqlstate: str, text: str) -> None:
    assert (error.sqlstate, error.message) == (sqlstate, text)


def test_every_constructor_makes_an_error_that_reads_back() -> None:
    arguments = {int: 1, str: "x", str | None: None, Severity: Severity.FATAL}
    for name, function in inspect.getmembers(errors, inspect.isfunction):
        if name.startswith("_") or name == "parse_fields":
            continue
        kinds = [
            parameter.annotation for parameter in inspect.signature(function).parameters.values()
        ]
        error = function(*(arguments[kind] for kind in kinds))
        fields = parse_fields(error.encode()[5:])
        assert len(fields["C"]) == 5
        assert fields["M"] == error.message
