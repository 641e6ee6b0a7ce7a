"""The look that is taken at each start at how the interpreter reads SQL sees what goes wrong."""

import platform
import re

import pytest

from forebay.sql import lexer, literals
from forebay.sql.known_answers import MisreadError, misread, require_right_reading

NEVER = rb"(?!)"


def test_nothing_is_misread() -> None:
    assert misread() == []
    require_right_reading()


@pytest.mark.parametrize("kind", lexer.Kind)
def test_every_kind_of_token_is_asked_for(
    kind: lexer.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = list(lexer._groups(lexer._PLAIN_BODY))
    groups[kind - 1] = NEVER
    monkeypatch.setattr(lexer, "_CONFORMING", lexer._master(tuple(groups)))
    assert misread()


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (rb"--[^\n\r]*", NEVER),  # comments
        (rb"--[^\n\r]*", rb"--[^\n]*"),
        (rb"|/(?!\*))", b")"),
        (lexer._SPACE, b""),
        (literals.CONTINUATION, NEVER),
        (rb"(?:--[^\n\r]*|)[\n\r]", rb"[\n\r]"),
        (rb"|--[^\n\r]*[\n\r]", b""),
        (literals.INSIDE_PLAIN, rb"[^']*"),
        (literals.INSIDE_ESCAPE, literals.INSIDE_PLAIN),
        (rb"''|\\.", rb"\\."),
        (rb'""', NEVER),
        (lexer._START, rb"[A-Za-z]"),
        (rb"(?![eEbBxXnN]'|[uU]&['\"])", b""),
        (rb"0[xX]_?", NEVER),
        (rb"0[oO]_?", NEVER),
        (rb"0[bB]_?", NEVER),
        (rb"(?=_)", NEVER),
        (rb"\.(?!\.)", rb"\."),
        (rb"[eE][+-]?", NEVER),
        (rb")(?![A-Za-z_\x80-\xff])", rb")"),
        (rb"-(?!-)", b"-"),
        (rb"/(?!\*)", b"/"),
        (rb"{1,250}))+)", rb"{1,250})))"),
    ],
)
def test_every_part_is_asked_for(
    part: bytes, instead: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = lexer._CONFORMING.pattern
    assert part in right
    wrong = re.compile(right.replace(part, instead), re.DOTALL)
    monkeypatch.setattr(lexer, "_CONFORMING", wrong)
    assert misread()


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        (lexer, "_BACKSLASHED", lexer._CONFORMING),
        (lexer, "_COMMENT_EDGE", re.compile(rb"\*/")),
        (literals, "_PLAIN_PART", re.compile(rb"\A'((?:[^']|'')*)'")),
        (literals, "_ESCAPE_PART", re.compile(rb"\A'((?:[^'\\]|''|\\.)*)'", re.DOTALL)),
        (literals, "_ESCAPE", re.compile(rb"(a)(b)(c)(d)(e)")),
    ],
)
def test_every_other_pattern_is_asked_for(
    module: object, name: str, instead: re.Pattern[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, instead)
    assert misread()


def test_the_error_names_the_python_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexer, "_CONFORMING", re.compile(NEVER))
    with pytest.raises(MisreadError) as caught:
        require_right_reading()
    assert f"Python {platform.python_version()}" in str(caught.value)
    assert "3.11.5 or later" in str(caught.value)
