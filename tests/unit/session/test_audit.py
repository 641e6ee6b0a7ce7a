"""What the database tells of a session is read as it means it."""

import base64

import pytest

from forebay.session.audit import FEW, audit_query, read_audit
from forebay.session.causes import PinReason


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


def test_what_is_asked_for() -> None:
    plain = audit_query("it's", frozenset(), frozenset()).decode()
    assert "'it''s'::pg_catalog.name" in plain
    assert "LISTEN" not in plain
    custom = audit_query("u", frozenset({PinReason.LISTEN}), frozenset({"a.b"})).decode()
    assert "current_setting('a.b', true)" in custom
    assert "'LISTEN', '', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_listening" in custom


def test_causes_that_last_are_not_asked_for() -> None:
    lasting = frozenset({PinReason.LOAD, PinReason.SETTING})
    assert audit_query("u", lasting, frozenset()) == audit_query("u", frozenset(), frozenset())


def test_a_query_with_many_names_is_not_kept() -> None:
    many = frozenset(f"a.b{number}" for number in range(FEW + 1))
    assert audit_query("u", frozenset(), many) is not audit_query("u", frozenset(), many)
    few = frozenset({"a.b"})
    assert audit_query("u", frozenset(), few) is audit_query("u", frozenset(), few)
