"""No regular expression relies on what some Python that Forebay runs on gets wrong.

Before 3.11.5, `re` misread possessive quantifiers; before 3.13, groups that capture within them or
within atomic groups could be given wrong spans.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import forebay

ROOT = Path(forebay.__file__).parent
# What may stand before a `+` without being a quantifier is taken away first.
LITERAL = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
POSSESSIVE = re.compile(r"(?:[*+?]|\{\d*,?\d*\})\+")
SOURCES = sorted(path for path in ROOT.rglob("*") if path.suffix in (".py", ".pyx"))
STRING_PARTS = {
    getattr(tokenize, name)
    for name in ("STRING", "FSTRING_MIDDLE", "TSTRING_MIDDLE")
    if hasattr(tokenize, name)
}


def possessive(pattern: str) -> bool:
    return POSSESSIVE.search(LITERAL.sub("x", pattern)) is not None


def captures_within_atomic(pattern: str) -> bool:
    """Whether a group that captures stands in an atomic group."""
    text = LITERAL.sub("x", pattern)
    open_groups: list[bool] = []  # of each: whether it, or one around it, is atomic
    for mark in re.finditer(r"\(\?>|\(\?P<|\(\?|\(|\)", text):
        inside = bool(open_groups) and open_groups[-1]
        if mark[0] == ")":
            del open_groups[-1:]
            continue
        if inside and mark[0] in ("(", "(?P<"):
            return True
        open_groups.append(inside or mark[0] == "(?>")
    return False


def strings(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in STRING_PARTS and not token.string.startswith(('"""', 'r"""')):
            yield token.string


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_possessive_quantifier_and_no_capture_in_an_atomic_group(path: Path) -> None:
    found = [
        text
        for text in strings(path.read_text())
        if possessive(text) or captures_within_atomic(text)
    ]
    assert not found


@pytest.mark.parametrize("pattern", ["a*+", "a++", "a?+", "a{2}+", "a{2,}+", r"[a-z]*+b", r"\\++"])
def test_a_possessive_quantifier_is_found(pattern: str) -> None:
    assert possessive(pattern)


@pytest.mark.parametrize("pattern", ["a+", r"\++", "[*+]+", r"a\*+", "[^]*]+", "(?>a*)+", r"\?+"])
def test_what_looks_like_one_is_none(pattern: str) -> None:
    assert not possessive(pattern)


def test_a_capture_in_an_atomic_group_is_found() -> None:
    assert captures_within_atomic("(?>a(b))")
    assert captures_within_atomic("(?>a(?:x|(?P<name>b)))")
    assert not captures_within_atomic("(?>a(?:b))(c)")
