"""What a statement does to the session that runs it, as far as its text shows.

A session here is the server's: found is what outlives the statement, if only until its transaction
ends, and might be seen by the next client on the same connection. What the text cannot show (a
function that changes settings in its body, a serial column's default) is not found, unless the
operator has listed the function.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from forebay.sql.functions import KNOWN_FUNCTIONS, Functions
from forebay.sql.lexer import NAMES, STRINGS, Kind, Lexed, Token, lex, string_value
from forebay.sql.names import as_understood, decoded, name_at
from forebay.sql.reasons import Reason
from forebay.sql.settings import (
    SettingChange,
    reset_change,
    set_config_change,
    setting_change,
    word,
)
from forebay.sql.split import segments, statements
from forebay.sql.temporary import (
    TEMPORARY_SCHEMA,
    Creation,
    TemporaryObject,
    creation,
    in_temporary_schema,
    said_temporary,
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function; ``function`` without its schema. ``listed``: by the operator.
    ``stored``: it is only named, in the definition of a table (a column's default, say)."""

    function: str
    listed: bool = False
    stored: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command (LISTEN, DEALLOCATE ...) and what it names, lower-cased unless quoted.

    ``body``: of DO, all of the statement, which is code.
    """

    command: str
    name: str
    body: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor that is declared; without ``hold`` it ends with its transaction."""

    name: str
    hold: bool


# Where strings end depends on these.
HOW_TEXT_IS_READ: Final = frozenset({"standard_conforming_strings", "client_encoding"})
# SET of it is a call of setseed, for the rest of the session.
SEED: Final = "seed"

Detail = SettingChange | Call | Command | Cursor | TemporaryObject | Creation


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a text does to the session; ``statement`` counts the text's from 0."""

    reason: Reason
    detail: Detail | None = None
    statement: int = 0

    @property
    def is_contained(self) -> bool:
        """Whether the effect ends with its transaction, and nothing that comes before that end
        depends on it: a cursor, or a local change of a setting that does not decide how text is
        read. A temporary table is not contained, as it may hide what others have.

        Nor is a local RESET: what it takes the setting back to depends on how the session began.
        """
        detail = self.detail
        if isinstance(detail, Cursor):
            return not detail.hold
        if not isinstance(detail, SettingChange) or not detail.local or detail.names_pg_temp:
            return False
        return detail.name not in HOW_TEXT_IS_READ | {SEED} and (
            detail.value is not None or not detail.exact
        )

    @property
    def ends_with_transaction(self) -> bool:
        """Whether nothing of it is left after COMMIT or ROLLBACK."""
        if isinstance(self.detail, TemporaryObject):
            return self.detail.on_commit_drop
        return self.is_contained


Effects = tuple[Effect, ...]

_MAY_UPDATE: Final = (b"update", b"with", b"explain")
_CLAUSES: Final = frozenset({b"create", b"into", b"execute"})


def effects(
    text: str | bytes,
    *,
    standard_conforming_strings: bool = True,
    ambiguous_encoding: bool = False,
    functions: Functions = KNOWN_FUNCTIONS,
    under_pg_temp: bool = False,
) -> Effects:
    """What ``text`` (one or more statements) does to the session, in order; empty: nothing.

    ``functions`` says which calls matter, ``under_pg_temp`` that the search_path names pg_temp, so
    that more may be created there. The other keywords are those of ``lexer.lex``. Never raises. A
    text that cannot be read with certainty has the one effect UNREADABLE.
    """
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    lexed = lex(
        raw,
        standard_conforming_strings=standard_conforming_strings,
        ambiguous_encoding=ambiguous_encoding,
    )
    return effects_of(lexed, statements(as_understood(lexed.tokens)), functions, under_pg_temp)


