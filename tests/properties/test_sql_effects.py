"""Effects against what PostgreSQL's parse tree (libpg_query) says about the same text."""

from collections.abc import Iterator
from typing import Any

import postgast
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.sql.digest import digest
from forebay.sql.effects import Cursor, effects
from forebay.sql.lexer import NAMES, STRINGS, Kind, lex
from forebay.sql.reasons import Reason
from forebay.sql.settings import SettingChange

from .sql_texts import BLANKS, any_text, near_sql, valid_text

FUNCTIONS = {
    **dict.fromkeys(("nextval", "setval", "currval", "lastval"), Reason.SEQUENCE),
    **dict.fromkeys(
        ("pg_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_unlock_all"),
        Reason.ADVISORY_LOCK,
    ),
    "setseed": Reason.SESSION_FUNCTION,
    "set_config": Reason.SETTING,
}
STATEMENTS = {
    "PrepareStmt": Reason.PREPARE,
    "ExecuteStmt": Reason.PREPARE,
    "DeallocateStmt": Reason.PREPARE,
    "DeclareCursorStmt": Reason.CURSOR,
    "ListenStmt": Reason.LISTEN,
    "UnlistenStmt": Reason.LISTEN,
    "LoadStmt": Reason.LOAD,
    "DiscardStmt": Reason.DISCARD,
    "DoStmt": Reason.DO_BLOCK,
}
CREATED = {  # the field of each statement that says what is made
    "CreateStmt": "relation",
    "ViewStmt": "view",
    "CreateSeqStmt": "sequence",
    "IntoClause": "rel",
}


def nodes(message: Any, parents: tuple[str, ...] = ()) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Every node of a parse tree, with the names of those around it."""
    here = (*parents, message.DESCRIPTOR.name)
    yield message, parents
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else (value,):
                yield from nodes(part, here)


def _is_temporary(relation: Any) -> bool:
    return relation.relpersistence == "t" or relation.schemaname.startswith("pg_temp")


def _function_reason(call: Any) -> Reason | None:
    name = call.funcname[-1].string.sval
    if name == "set_config" and call.args[2].a_const.boolval.boolval:
        return None
    return FUNCTIONS.get(name)


def _kind(node: Any) -> str:
    name: str = node.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[node.kind].name
    return name


def facts(text: str) -> set[Reason] | None:
    """What the parse tree says; None if the text cannot be parsed."""
    try:
        tree = postgast.parse(text)
    except postgast.PgQueryError:
        return None
    found: set[Reason | None] = set()
    for node, parents in nodes(tree):
        name = node.DESCRIPTOR.name
        if name in STATEMENTS:
            found.add(STATEMENTS[name])
        elif name == "FuncCall":
            found.add(_function_reason(node))
        elif name == "VariableSetStmt" and not any(
            around.startswith(("Alter", "CreateFunction")) for around in parents
        ):
            transaction = node.name in ("TRANSACTION", "TRANSACTION SNAPSHOT")
            if not transaction and (not node.is_local or _kind(node) == "VAR_SET_DEFAULT"):
                found.add(Reason.SETTING)
        elif name in CREATED and _is_temporary(getattr(node, CREATED[name])):
            found.add(Reason.TEMPORARY_OBJECT)
    return {reason for reason in found if reason is not None}


@given(valid_text())
def test_valid_statements_have_exactly_the_effects_of_their_tree(text: str) -> None:
    expected = facts(text)
    assert expected is not None
    found = {
        effect.reason
        for effect in effects(text)
        if not (isinstance(effect.detail, SettingChange) and effect.is_contained)
    }
    assert found - {Reason.CREATION} == expected


@given(near_sql.map(bytes.decode))
def test_nothing_that_postgresql_would_run_is_missed(text: str) -> None:
    expected = facts(text)
    if expected:
        found = {effect.reason for effect in effects(text)}
        assert expected <= found or found == {Reason.UNREADABLE}


@given(valid_text())
def test_statements_are_numbered_as_postgresql_cuts_them(text: str) -> None:
    pieces = postgast.split(text)
    for effect in effects(text):
        assert any(
            (alone.reason, alone.detail) == (effect.reason, effect.detail)
            for alone in effects(pieces[effect.statement])
        )


@given(any_text, st.booleans(), st.booleans())
def test_any_bytes_have_an_answer(text: bytes, conforming: bool, ambiguous: bool) -> None:
    found = effects(text, standard_conforming_strings=conforming, ambiguous_encoding=ambiguous)
    for effect in found:
        assert not effect.ends_with_transaction or effect.reason in (
            Reason.CURSOR,
            Reason.SETTING,
            Reason.TEMPORARY_OBJECT,
        )
        assert not isinstance(effect.detail, Cursor) or effect.reason is Reason.CURSOR


@example(text='"\'"', conforming=True, limit=40)
@example(text="SELECT a\u2028\ue000b", conforming=True, limit=40)
@given(st.one_of(any_text, valid_text()), st.booleans(), st.sampled_from([16, 40, 1024]))
def test_the_digest_of_a_digest_is_the_same(
    text: str | bytes, conforming: bool, limit: int
) -> None:
    short = digest(text, standard_conforming_strings=conforming, max_characters=limit)
    assert len(short) <= limit
    assert short.isprintable()
    shown = lex(short.encode()).tokens
    assert not any(token.kind in STRINGS for token in shown)
    # A quote stands nowhere but in a name that holds one.
    held = sum(short.encode()[t.start : t.end].count(b"'") for t in shown if t.kind in NAMES)
    assert short.count("'") == held
    assert digest(short, max_characters=limit) == short


@given(valid_text(), st.data())
def test_digests_do_not_depend_on_blanks_comments_and_case(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    again = b""
    for token in lex(raw).tokens:
        piece = raw[token.start : token.end]
        again += piece.swapcase() if token.kind is Kind.WORD else piece
        again += b" " + data.draw(st.sampled_from(BLANKS)).encode()
    # Only whether a parenthesis touches the name before it is kept.
    assert digest(again).replace(" (", "(") == digest(raw).replace(" (", "(")
