"""The rows of the table of settings, and what is derived from them. (What PostgreSQL says of them:
tests/integration/test_special_settings.py.)"""

import re
from pathlib import Path

import pytest

import forebay
from forebay.session import special
from forebay.session.causes import PinReason
from forebay.session.pins import Notes, note_effects
from forebay.session.special import (
    MODULES,
    OF_MEANING,
    OLDEST,
    SPECIAL,
    Special,
    is_asked_by_name,
    is_sure,
    is_unset,
    place,
)
from forebay.sql.effects import HOW_TEXT_IS_READ, SEED, effects

RELAY = Path(forebay.__file__).parent / "relay"
BY_NAME = {each.name: each for each in SPECIAL}


def test_each_setting_has_one_row_in_lower_case() -> None:
    assert len(BY_NAME) == len(SPECIAL)
    assert all(name == name.lower() for name in BY_NAME)


@pytest.mark.parametrize("row", SPECIAL, ids=[each.name for each in SPECIAL])
def test_a_row_says_something(row: Special) -> None:
    assert row != Special(name=row.name, since=row.since, is_optional=row.is_optional)


def test_what_the_reading_of_texts_has_to_know_has_its_row() -> None:
    assert {each.name for each in SPECIAL if each.decides_reading} == HOW_TEXT_IS_READ
    assert BY_NAME[SEED].pins is PinReason.SESSION_FUNCTION


@pytest.mark.parametrize("row", [each for each in SPECIAL if each.pins is not None])
def test_who_sets_what_pins_is_pinned(row: Special) -> None:
    notes = Notes()
    note_effects(notes, effects(f"SET {row.name} TO 1"))
    assert notes.lasting == {row.pins}


def test_the_relay_watches_the_reported_settings_of_meaning() -> None:
    found = [
        re.findall(r'b"([A-Za-z_]+)\\0"|(HOW_TEXT_IS_READ)', match[1])
        for path in RELAY.rglob("*.pyx")
        if (match := re.search(r"OF_MEANING\w* = \((.*?)\)", path.read_text(), re.DOTALL))
    ]
    if not found:
        pytest.skip("the relay has no such tuple")
    names = {name.lower() for name, _ in found[0] if name}
    names |= {"standard_conforming_strings" for _, other in found[0] if other}
    assert names == {each.name for each in SPECIAL if each.reported and each.name in OF_MEANING}


def test_the_identity_comes_last_and_the_sessions_user_before_the_role() -> None:
    names = ["role", "work_mem", "session_authorization", "app.tenant", "search_path"]
    assert sorted(names, key=place)[-2:] == ["session_authorization", "role"]


def test_what_looks_like_no_value() -> None:
    assert is_unset("role", "none")
    assert is_unset("app.tenant", "")
    assert not is_unset("app.tenant", "none")
    assert not is_unset("role", "bob")
    assert [name for name in ("role", "a.b", "timezone") if is_asked_by_name(name)] == [
        "role",
        "a.b",
    ]


def test_custom_settings_are_sure_but_those_of_modules() -> None:
    assert is_sure("app.tenant")
    assert is_sure("work_mem")
    assert not is_sure("temp_buffers")
    assert not any(is_sure(f"{module}.x") for module in MODULES)


def test_questions_are_of_the_sessions_user() -> None:
    asked = [each.format(user="'bob'") for each in special.QUESTIONS]
    assert sum("'bob'" in each for each in asked) == 1
    assert all("{" not in each for each in asked)


def test_versions_are_those_that_work() -> None:
    assert all(
        each.since >= OLDEST and each.reported in (0, *range(OLDEST, 30)) for each in SPECIAL
    )
