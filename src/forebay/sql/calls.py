"""Which functions a text calls whose bodies nobody here knows: not PostgreSQL's own, not listed.

A parenthesis behind a name is a call, or the columns of a table, the modifiers of a type, or one of
many clauses; what stands before the name tells which. Where that is not certain it is taken for no
call: this is for telling people, not for deciding what pins. Definitions (CREATE TABLE ... DEFAULT
f(), ALTER, the bodies of functions) are not looked into.
"""

from collections.abc import Iterator
from typing import Final

from forebay.sql.functions import KNOWN_FUNCTIONS, FunctionName, Functions
from forebay.sql.lexer import NAMES, STRINGS, Kind, Lexed, Token, lex, string_value
from forebay.sql.names import as_understood
from forebay.sql.own_functions import OWN_FUNCTIONS
from forebay.sql.settings import word
from forebay.sql.split import segments, statements

_OWN_SCHEMAS: Final = (b"pg_catalog", b"information_schema")
# Unquoted, these are keywords that no function can have as its name, or that stand before a
# parenthesis in PostgreSQL's grammar.
_NEVER_CALLED: Final = frozenset(
    b"""
    all analyse analyze and any array as asc assert asymmetric authorization between bigint binary
    bit boolean both by case cast char character check coalesce collate column concurrently
    conflict constraint create cross cube dec decimal default deferrable delete desc distinct do
    else elseif elsif end except exclude execute exists explain extract false fetch float for
    foreign freeze from full grant greatest group grouping groups having if ilike in initially
    inner inout insert int integer intersect interval into is isnull join json json_array
    json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
    json_table json_value lateral leading least like limit materialized merge_action national
    natural nchar next none normalize not notnull null nullif numeric offset on only operator or
    order out outer over overlay passing perform placing position precision primary query real
    recursive references return returning rollup row rows select set setof similar smallint some
    substring symmetric table tablesample then time timestamp to trailing treat trim true union
    unique update user using values varchar variadic verbose when where while window with
    xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
    xmlserialize xmltable
    """.split()
)
# Words behind which an expression, or a function in FROM, can begin. (The name behind any other
# word is an alias, or what the statement works on.)
_BEFORE_A_CALL: Final = frozenset(
    b"""
    all analyze and any assert between both by call case distinct else elseif elsif escape except
    exists for from having if ilike in intersect is join lateral leading like limit next not
    offset on or perform placing query return returning select similar some symmetric then to
    trailing union using values variadic when where while zone
    """.split()
)
# The first words of statements that compute something when they run.
_COMPUTING: Final = frozenset(
    b"select insert update delete merge with values call explain declare prepare execute".split()
)
# What follows the parenthesis of WITH name (...) AS.
_OF_COMMON_TABLES: Final = frozenset(
    b"select insert update delete merge values table with (".split()
)
_DEFINING: Final = frozenset(b"create alter drop grant revoke comment copy".split())


def unknown_calls(
    text: bytes,
    functions: Functions = KNOWN_FUNCTIONS,
    *,
    standard_conforming_strings: bool = True,
) -> tuple[FunctionName, ...]:
    """The functions that a text (one or more statements) calls of which nothing is known.

    Each once, in order; ``schema`` is empty if the text does not name it. ``functions`` says which
    are listed. The body of a DO counts, if it is one string. Never raises.
    """
    lexed = lex(text, standard_conforming_strings=standard_conforming_strings)
    found: dict[FunctionName, None] = {}
    for statement in statements(as_understood(lexed.tokens)):
        for called in _of_statement(lexed, statement):
            if not _is_known(called, functions):
                found[called] = None
    return tuple(found)


def _is_known(called: FunctionName, functions: Functions) -> bool:
    own = called.schema in _OWN_SCHEMAS or (not called.schema and called.name in OWN_FUNCTIONS)
    return own or functions.lists(*called)


def _of_statement(lexed: Lexed, tokens: list[Token]) -> Iterator[FunctionName]:
    first = word(tokens, 0)
    if first == b"do":
        yield from _in_body(lexed, tokens)
    elif first in _COMPUTING or tokens[0].value == b"(":
        yield from _calls(lexed.text, tokens)
    elif first == b"copy" and len(tokens) > 1 and tokens[1].value == b"(":
        yield from _calls(lexed.text, tokens[1 : _pairs(tokens).get(1, len(tokens))])
    elif first == b"create":
        yield from _calls(lexed.text, tokens[_query_of_creation(tokens) :])


def _query_of_creation(tokens: list[Token]) -> int:
    """Where the query of CREATE TABLE ... AS begins, or of a materialized view; behind the end if
    there is none."""
    leading = {word(tokens, index) for index in range(1, 4)}
    if not leading & {b"table", b"materialized"}:
        return len(tokens)
    depth = 0
    for index, token in enumerate(tokens):
        depth += {b"(": 1, b")": -1}.get(token.value, 0)
        if depth == 0 and token.kind is Kind.WORD and token.value == b"as":
            return index + 1
    return len(tokens)


def _in_body(lexed: Lexed, tokens: list[Token]) -> Iterator[FunctionName]:
    """The calls in the code of a DO, which is read as SQL: PL/pgSQL has the same tokens."""
    for token in tokens:
        if token.kind not in STRINGS:
            continue
        body = string_value(lexed.text, token, lexed.standard_conforming_strings)
        if body is None:
            continue
        inner = lex(body, standard_conforming_strings=lexed.standard_conforming_strings)
        for part in segments(as_understood(inner.tokens)):
            if not any(each.kind is Kind.WORD and each.value in _DEFINING for each in part):
                yield from _calls(body, part)


def _calls(text: bytes, tokens: list[Token]) -> Iterator[FunctionName]:
    pairs = _pairs(tokens)
    for index in range(1, len(tokens)):
        token = tokens[index - 1]
        if tokens[index].value != b"(" or token.kind not in NAMES:
            continue
        start = index - 1
        while start >= 2 and tokens[start - 1].value == b"." and tokens[start - 2].kind in NAMES:
            start -= 2
        schema = tokens[index - 3].value if start < index - 1 else b""
        if not schema and token.kind is Kind.WORD and token.value in _NEVER_CALLED:
            continue
        if start and _may_call(text, tokens[start - 1]) and not _is_common(tokens, index, pairs):
            yield FunctionName(schema, token.value)


def _may_call(text: bytes, before: Token) -> bool:
    """Whether a call can follow this token."""
    if before.kind is Kind.WORD:
        return before.value in _BEFORE_A_CALL
    if before.kind is Kind.PUNCTUATION:
        return before.value in (b"(", b",", b"[", b";")
    if before.kind is Kind.COLON:  # behind :: stands a type
        return text[before.start : before.end] != b"::"
    return before.kind is Kind.OPERATOR


def _is_common(tokens: list[Token], index: int, pairs: dict[int, int]) -> bool:
    """Whether the parenthesis at ``index`` has the columns of one of WITH's tables:
    name (...) AS (SELECT ..."""
    end = pairs.get(index, len(tokens))
    if word(tokens, end + 1) != b"as":
        return False
    if word(tokens, end + 2) in (b"not", b"materialized"):
        return True
    behind = [token.value for token in tokens[end + 2 : end + 4]]
    return len(behind) == 2 and behind[0] == b"(" and behind[1] in _OF_COMMON_TABLES


def _pairs(tokens: list[Token]) -> dict[int, int]:
    """Where each parenthesis that opens is closed, by index."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind is not Kind.PUNCTUATION:
            continue
        if token.value == b"(":
            opened.append(index)
        elif token.value == b")" and opened:
            found[opened.pop()] = index
    return found
