"""Which setting a statement changes."""

import pytest

from forebay.sql.effects import Effect, effects
from forebay.sql.lexer import lex
from forebay.sql.reasons import Reason
from forebay.sql.settings import MAX_CALL_TOKENS, SettingChange, setting_change


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("SET work_mem = '64MB'", "work_mem", "'64MB'"),
        ("SET Work_Mem TO 64", "work_mem", "64"),
        ('SET "Work_Mem" TO 64', "work_mem", "64"),
        ("SET search_path TO a, \"B\" , 'c'", "search_path", "a, \"B\" , 'c'"),
        ("SET SESSION x = -1", "x", "-1"),
        ("SET x=-1", "x", "-1"),
        ("SET x TO DEFAULT", "x", None),
        ("SET x TO 'default'", "x", "'default'"),
        ("SET a.B = on", "a.b", "on"),
        ("SET local.x = 1", "local.x", "1"),
        ("SET local = 1", "local", "1"),
        ("SET session.x = 1", "session.x", "1"),
        ("SET SESSION local.x = 1", "local.x", "1"),
        ("SET transaction.x = 1", "transaction.x", "1"),
        ("SET constraints.x = 1", "constraints.x", "1"),
        ("SET time.zone = 1", "time.zone", "1"),
        ("SET names TO 1", "names", "1"),
        ("SET TIME ZONE 'UTC'", "timezone", "'UTC'"),
        ("SET TIME ZONE INTERVAL '1' HOUR", "timezone", "INTERVAL '1' HOUR"),
        ("SET TIME ZONE DEFAULT", "timezone", None),
        ("SET NAMES 'latin1'", "client_encoding", "'latin1'"),
        ("SET NAMES", "client_encoding", None),
        ("SET ROLE none", "role", "none"),
        ("SET SCHEMA 'x'", "search_path", "'x'"),
        ("SET CATALOG 'x'", "catalog", "'x'"),
        ("SET XML OPTION DOCUMENT", "xmloption", "DOCUMENT"),
        ("SET SESSION AUTHORIZATION bob", "session_authorization", "bob"),
        ("SET SESSION SESSION AUTHORIZATION DEFAULT", "session_authorization", None),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "session characteristics",
            "TRANSACTION READ ONLY",
        ),
    ],
)
def test_set(text: str, name: str, value: str | None) -> None:
    assert effects(text) == (Effect(Reason.SETTING, SettingChange("SET", name, value)),)


@pytest.mark.parametrize(
    "text",
    [
        "SET x FROM CURRENT",
        "SET x",
        "SET",
        "SET x =",
        "SET 1",
        "SET XML x",
        "SET SESSION TRANSACTION READ ONLY",
    ],
)
def test_set_that_is_not_fully_understood_counts_as_a_change(text: str) -> None:
    (effect,) = effects(text)
    assert isinstance(effect.detail, SettingChange)
    assert not effect.detail.exact


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SET LOCAL x = 1", "x"),
        ("SET LOCAL local.x = 1", "local.x"),
        ("SET LOCAL TIME ZONE 'local'", "timezone"),
        ("SET LOCAL ROLE bob", "role"),
        ("SET LOCAL SESSION AUTHORIZATION bob", "session_authorization"),
    ],
)
def test_local_changes_end_with_their_transaction(text: str, name: str) -> None:
    raw = text.encode()
    change = setting_change(raw, lex(raw).tokens)
    assert change is not None
    assert change.local
    assert change.name == name
    (effect,) = effects(text)
    assert effect.detail == change
    assert effect.is_contained
    assert effect.ends_with_transaction


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SET LOCAL x TO DEFAULT", "x"),
        ("SET LOCAL TIME ZONE DEFAULT", "timezone"),
        ("SET LOCAL TIME ZONE LOCAL", "timezone"),
        ("set local time zone local -- now", "timezone"),
    ],
)
def test_what_a_setting_is_taken_back_to_depends_on_the_session(text: str, name: str) -> None:
    (effect,) = effects(text)
    assert effect.detail == SettingChange("SET", name, None, local=True)
    assert not effect.is_contained


@pytest.mark.parametrize(
    "text",
    [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET LOCAL TRANSACTION READ ONLY",
        "SET TRANSACTION SNAPSHOT 'x'",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET CONSTRAINTS a, b.c IMMEDIATE",
    ],
)
def test_what_sets_the_transaction_is_no_change(text: str) -> None:
    raw = text.encode()
    assert setting_change(raw, lex(raw).tokens) is None
    assert effects(text) == ()


@pytest.mark.parametrize(
    ("text", "command", "name"),
    [
        ("RESET x", "RESET", "x"),
        ("RESET a.b", "RESET", "a.b"),
        ("RESET ALL", "RESET ALL", ""),
        ('RESET "all"', "RESET", "all"),
        ("RESET ROLE", "RESET", "role"),
        ("RESET TIME ZONE", "RESET", "timezone"),
        ("RESET SESSION AUTHORIZATION", "RESET", "session_authorization"),
        ("RESET TRANSACTION ISOLATION LEVEL", "RESET", "transaction_isolation"),
    ],
)
def test_reset(text: str, command: str, name: str) -> None:
    (effect,) = effects(text)
    assert isinstance(effect.detail, SettingChange)
    change = effect.detail
    assert (change.command, change.name, change.value, change.exact) == (command, name, None, True)


