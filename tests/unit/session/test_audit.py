"""What the database tells of a session is read as it means it."""

import base64

import pytest

from forebay.session.audit import read_audit
from forebay.session.causes import PinReason
from forebay.session.settings import quote_identifier, quote_literal


def test_settings_and_causes() -> None:
    rows = [["", "TimeZone", "UTC"], ["LISTEN", "", ""], ["", "transaction_isolation", "x"]]
    assert read_audit(rows) == ((("timezone", "UTC"),), frozenset({PinReason.LISTEN}))


def test_what_no_client_encoding_can_spoil() -> None:
    value = "名" * 100
    encoded = base64.encodebytes(value.encode()).decode()  # in lines, as PostgreSQL does it
    name = base64.encodebytes("my.Größe".encode()).decode()
    assert read_audit([["BASE64", name, encoded]]) == ((("my.größe", value),), frozenset())


@pytest.mark.parametrize(
    "row", [["", "a"], ["", None, "b"], ["WHAT", "", ""], ["BASE64", "a", "b"]]
)
def test_what_is_no_answer(row: list[str | None]) -> None:
    with pytest.raises(ValueError):
        read_audit([row])


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", "'plain'"),
        ("it's", "'it''s'"),
        ("back\\slash", r"E'back\\slash'"),
        ("ä'\\", r"E'\U000000e4''\\'"),
        ("😀", r"E'\U0001f600'"),
        ("\udcff'", r"E'\xff'''"),
        ("\udc81\\'0", r"E'\x81\\''0'"),
        ("ä\udcff", r"E'\xc3\xa4\xff'"),
    ],
)
def test_literals_mean_the_same_in_every_session(value: str, literal: str) -> None:
    assert quote_literal(value) == literal


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("work_mem", '"work_mem"'),
        ('my.o"wn', '"my"."o""wn"'),
        ("my.größe", r'"my".U&"gr\+0000f6\+0000dfe"'),
        ('my.😀"\\', r'"my".U&"\+01f600""\\"'),
    ],
)
def test_identifiers_too(name: str, identifier: str) -> None:
    assert quote_identifier(name) == identifier
