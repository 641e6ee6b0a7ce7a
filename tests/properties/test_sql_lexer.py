"""The lexer against PostgreSQL's own scanner and parser (libpg_query)."""

import re

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.sql.digest import digest
from forebay.sql.effects import effects
from forebay.sql.lexer import Kind, Trouble, lex
from forebay.sql.split import segments, statements

from .sql_texts import any_text, near_sql, valid_text

_COMMENTED_BREAK = re.compile(rb"(\s|--[^\n\r]*)*[\n\r](\s|--[^\n\r]*)*")


def scanned(text: str) -> list[tuple[int, int]] | None:
    """Where PostgreSQL sees tokens, in bytes; None if it cannot read the text, or if libpg_query
    does not read it as PostgreSQL does: to it, a comment ends a string that goes on behind it."""
    try:
        answer = postgast.scan(text)
    except postgast.PgQueryError:
        return None
    kinds = postgast.pg_query_pb2.Token
    comments = (kinds.Value("SQL_COMMENT"), kinds.Value("C_COMMENT"))
    raw = text.encode()
    found: list[tuple[int, int]] = []
    for token in answer.tokens:
        if token.token not in comments:
            before = found[-1][1] if found else 0
            quotes = raw[before - 1 : before], raw[token.start : token.start + 1]
            if quotes == (b"'", b"'") and _COMMENTED_BREAK.fullmatch(raw, before, token.start):
                return None
            found.append((token.start, token.end))
    return found


def ours(text: str) -> list[tuple[int, int]]:
    """Where the lexer sees them, cut as PostgreSQL's scanner does."""
    raw = text.encode()
    found: list[tuple[int, int]] = []
    for kind, start, end, _ in lex(raw).tokens:
        if kind is Kind.NATIONAL_STRING:
            found += [(start, start + 1), (start + 1, end)]
        elif kind is Kind.UNICODE_NAME and raw[end - 1 : end] != b'"':
            close = raw.index(b'"', start + 3) + 1
            inner = lex(raw[close:end]).tokens
            found += [(start, close), *((close + t.start, close + t.end) for t in inner)]
        else:
            found.append((start, end))
    return found


@given(valid_text())
def test_same_tokens_as_postgresql(text: str) -> None:
    expected = scanned(text)
    assert expected is not None
    assert ours(text) == expected


@given(near_sql.map(bytes.decode))
def test_same_tokens_as_postgresql_where_it_can_read_near_sql(text: str) -> None:
    expected = scanned(text)
    if expected is None:
        return
    assert lex(text.encode()).trouble in (None, Trouble.STRAY_DOLLAR, Trouble.ESCAPE)
    if lex(text.encode()).trouble is None:
        assert ours(text) == expected


@given(valid_text())
def test_same_statements_as_postgresql(text: str) -> None:
    raw = text.encode()
    cut = [
        [raw[token.start : token.end] for token in statement]
        for statement in statements(lex(raw).tokens)
    ]
    expected = [
        [piece.encode()[token.start : token.end] for token in lex(piece.encode()).tokens]
        for piece in postgast.split(text)
    ]
    assert cut == expected


@given(any_text, st.booleans(), st.booleans())
def test_any_bytes_give_ordered_tokens(text: bytes, conforming: bool, ambiguous: bool) -> None:
    lexed = lex(text, standard_conforming_strings=conforming, ambiguous_encoding=ambiguous)
    position = 0
    for token in lexed.tokens:
        assert position <= token.start < token.end <= len(text)
        position = token.end
    for cut in (segments(lexed.tokens), statements(lexed.tokens)):
        assert all(cut)
    if any(token.kind is Kind.UNTERMINATED for token in lexed.tokens):
        assert lexed.trouble is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        *(
            b"'",
            b"''",
            b"'\n",
            b'"',
            b'""',
            b"$",
            b"$$",
            b"$a",
            b"/*",
            b"*/",
            b"-- \n",
            b"--",
            b"-",
        ),
        *(b"+-", b"+/", b"\\'", b"E'\\", b"E'\n'", b'U&"', b"'\n--\n", b"1_", b"1e", b"0x", b"a$"),
        *(b"/*/", b"(", b";", b"\x00", b"\xff", b"set_config(", b"create temp ", b"into ", b"/**/"),
        *(b"pg_temp.", b"nextval(", b"with hold ", b"U&\"a\" uescape '!' ", b"case ", b"' -- '\n"),
    ],
)
def test_long_repetitions_end(piece: bytes) -> None:
    # Anything worse than linear would not end within the test's time here.
    text = piece * (100_000 // len(piece))
    for prefix in (b"", b"'", b"E'", b"declare ", b"create function begin atomic "):
        effects(prefix + text)
        effects(prefix + text, standard_conforming_strings=False, ambiguous_encoding=True)
        digest(prefix + text)
