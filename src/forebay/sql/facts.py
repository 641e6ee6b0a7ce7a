"""What a text shows, all at once: it is lexed once, and its facts answer all questions.

Tokens are not kept, for they take many times the text's room; what is asked of a text is.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from forebay.sql.databases import NO_USE, DatabaseUse, databases_used, may_use_databases
from forebay.sql.effects import Command, Effect, Effects, effects_of
from forebay.sql.functions import KNOWN_FUNCTIONS, Functions
from forebay.sql.lexer import Token, Trouble, lex
from forebay.sql.names import as_understood
from forebay.sql.reading import STANDARD, Reading
from forebay.sql.reasons import Reason
from forebay.sql.sequences import asks, draws, may_ask
from forebay.sql.settings import word
from forebay.sql.split import segments, statements


@dataclass(frozen=True, slots=True)
class Facts:
    """What one text (one or more statements) shows to who reads it in one way."""

    text: bytes
    # What it does to the session, in order; empty: nothing.
    effects: Effects
    # Where its statements begin and end; empty if that is not certain.
    statements: tuple[tuple[int, int], ...] = ()
    # The number of the first statement that is a SET or RESET, or has one within it, even one that
    # ends with its transaction.
    first_set: int | None = None
    # The name, if the text is one DEALLOCATE of one prepared statement.
    deallocated: bytes | None = None
    # The databases that it needs for itself.
    databases: DatabaseUse = NO_USE
    # It asks for what its session has drawn from sequences; or may, as it cannot be read.
    asks: bool = False
    may_ask: bool = False
    # It draws from a sequence.
    draws: bool = False

    def statement(self, number: int) -> bytes:
        """Its statement of this number, from 0, without a semicolon; all of the text if there is
        none."""
        if b";" not in self.text or number >= len(self.statements):
            return self.text
        start, end = self.statements[number]
        return self.text[start:end]


def facts_of(
    text: bytes,
    reading: Reading = STANDARD,
    functions: Functions = KNOWN_FUNCTIONS,
    under_pg_temp: bool = False,
) -> Facts:
    """The facts of a text that the database reads by ``reading``. Never raises.

    ``functions`` says which calls matter, ``under_pg_temp`` that the search_path names pg_temp (see
    ``effects``).
    """
    lexed = lex(
        text,
        standard_conforming_strings=reading.standard_conforming_strings,
        ambiguous_encoding=reading.is_ambiguous,
    )
    parts = statements(as_understood(lexed.tokens))
    effects = effects_of(lexed, parts, functions, under_pg_temp)
    is_cut = lexed.trouble in (None, Trouble.ENCODING)
    asking = asks(effects)
    is_unreadable = any(effect.reason is Reason.UNREADABLE for effect in effects)
    return Facts(
        text,
        effects,
        tuple((part[0].start, part[-1].end) for part in parts) if is_cut else (),
        _first_set(parts),
        _deallocated(effects, parts),
        databases_used(lexed, reading) if may_use_databases(text) else NO_USE,
        asking,
        asking or (is_unreadable and may_ask(text)),
        draws(effects),
    )


def too_long(text: bytes) -> Facts:
    """The facts of a text that is not read. (Of which as much is given as is to be told.)"""
    return Facts(text, _TOO_LONG)


_TOO_LONG: Final = (Effect(Reason.TOO_LONG),)


def _first_set(parts: list[list[Token]]) -> int | None:
    for number, statement in enumerate(parts):
        if any(word(part, 0) in (b"set", b"reset") for part in segments(statement)):
            return number
    return None


def _deallocated(effects: Effects, parts: list[list[Token]]) -> bytes | None:
    if len(effects) != 1 or len(parts) != 1:
        return None
    detail = effects[0].detail
    if not isinstance(detail, Command) or detail.command != "DEALLOCATE" or not detail.name:
        return None
    alone = len(segments(parts[0])) == 1
    return detail.name.encode(errors="surrogateescape") if alone else None


class FactsCache:
    """Remembers the facts of texts, the least recently used out first.

    At most ``max_entries`` texts are kept, together at most ``max_text_bytes`` long; a text longer
    than an eighth of that is never kept, so that one text cannot push out many.
    """

    __slots__ = ("_entries", "_functions", "_max_entries", "_max_text_bytes", "_text_bytes")

    def __init__(
        self,
        max_entries: int = 4096,
        max_text_bytes: int = 4 << 20,
        functions: Functions = KNOWN_FUNCTIONS,
    ) -> None:
        self._functions = functions
        self._entries: OrderedDict[tuple[bytes, Reading, bool], Facts] = OrderedDict()
        self._max_entries = max_entries
        self._max_text_bytes = max_text_bytes
        self._text_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def text_bytes(self) -> int:
        """The length of all texts kept, together."""
        return self._text_bytes

    def facts(self, text: bytes, reading: Reading = STANDARD, under_pg_temp: bool = False) -> Facts:
        """What ``facts_of`` answers for the same arguments, and the functions of this cache."""
        key = (text, reading, under_pg_temp)
        known = self._entries.get(key)
        if known is not None:
            self._entries.move_to_end(key)
            return known
        found = facts_of(text, reading, self._functions, under_pg_temp)
        if len(text) <= self._max_text_bytes // 8:
            self._entries[key] = found
            self._text_bytes += len(text)
            while len(self._entries) > self._max_entries or self._text_bytes > self._max_text_bytes:
                (oldest, _, _), _ = self._entries.popitem(last=False)
                self._text_bytes -= len(oldest)
        return found
