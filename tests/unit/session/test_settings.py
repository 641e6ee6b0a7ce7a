"""Settings and parameters: one object for equal ones, and what depends on them."""

import gc
import weakref

import pytest

from forebay.session.settings import (
    InternTable,
    Settings,
    decides_plans,
    quote_identifier,
    quote_literal,
)
from forebay.sql.reading import Reading


def test_equal_settings_are_one_object_while_somebody_has_them() -> None:
    intern = InternTable()
    values = (("a.b", "1"),)
    first = intern.settings(values)
    assert intern.settings((("a.b", "1"),)) is first
    assert intern.settings((("a.b", "2"),)) is not first
    assert intern.settings(()) is intern.none
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_what_ends_idle_connections_may_not_stay() -> None:
    intern = InternTable()
    plain = intern.settings((("a.b", "1"),))
    assert plain.at_rest is None
    assert intern.settings((("a.b", "1"), ("idle_session_timeout", "5"))).at_rest is plain


def test_names_literals_and_plans_depend_on_their_own() -> None:
    pairs = {name: (name, "x") for name in ("a.b", "datestyle", "role", "search_path", "work_mem")}
    settings = Settings(tuple(pairs.values()))
    assert settings.names == (pairs["role"], pairs["search_path"])
    assert settings.literals == (pairs["datestyle"], *settings.names)
    assert settings.of_plans == (pairs["a.b"], pairs["role"])


@pytest.mark.parametrize(
    ("path", "under"), [("a", False), ("a, pg_temp", True), ('"PG_TEMP_3"', True), (None, None)]
)
def test_a_search_path_may_name_pg_temp(path: str | None, under: bool | None) -> None:
    values = () if path is None else (("search_path", path),)
    assert Settings(values).under_pg_temp is under


def test_plans_depend_on_whose_the_session_is() -> None:
    assert [decides_plans(name) for name in ("a.b", "role", "session_authorization")] == 3 * [True]
    assert not decides_plans("search_path")


def test_parameters_are_one_object_too_and_tell_what_is_new() -> None:
    intern = InternTable()
    old = intern.parameters({"TimeZone": "UTC", "DateStyle": "ISO"})
    assert intern.parameters({"DateStyle": "ISO", "TimeZone": "UTC"}) is old
    new = intern.parameters({"TimeZone": "GMT", "DateStyle": "ISO"})
    assert new.changes_from(old) == b"S\0\0\0\x11TimeZone\0GMT\0"
    assert old.changes_from(old) == b""
    assert old.encoded.count(b"S\0\0\0") == 2


def test_parameters_say_how_text_is_read() -> None:
    intern = InternTable()
    found = intern.parameters(
        {"client_encoding": "Latin1", "standard_conforming_strings": "off"}
    ).reading
    assert found == Reading("LATIN1", False)
    assert intern.parameters({}).reading == Reading("", True)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("plain", "'plain'"),
        ("it's", "'it''s'"),
        ("back\\slash", r"E'back\\slash'"),
        ("ä'\\", r"E'\U000000e4''\\'"),
        ("😀", r"E'\U0001f600'"),
        ("\udcff'", r"E'\xff'''"),
        ("\udc81\\'0", r"E'\x81\\''0'"),
        ("ä\udcff", r"E'\xc3\xa4\xff'"),
    ],
)
def test_literals_mean_the_same_in_every_session(value: str, literal: str) -> None:
    assert quote_literal(value) == literal


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("work_mem", '"work_mem"'),
        ('my.o"wn', '"my"."o""wn"'),
        ("my.größe", r'"my".U&"gr\+0000f6\+0000dfe"'),
        ('my.😀"\\', r'"my".U&"\+01f600""\\"'),
    ],
)
def test_identifiers_too(name: str, identifier: str) -> None:
    assert quote_identifier(name) == identifier
