"""What is known of functions, what an operator lists, and which calls that concerns."""

import pytest

from forebay.sql.effects import Call, effects
from forebay.sql.functions import ANY_SCHEMA, FunctionName, Functions, parse_function_name
from forebay.sql.reasons import Reason
from forebay.sql.settings import SettingChange


def listed(**codes: Reason | None) -> Functions:
    """Functions by name, ``schema__name`` for one with a schema."""
    return Functions(
        {parse_function_name(name.replace("__", ".")): code for name, code in codes.items()}
    )


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("take_lock", b"", b"take_lock"),
        ("Take_Lock", b"", b"take_lock"),
        ("App.Take_Lock", b"app", b"take_lock"),
        (' app . "take_lock" ', b"app", b"take_lock"),
        ('"App"."Take_Lock"', b"App", b"Take_Lock"),
        ('"my app".f', b"my app", b"f"),
        ("x" * 70, b"", b"x" * 63),
        ("f$1", b"", b"f$1"),
    ],
)
def test_names_are_read_as_postgresql_does(text: str, schema: bytes, name: bytes) -> None:
    assert parse_function_name(text) == FunctionName(schema, name)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "f()", "a.b.c", "a.", ".f", "a b", "a..f", "a,f", "'f'", "1", "$1", '"f', '""'),
        *('U&"f"', '"take lock"', '"f-g"', "größe", '"größe"', "ä.f", "f\0", "a;f", "f -- x\n.g.h"),
    ],
)
def test_what_is_no_name_of_a_function(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a function|can't be looked for"):
        parse_function_name(text)


CALLS = [
    # what is listed, the call, the reasons found
    ({"f": Reason.LISTEN}, "f()", [Reason.LISTEN]),
    ({"f": Reason.LISTEN}, "app.f()", [Reason.LISTEN]),
    ({"f": Reason.LISTEN}, "db.app.f()", [Reason.LISTEN]),
    ({"f": Reason.LISTEN}, 'APP . "f" /* x */ ()', [Reason.LISTEN]),
    ({"f": Reason.LISTEN}, 'U&"\\0066"()', [Reason.LISTEN]),
    ({"f": Reason.LISTEN}, '"F"()', []),
    ({"f": Reason.LISTEN}, "ff()", []),
    ({"f": Reason.LISTEN}, "f", []),
    ({"f": Reason.LISTEN}, "'f()'", []),
    ({"app__f": Reason.LISTEN}, "app.f()", [Reason.LISTEN]),
    ({"app__f": Reason.LISTEN}, "f()", [Reason.LISTEN]),
    ({"app__f": Reason.LISTEN}, "other.f()", []),
    ({"app__f": Reason.LISTEN}, '"App".f()', []),
    # A call that may be one of several does what any of them does.
    ({"app__f": Reason.LISTEN, "f": None}, "f()", [Reason.LISTEN]),
    ({"app__f": Reason.LISTEN, "f": None}, "app.f()", [Reason.LISTEN]),
    ({"app__f": Reason.LISTEN, "f": None}, "other.f()", []),
    ({"app__f": None, "f": Reason.LISTEN}, "app.f()", []),
    ({"app__f": None, "f": Reason.LISTEN}, "f()", [Reason.LISTEN]),
    ({"a__f": Reason.LOAD, "b__f": Reason.CURSOR}, "f()", [Reason.LOAD, Reason.CURSOR]),
    ({"a__f": Reason.LOAD, "b__f": Reason.LOAD}, "f()", [Reason.LOAD]),
    # What is known without a list.
    ({}, "nextval('s')", [Reason.SEQUENCE]),
    ({"nextval": None}, "nextval('s')", []),
    ({"nextval": None}, "pg_catalog.nextval('s')", []),
    ({"nextval": None}, "nextval('s') + currval('s')", [Reason.SEQUENCE]),
    ({"pg_catalog__nextval": None}, "nextval('s')", []),
    ({"pg_catalog__nextval": None}, "app.nextval('s')", [Reason.SEQUENCE]),
    ({"app__nextval": None}, "nextval('s')", [Reason.SEQUENCE]),  # pg_catalog is searched first
    ({"app__nextval": None}, "app.nextval('s')", []),
    ({"nextval": Reason.SETTING}, "nextval('s')", [Reason.SETTING]),
    ({"app__setseed": Reason.LOAD}, "setseed(1)", [Reason.LOAD, Reason.SESSION_FUNCTION]),
    ({"set_config": None}, "set_config('a.b', 'c', false)", []),
    # A name that is a keyword elsewhere.
    ({"execute": Reason.LOAD, "into": Reason.LOAD}, "execute(), 1 INTO TEMP t", None),
]


@pytest.mark.parametrize(("codes", "call", "reasons"), CALLS)
def test_calls(codes: dict[str, Reason | None], call: str, reasons: list[Reason] | None) -> None:
    found = effects(f"SELECT {call}", functions=listed(**codes))
    if reasons is None:
        reasons = [Reason.LOAD, Reason.TEMPORARY_OBJECT]
    assert [effect.reason for effect in found] == reasons


def test_what_is_known_says_more_than_a_list() -> None:
    text = "SELECT set_config('app.tenant', 'x', false)"
    (effect,) = effects(text, functions=listed(set_config=Reason.SETTING))
    assert isinstance(effect.detail, SettingChange)
    assert effect.detail.name == "app.tenant"


def test_a_name_that_postgresql_cuts() -> None:
    functions = listed(**{"x" * 63: Reason.LISTEN})
    for name in ("x" * 63, "x" * 64, "X" * 100, '"' + "x" * 64 + '"'):
        assert effects(f"SELECT {name}()", functions=functions)
    assert not effects(f"SELECT {'x' * 62}()", functions=functions)
    # 62 letters, and one of two bytes that does not fit: it is left out.
    assert effects(f'SELECT "{"x" * 62}é"()', functions=listed(**{"x" * 62: Reason.LISTEN}))


def test_a_server_that_folds_as_in_turkish() -> None:
    functions = listed(sign_in=Reason.SETTING)
    assert effects("SELECT SİGN_İN()", functions=functions)
    assert effects("SELECT S\xddGN_\xddN()".encode("latin-1"), functions=functions)


def test_every_statement_is_looked_at() -> None:
    found = effects("SELECT 1; CALL app.f(); SELECT 2", functions=listed(app__f=Reason.LISTEN))
    assert [(each.statement, each.detail) for each in found] == [(1, Call("f", listed=True))]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("PERFORM app.f();", {"f"}),
        ('PERFORM "F"();', {"f"}),
        ("CALL g(); PERFORM f();", {"f", "g"}),
        ("PERFORM ff(), f_f(), f$();", set()),
        ("PERFORM other();", set()),
    ],
)
def test_a_do_block_that_names_a_function(body: str, names: set[str]) -> None:
    functions = listed(app__f=Reason.LISTEN, g=Reason.SETTING, other=None)
    found = effects(f"DO $$ BEGIN {body} END $$", functions=functions)
    assert found[0].reason is Reason.DO_BLOCK
    assert {each.detail for each in found[1:]} == {Call(name, listed=True) for name in names}


def test_what_is_looked_for_and_what_no_longer() -> None:
    functions = listed(f=Reason.LISTEN, g=None, nextval=None, app__lastval=None)
    assert functions.looked_for == {b"f"}
    assert functions.ignored == {b"nextval"}
    assert Functions({FunctionName(ANY_SCHEMA, b"nextval"): Reason.SEQUENCE}).looked_for == set()
