"""What the server makes of the names in a text, beyond what the lexer does."""

import re
from typing import Final

from forebay.sql.lexer import NAMES, Kind, Token

# PostgreSQL cuts longer identifiers (NAMEDATALEN - 1).
NAME_BYTES: Final = 63

_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]+")
_BEYOND_ASCII_AT_END: Final = re.compile(rb"[\x80-\xff]+\Z")


def as_understood(tokens: list[Token]) -> list[Token]:
    """The same tokens, with names as the server looks them up."""
    if any(len(token.value) > NAME_BYTES for token in tokens):
        tokens = [_cut(token) for token in tokens]
    if all(token.value.isascii() for token in tokens):
        return tokens
    return [_turkish(token) for token in tokens]


def _cut(token: Token) -> Token:
    """Cut a name that is too long.

    The server cuts between characters: which bytes are half of one depends on the encoding.
    """
    if len(token.value) <= NAME_BYTES:
        return token
    return token._replace(value=_BEYOND_ASCII_AT_END.sub(b"", token.value[:NAME_BYTES]))


def _turkish(token: Token) -> Token:
    """Read letters beyond ASCII in an unquoted name as i.

    A server with a Turkish single-byte locale folds the dotted capital I (one or two bytes, as the
    client's encoding has it) to a plain i: SET_CONF\u0130G names set_config there.
    """
    if token.kind is not Kind.WORD or token.value.isascii():
        return token
    return token._replace(value=_BEYOND_ASCII.sub(b"i", token.value))


def decoded(name: bytes) -> str:
    """A name as it is shown."""
    return name.decode(errors="replace")


def name_at(tokens: list[Token], index: int) -> str:
    """The last part of the name, possibly qualified, at ``index``; empty if there is none."""
    for _ in range(2):  # at most database.schema.name
        if index + 2 < len(tokens) and tokens[index + 1].value == b".":
            index += 2
    if index < len(tokens) and tokens[index].kind in NAMES:
        return decoded(tokens[index].value)
    return ""