def effects_of(
    lexed: Lexed, parts: list[list[Token]], functions: Functions, under_pg_temp: bool
) -> Effects:
    """As ``effects``, of a text that is lexed already, and cut into statements of tokens as they
    are understood."""
    if lexed.trouble is not None:
        return (Effect(Reason.UNREADABLE),)
    watched = functions.names | _CLAUSES
    found: dict[Effect, None] = {}
    for number, statement in enumerate(parts):
        # A semicolon within a statement is that of a rule or a function body, whose parts change
        # no session; looking at each as if it were a statement is safe whatever the nesting is.
        nested = lexed.text.find(b";", statement[0].start, statement[-1].end) >= 0
        for part in segments(statement) if nested else (statement,):
            of_part = _of_statement(lexed, part, functions, watched)
            for reason, detail in of_part + _creation(part, of_part, under_pg_temp):
                found[Effect(reason, detail, number)] = None
    return tuple(found)


Found = list[tuple[Reason, Detail | None]]


def _of_statement(
    lexed: Lexed, tokens: list[Token], functions: Functions, watched: frozenset[bytes]
) -> Found:
    found: Found = []
    command = _COMMANDS.get(word(tokens, 0))
    if command is not None:
        found += command(lexed, tokens)
        if command is _do:
            found += _in_body(lexed, tokens, functions)
    # Once for a statement: it may have thousands of calls.
    stored = _is_definition(tokens)
    updates = functools.cache(lambda: _updates(tokens))
    for index, token in enumerate(tokens):
        value = token.value
        if value == b"pg_settings" and word(tokens, 0) in _MAY_UPDATE and updates():
            # The view takes UPDATE as set_config takes its arguments.
            found.append((Reason.SETTING, SettingChange("set_config", "", None, exact=False)))
        elif value in watched:
            if value in functions.names:
                found += _call(lexed, tokens, index, functions, stored)
            if value in _CLAUSES and token.kind is Kind.WORD:
                found += _clause(tokens, index)
        elif value.startswith(TEMPORARY_SCHEMA):
            found += map(_made, in_temporary_schema(tokens, index))
    return found


def _made(detail: TemporaryObject | Creation) -> tuple[Reason, Detail | None]:
    said = isinstance(detail, TemporaryObject)
    return Reason.TEMPORARY_OBJECT if said else Reason.CREATION, detail


def _creation(tokens: list[Token], found: Found, under_pg_temp: bool) -> Found:
    """What the statement creates, unless it is known already that this is temporary."""
    if any(reason is Reason.TEMPORARY_OBJECT for reason, _ in found):
        return []
    made = creation(tokens, under_pg_temp)
    return [] if made is None else [_made(made)]


def _clause(tokens: list[Token], index: int) -> Found:
    """CREATE TEMP ..., SELECT ... INTO TEMP, CREATE TABLE ... AS EXECUTE, EXPLAIN EXECUTE."""
    if tokens[index].value != b"execute":
        made = said_temporary(tokens, index)
        return [] if made is None else [_made(made)]
    first = word(tokens, 0)
    before = word(tokens, index - 1) if index else b""
    if first == b"explain" or (first == b"create" and before == b"as"):
        return [(Reason.PREPARE, Command("EXECUTE", name_at(tokens, index + 1)))]
    return []


def _updates(tokens: list[Token]) -> bool:
    return any(token.value == b"update" and token.kind is Kind.WORD for token in tokens)


def _call(
    lexed: Lexed, tokens: list[Token], index: int, functions: Functions, stored: bool
) -> Found:
    """A watched function's name: is it called here? `stored`: not by this statement, but by what it
    defines."""
    token = tokens[index]
    if token.kind not in NAMES or index + 1 >= len(tokens) or tokens[index + 1].value != b"(":
        return []
    known, listed = functions.called(_schema(tokens, index), token.value)
    name = decoded(token.value)
    stored = stored and Reason.SEQUENCE in (known, *listed)
    found: Found = [(reason, Call(name, listed=True, stored=stored)) for reason in listed]
    if known is Reason.SETTING:
        change = set_config_change(lexed.text, tokens, index + 1, lexed.standard_conforming_strings)
        found.append((known, change))
    elif known is not None:
        found.append((known, Call(name, stored=stored)))
    return found


