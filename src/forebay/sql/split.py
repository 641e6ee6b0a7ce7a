"""Where one statement of a text ends and the next begins."""

from typing import Final

from forebay.sql.lexer import Kind, Token

_OPERANDS: Final = (
    *(Kind.NUMBER, Kind.PARAMETER, Kind.QUOTED_NAME, Kind.UNICODE_NAME, Kind.STRING),
    *(Kind.ESCAPE_STRING, Kind.DOLLAR_STRING, Kind.BIT_STRING),
)


def segments(tokens: list[Token]) -> list[list[Token]]:
    """Cut at every semicolon, whatever it stands in; no segment is empty."""
    found: list[list[Token]] = []
    current: list[Token] = []
    for token in tokens:
        if token.value == b";" and token.kind is Kind.PUNCTUATION:
            if current:
                found.append(current)
                current = []
        else:
            current.append(token)
    if current:
        found.append(current)
    return found


def statements(tokens: list[Token]) -> list[list[Token]]:
    """Cut at the semicolons between statements; no statement is empty.

    A semicolon within parentheses belongs to the actions of a rule, one between BEGIN ATOMIC and
    its END to the body of a function. As in psql, a column label ``case`` without AS in such a body
    can be taken for the keyword.
    """
    found: list[list[Token]] = []
    current: list[Token] = []
    depth = 0  # of parentheses
    blocks = 0  # BEGIN ATOMIC and the CASEs open within it
    for token in tokens:
        value = token.value
        if token.kind is Kind.PUNCTUATION:
            if value == b";" and depth == 0 and blocks == 0:
                if current:
                    found.append(current)
                    current = []
                continue
            if value == b"(":
                depth += 1
            elif value == b")" and depth:
                depth -= 1
        elif token.kind is Kind.WORD:
            if blocks:
                blocks += _block_change(value, current[-1], blocks)
            elif value == b"atomic" and current and current[0].value == b"create":
                blocks = 1 if current[-1].value == b"begin" else 0
        current.append(token)
    if current:
        found.append(current)
    return found


def _block_change(word: bytes, before: Token, blocks: int) -> int:
    """How a word within BEGIN ATOMIC changes the number of blocks that are open."""
    if word == b"case":
        label = before.kind in _OPERANDS or before.value in (b"as", b".", b")", b"]")
        return 0 if label else 1
    if word == b"end" and before.value not in (b"as", b"."):
        # The body's own END comes first or behind a semicolon; any other at that level is a label.
        return -1 if blocks > 1 or before.value in (b";", b"atomic") else 0
    return 0
