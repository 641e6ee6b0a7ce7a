"""No text that calls a listed function passes the first look, however the call is written."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.config.settings import ProxySettings, TargetSettings
from forebay.relay.scan.names import FunctionNames, NamesInPieces
from forebay.sql.effects import Call, effects
from forebay.sql.functions import parse_function_name
from forebay.sql.lexer import Kind, lex
from forebay.sql.reasons import Reason
from forebay.worker.sessions.functions import sought_by

from .sql_texts import BLANKS, any_text, valid_text

# Names that the strategies' texts are full of, called or not.
LISTED = sought_by(
    ProxySettings(
        target=TargetSettings(hosts=["db"]),
        session_functions={
            "count": "SETTING",
            "public.now": "ADVISORY_LOCK",
            '"x y".nextval': "LISTEN",
            "set_config": "NONE",
            "a": "SESSION_FUNCTION",
            "e": "SETTING",
        },
    )
)
NAMES = ["take_lock", "t", "e", "select_it", "x" * 63, "app_1$"]
STATEMENTS = [
    "SELECT {call}",
    "select a, 'it''s' from t where {call} > 1",
    "INSERT INTO t VALUES (1, {call}, E'\\\\')",
    "WITH w AS (SELECT {call}) UPDATE t SET a = 1",
    "CALL {call}",
    "COPY (SELECT {call}) TO STDOUT",
    "MERGE INTO t USING u ON {call} WHEN MATCHED THEN DELETE",
    "BEGIN; VALUES ({call}); COMMIT",
    "EXPLAIN ANALYZE SELECT {call}",
]


@st.composite
def calls(draw: st.DrawFn, name: str) -> str:
    """A call of the function, with its name, schema and blanks at random."""
    spelt = "".join(letter.upper() if draw(st.booleans()) else letter for letter in name)
    written = draw(
        st.sampled_from(
            [
                spelt,
                f'"{name}"',
                f'U&"\\{ord(name[0]):04x}{name[1:]}"',
                f"U&\"!{ord(name[0]):04x}{name[1:]}\" UESCAPE '!'",
                spelt + ("y" if len(name) == 63 else ""),
            ]
        )
    )
    schema = draw(st.sampled_from(["", "app.", "APP . ", '"app"/**/.', "db.app."]))
    blank = draw(st.sampled_from(["", *BLANKS]))
    return f"{schema}{written}{blank}(1)"


@settings(max_examples=300)
@given(st.data(), st.sampled_from(NAMES), st.booleans())
def test_a_call_is_never_let_through(data: st.DataObject, name: str, with_schema: bool) -> None:
    listed = sought_by(
        ProxySettings(
            target=TargetSettings(hosts=["db"]),
            session_functions={f"app.{name}" if with_schema else name: "ADVISORY_LOCK"},
        )
    )
    call = data.draw(calls(name))
    text = data.draw(st.sampled_from(STATEMENTS)).replace("{call}", call).encode()
    assert not listed.is_certain(text)
    found = {(each.reason, each.detail) for each in effects(text, functions=listed.functions)}
    assert (Reason.ADVISORY_LOCK, Call(name, listed=True)) in found


texts = st.one_of(
    any_text,
    any_text.map(lambda text: b"select " + text),
    valid_text().map(str.encode),
    st.lists(st.sampled_from([b"count", b"now", b"a", b"e", b"("])).map(
        lambda words: b"select " + b"".join(words)
    ),
)


@settings(max_examples=400)
@given(texts)
def test_what_passes_has_no_effect(text: bytes) -> None:
    if LISTED.is_certain(text):
        assert not any(
            effects(
                text,
                standard_conforming_strings=conforming,
                ambiguous_encoding=ambiguous,
                functions=LISTED.functions,
            )
            for conforming in (True, False)
            for ambiguous in (True, False)
        )


@given(texts, st.lists(st.integers(0, 120), max_size=8))
def test_pieces_give_the_same_answer(text: bytes, cuts: list[int]) -> None:
    names = FunctionNames([b"count", b"a", b"set", b"select"])
    pieces = NamesInPieces(names)
    places = sorted(min(cut, len(text)) for cut in cuts)
    answers = [
        pieces.feed(text[begin:end])
        for begin, end in zip([0, *places], [*places, len(text)], strict=True)
    ]
    assert (any(answers) or pieces.feed(b"\0")) == names.named_in(text)


@given(st.text(alphabet="aF_$1 .\"'-/*é(\0", max_size=12))
def test_any_text_is_a_name_or_an_error(text: str) -> None:
    try:
        schema, name = parse_function_name(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017
        return
    assert re.fullmatch(rb"[A-Za-z0-9_$]+", name)
    kinds = {token.kind for token in lex(text.encode()).tokens}
    assert kinds <= {Kind.WORD, Kind.QUOTED_NAME, Kind.PUNCTUATION}
    assert bool(schema) == (Kind.PUNCTUATION in kinds)