@pytest.mark.parametrize("text", ["RESET", "RESET x y", "RESET 1"])
def test_reset_that_is_not_understood(text: str) -> None:
    (effect,) = effects(text)
    assert isinstance(effect.detail, SettingChange)
    assert not effect.detail.exact


@pytest.mark.parametrize(
    ("arguments", "name", "value", "exact"),
    [
        ("'Work_Mem', '64MB', false", "work_mem", "64MB", True),
        ("'a.b', 'it''s', FALSE", "a.b", "it's", True),
        ("E'a\\x62', $$c$$, false", "ab", "c", True),
        ("'a', null, false", "a", None, True),
        ("'a', $1, false", "a", None, False),
        ("$1, 'b', false", "", "b", False),
        ("'a', 'b', $3", "a", "b", False),
        ("'a', 'b', 'true'", "a", "b", False),
        ("'a', 'b', true and false", "a", "b", False),
        ("'a', 'b', not true", "a", "b", False),
        ("'a', f(1, 2), x[1, 2]", "a", None, False),
        ("'a', 'b'", "", None, False),
        ("'a', 'b', true, 1", "", None, False),
        (", , true", "", None, False),
        ("'a', 'b', true" + " + 1" * MAX_CALL_TOKENS, "", None, False),
    ],
)
def test_set_config(arguments: str, name: str, value: str | None, exact: bool) -> None:
    change = SettingChange("set_config", name, value, exact=exact, bound=", $1," in arguments)
    assert effects(f"SELECT pg_catalog.set_config({arguments})") == (
        Effect(Reason.SETTING, change),
    )


@pytest.mark.parametrize(
    "call",
    [
        "set_config('a', 'b', true)",
        "set_config ( $1 , $2 , TRUE )",
        "\"set_config\"(f(a, b), 'x' || (1, 2)[3], true)",
    ],
)
def test_local_set_config_ends_with_its_transaction(call: str) -> None:
    (effect,) = effects(f"SELECT {call}")
    assert effect.is_contained


def test_set_config_in_an_argument_of_another() -> None:
    outer, inner = effects("SELECT set_config('a', set_config('b', 'c', false), true)")
    assert outer.is_contained
    assert inner == Effect(Reason.SETTING, SettingChange("set_config", "b", "c"))


@pytest.mark.parametrize(
    ("text", "unbound", "bound"),
    [
        ("SET search_path = a, pg_temp", True, True),
        ("SET LOCAL search_path TO PG_TEMP", True, True),
        ("SET SCHEMA 'pg_temp'", True, True),
        ("SET search_path = pg_temp_3", True, True),
        ("SET search_path = E'pg\\x5ftemp'", True, True),
        ("SET search_path = U&'pg!005ftemp' UESCAPE '!'", True, True),
        ("SET search_path = 'pg_'\n'temp'", True, True),
        ("SET search_path = 'pg_' -- and\n'temp'", True, True),
        ("SET search_path = a, public", False, False),
        ("SET search_path FROM CURRENT", True, True),
        ("SET search_path TO DEFAULT", False, False),
        ("RESET search_path", False, False),
        ("RESET ALL", False, False),
        ("SET x.y = 'pg_temp'", False, False),
        ("SELECT set_config('search_path', 'a, pg_temp', true)", True, True),
        ("SELECT set_config('search_path', 'a', $1)", False, False),
        ("SELECT set_config('search_path', $1, true)", False, True),
        ("SELECT set_config('search_path', $1::text, true)", False, True),
        ("SELECT set_config('search_path', $1 || 'emp', true)", True, True),
        ("SELECT set_config('search_path', f($1), true)", True, True),
        ("SELECT set_config('search_path', null, true)", False, False),
        ("SELECT set_config($1, $2, true)", False, True),
        ("SELECT set_config($1, 'pg_temp', true)", True, True),
        ("SELECT set_config($1, 'public', true)", False, False),
        ("UPDATE pg_settings SET setting = $1", True, True),
    ],
)
def test_whether_a_search_path_may_name_pg_temp(text: str, unbound: bool, bound: bool) -> None:
    (effect,) = effects(text)
    change = effect.detail
    assert isinstance(change, SettingChange)
    assert (change.may_name_pg_temp(bound=False), change.may_name_pg_temp()) == (unbound, bound)


@pytest.mark.parametrize(
    ("text", "resets"),
    [
        ("RESET search_path", True),
        ("RESET ALL", True),
        ("SET search_path TO DEFAULT", True),
        ("SET LOCAL search_path TO DEFAULT", True),
        ("SELECT set_config('search_path', null, false)", True),
        ("SET search_path = a", False),
        ("RESET work_mem", False),
        ("SELECT set_config('search_path', $1, false)", False),
    ],
)
def test_whether_the_search_path_is_taken_back(text: str, resets: bool) -> None:
    (effect,) = effects(text)
    assert isinstance(effect.detail, SettingChange)
    assert effect.detail.resets_search_path == resets


def test_what_names_pg_temp_is_seen_to_the_end_of_its_transaction() -> None:
    for path, contained in (("a, pg_temp", False), ("a", True)):
        (effect,) = effects(f"SET LOCAL search_path = {path}")
        assert effect.is_contained == contained