def _is_definition(tokens: list[Token]) -> bool:
    """Whether a statement defines something, and runs no query: CREATE TABLE ... DEFAULT nextval(),
    but not CREATE TABLE ... AS SELECT nextval(). (Of what is altered no default is computed, unless
    a column is added.)"""
    first = word(tokens, 0)
    if first == b"alter":
        return all(token.value != b"add" for token in tokens)
    return first == b"create" and all(token.value != b"as" for token in tokens)


def _schema(tokens: list[Token], index: int) -> bytes:
    """The schema that is written before the name at ``index``, or nothing."""
    if index >= 2 and tokens[index - 1].value == b"." and tokens[index - 2].kind in NAMES:
        return tokens[index - 2].value
    return b""


def _in_body(lexed: Lexed, tokens: list[Token], functions: Functions) -> Found:
    """The listed functions that the body of a DO names: it is code, and not read as SQL. If its
    words may be others than those that are written, nothing is certain."""
    found: Found = [
        (reason, Call(decoded(name), listed=True))
        for reason, name in functions.named_in(_text_of(lexed, tokens))
    ]
    if any(token.kind in STRINGS and not _is_as_written(lexed, token) for token in tokens):
        found.append((Reason.UNREADABLE, None))
    return found


def _is_as_written(lexed: Lexed, token: Token) -> bool:
    """Whether code in a string has no word in escapes or pieces."""
    value = string_value(lexed.text, token, lexed.standard_conforming_strings)
    if value is None or b'u&"' in value.lower():
        return False
    quoted = lexed.text[token.start : token.end].partition(b"'")[2][:-1]
    return token.kind is Kind.DOLLAR_STRING or value == quoted.replace(b"''", b"'")


def _set(lexed: Lexed, tokens: list[Token]) -> Found:
    change = setting_change(lexed.text, tokens)
    return [] if change is None else [(Reason.SETTING, change)]


def _reset(_lexed: Lexed, tokens: list[Token]) -> Found:
    return [(Reason.SETTING, reset_change(tokens))]


def _prepare(_lexed: Lexed, tokens: list[Token]) -> Found:
    if word(tokens, 1) == b"transaction" and len(tokens) > 2 and tokens[2].kind in STRINGS:
        return []
    return [(Reason.PREPARE, Command("PREPARE", name_at(tokens, 1)))]


def _deallocate(_lexed: Lexed, tokens: list[Token]) -> Found:
    named = 2 if word(tokens, 1) == b"prepare" and len(tokens) > 2 else 1
    command = "DEALLOCATE ALL" if word(tokens, named) == b"all" else "DEALLOCATE"
    name = name_at(tokens, named) if command == "DEALLOCATE" else ""
    return [(Reason.PREPARE, Command(command, name))]


def _declare(_lexed: Lexed, tokens: list[Token]) -> Found:
    hold = any(
        word(tokens, index) == b"with" and word(tokens, index + 1) == b"hold"
        for index in range(2, len(tokens) - 1)
    )
    return [(Reason.CURSOR, Cursor(name_at(tokens, 1), hold))]


def _do(lexed: Lexed, tokens: list[Token]) -> Found:
    return [(Reason.DO_BLOCK, Command("DO", name_at(tokens, 1), _text_of(lexed, tokens)))]


def _text_of(lexed: Lexed, tokens: list[Token]) -> bytes:
    return lexed.text[tokens[0].start : tokens[-1].end]


def _plain(reason: Reason) -> Callable[[Lexed, list[Token]], Found]:
    """A command that is always reported, with the name behind it."""

    def found(_lexed: Lexed, tokens: list[Token]) -> Found:
        return [(reason, Command(decoded(tokens[0].value).upper(), name_at(tokens, 1)))]

    return found


_COMMANDS: Final[dict[bytes, Callable[[Lexed, list[Token]], Found]]] = {
    b"set": _set,
    b"reset": _reset,
    b"prepare": _prepare,
    b"execute": _plain(Reason.PREPARE),
    b"deallocate": _deallocate,
    b"declare": _declare,
    b"listen": _plain(Reason.LISTEN),
    b"unlisten": _plain(Reason.LISTEN),
    b"load": _plain(Reason.LOAD),
    b"discard": _plain(Reason.DISCARD),
    b"do": _do,
}
