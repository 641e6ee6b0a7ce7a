"""What the first look lets through has no effect: for every text, setting and encoding."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.relay.scan.glance import ChunkedGlance, glance_text
from forebay.sql.effects import effects

from .sql_texts import any_text, valid_text

texts = st.one_of(
    any_text,
    any_text.map(lambda text: b"select " + text),
    any_text.map(lambda text: b"select 1;" + text + b" from t"),
    valid_text().map(str.encode),
)
LONG_WORD = re.compile(rb"[A-Za-z0-9_$]{64}")


def without_effects(text: bytes) -> bool:
    return not any(
        effects(text, standard_conforming_strings=conforming, ambiguous_encoding=ambiguous)
        for conforming in (True, False)
        for ambiguous in (True, False)
    )


def chunked(text: bytes, cuts: list[int]) -> bool:
    """The answer for the text in pieces that end at the given places."""
    glance = ChunkedGlance()
    position = 0
    for cut in sorted(min(cut, len(text)) for cut in cuts):
        glance.feed(text[position:cut])
        position = cut
    glance.feed(text[position:])
    return glance.finish()


@settings(max_examples=400)
@given(texts)
def test_what_passes_has_no_effect(text: bytes) -> None:
    if glance_text(text):
        assert without_effects(text)


@settings(max_examples=400)
@given(texts, st.lists(st.integers(0, 120), max_size=8))
def test_pieces_give_the_same_answer(text: bytes, cuts: list[int]) -> None:
    whole = glance_text(text)
    for answer in (chunked(text, cuts), chunked(text, list(range(len(text))))):
        # A word or number longer than what is carried over is left to the lexer.
        assert answer == whole or (whole and LONG_WORD.search(text))


@given(
    st.sampled_from([b"'", b'"', b" ", b"x", b"\xff", b"--", b"/*", b"1", b"\\", b"''", b'""']),
    st.integers(50, 200),
    any_text,
    st.lists(st.integers(0, 300), max_size=4),
)
def test_long_runs_in_pieces_are_never_let_through_by_mistake(
    piece: bytes, count: int, text: bytes, cuts: list[int]
) -> None:
    for whole in (b"select " + piece * count + text, b'select "' + piece * count + b'"' + text):
        if chunked(whole, cuts):
            assert glance_text(whole)
            assert without_effects(whole)
