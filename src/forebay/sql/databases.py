"""Which databases a text needs for itself.

PostgreSQL drops, renames, moves and copies only those to which nobody else is connected.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from forebay.sql.lexer import NAMES, Kind, Lexed, Token, string_value
from forebay.sql.names import NAME_BYTES
from forebay.sql.reading import Reading, in_utf8
from forebay.sql.settings import word
from forebay.sql.split import statements

# What CREATE DATABASE copies if it is not told.
DEFAULT_TEMPLATE: Final = b"template1"

_COMMANDS: Final = (b"drop", b"alter", b"create")
_VALUES: Final = NAMES | {Kind.STRING, Kind.ESCAPE_STRING, Kind.UNICODE_STRING, Kind.DOLLAR_STRING}


class DatabaseUse(NamedTuple):
    """Databases by their names as PostgreSQL keeps them, in UTF-8."""

    alone: frozenset[bytes] = frozenset()  # nobody else may be connected to these
    made: frozenset[bytes] = frozenset()  # these are there afterwards, as they were not before

    @property
    def names(self) -> frozenset[bytes]:
        return self.alone | self.made


NO_USE: Final = DatabaseUse()


def cut(name: bytes) -> bytes:
    """A name as PostgreSQL keeps it: at most 63 bytes, in whole characters."""
    if len(name) <= NAME_BYTES:
        return name
    return name[:NAME_BYTES].decode(errors="ignore").encode()


def may_use_databases(text: bytes) -> bool:
    """Whether it is worth while to read a text for this: most have not the words."""
    lowered = text.lower()
    before = lowered.rfind(b"database")
    return before > 0 and any(lowered.find(command, 0, before) >= 0 for command in _COMMANDS)


def databases_used(lexed: Lexed, reading: Reading) -> DatabaseUse:
    """What a text (one or more statements) does to databases. Never raises.

    What PostgreSQL refuses anyhow needs nothing: it drops, makes and moves databases only in a text
    of one statement.
    """
    if lexed.trouble is not None:
        return NO_USE
    parts = statements(lexed.tokens)
    alone: set[bytes] = set()
    made: set[bytes] = set()
    for tokens in parts:
        use = _Statement(lexed.text, tokens, reading).use()
        is_rename = word(tokens, 0) == b"alter" and bool(use.made)
        if is_rename or len(parts) == 1:
            alone |= use.alone
            made |= use.made
    return DatabaseUse(frozenset(alone), frozenset(made))


class _Statement:
    """One statement, read from its beginning."""

    def __init__(self, text: bytes, tokens: list[Token], reading: Reading) -> None:
        self._text = text
        self._tokens = tokens
        self._reading = reading

    def use(self) -> DatabaseUse:
        if self._word(1) != b"database":
            return NO_USE
        command = self._word(0)
        if command == b"drop":
            exists = self._word(2) == b"if" and self._word(3) == b"exists"
            return DatabaseUse(self._name(4 if exists else 2))
        if command == b"alter":
            return self._alter()
        if command == b"create":
            return self._create()
        return NO_USE

    def _alter(self) -> DatabaseUse:
        following = self._word(3), self._word(4)
        if following == (b"rename", b"to"):
            return DatabaseUse(self._name(2), self._name(5))
        if following == (b"set", b"tablespace") and len(self._tokens) == 6:
            return DatabaseUse(self._name(2))
        return NO_USE

    def _create(self) -> DatabaseUse:
        made = self._name(2)
        template = frozenset({DEFAULT_TEMPLATE})
        for name, at in self._options(4 if self._word(3) == b"with" else 3):
            if name == b"template" and self._word(at) != b"default":
                template = self._name(at)
        return DatabaseUse(template, made) if made else NO_USE

    def _options(self, at: int) -> Iterator[tuple[bytes, int]]:
        """The options of CREATE DATABASE from a place on: each with the place of its value."""
        tokens = self._tokens
        while at < len(tokens):
            name = self._word(at)
            at += 2 if (name, self._word(at + 1)) == (b"connection", b"limit") else 1
            while at < len(tokens) and tokens[at].kind is Kind.OPERATOR:
                at += 1  # = and signs
            yield name, at
            at += 1

    def _word(self, index: int) -> bytes:
        return word(self._tokens, index)

    def _name(self, index: int) -> frozenset[bytes]:
        """The name of a database, as a word or a string; nothing if there is none."""
        if index >= len(self._tokens) or self._tokens[index].kind not in _VALUES:
            return frozenset()
        token = self._tokens[index]
        if token.kind is Kind.UNICODE_NAME:
            return frozenset({cut(token.value)})  # is in UTF-8 whatever the encoding is
        value: bytes | None = token.value
        if token.kind not in NAMES:
            conforming = self._reading.standard_conforming_strings
            value = string_value(self._text, token, conforming)
        known = None if value is None else in_utf8(value, self._reading)
        return frozenset() if known is None else frozenset({cut(known)})
