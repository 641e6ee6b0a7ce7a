"""Names that clients have chosen, where they are told."""

from hypothesis import given
from hypothesis import strategies as st

from forebay.metrics.labels import MAX_CHARACTERS, ascii_only, clean, escaped

ANY = st.text(st.characters(), max_size=300)


@given(ANY)
def test_a_name_can_be_written_and_is_not_too_long(name: str) -> None:
    assert len(clean(name).encode()) <= 6 * MAX_CHARACTERS


def test_what_is_not_utf8_is_escaped() -> None:
    assert clean("caf\udce9") == "caf\\udce9"
    assert clean("café") == "café"


def test_what_would_end_a_label_is_escaped() -> None:
    assert escaped('a"b\\c\nd') == 'a\\"b\\\\c\\nd'


@given(ANY)
def test_a_dimension_is_printable_ascii(name: str) -> None:
    value = ascii_only(name)
    assert value.isascii()
    assert value.isprintable()
    assert value.strip()
    assert len(value) <= 1024 + 300  # escapes of ten characters, were all beyond the first plane


def test_names_without_characters_have_a_dimension() -> None:
    assert ascii_only("") == ascii_only("  ") == "-"
    assert ascii_only("é\n") == "\\xe9\\x0a"
