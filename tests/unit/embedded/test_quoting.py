"""Quoting names and texts."""

from forebay.embedded.quoting import identifier, literal


def test_quoting() -> None:
    assert identifier('a"b') == '"a""b"'
    assert literal("it's") == "'it''s'"
