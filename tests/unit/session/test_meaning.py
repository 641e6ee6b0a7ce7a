"""What a prepared statement means, and for whom that is the same."""

import pytest

from forebay.session.meaning import (
    Changes,
    Context,
    Meaning,
    changes_plans,
    changes_since,
    meaning_of,
    unlike_others,
)
from forebay.session.settings import InternTable, Values
from forebay.sql.effects import effects
from forebay.sql.reading import Reading, traits

UTF8 = Reading("UTF8", True)
BEFORE = unlike_others()
INTERN = InternTable()


def since(before: Changes | None, text: str) -> Changes | None:
    return changes_since(before, effects(text))


class TestChanges:
    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1",
            "SET LOCAL work_mem = '1MB'",
            "SET statement_timeout TO 0",
            "SELECT set_config('app.user', $1, true)",
            "DECLARE c CURSOR FOR SELECT 1",
            "SELECT nextval('s')",
            "DEALLOCATE ALL",
            "PREPARE p AS SELECT 1",
            "CREATE TABLE t (n int)",
        ],
    )
    def test_most_statements_leave_it(self, text: str) -> None:
        assert since(None, text) is None
        assert since(BEFORE, text) is BEFORE

    @pytest.mark.parametrize(
        "text",
        [
            "SET LOCAL search_path TO a, b",
            "SET search_path TO a;",
            "SET LOCAL ROLE bob",
            "RESET ROLE",
            "RESET ALL",
            "SET LOCAL TIME ZONE 'Asia/Tokyo'",
            "SET NAMES 'LATIN1'",
            "SELECT set_config('search_path', 'a', true)",
            "select pg_catalog.set_config('DateStyle','ISO',true);",
            "SET search_path FROM CURRENT",
            "SELECT set_config($1, $2, true)",
            "SELECT CASE WHEN false THEN set_config('role', 'bob', true) END",
            "SET LOCAL ROLE bob; ROLLBACK; BEGIN",
            "CREATE TEMP TABLE t (n int)",
            "DO $$BEGIN EXECUTE 'SET ROLE bob'; END$$",
            "EXECUTE p",
            "DISCARD TEMP",
            "SELECT 'never ended",
        ],
    )
    def test_what_is_changed_is_like_nothing_else(self, text: str) -> None:
        found, other = since(None, text), since(None, text)
        assert found is not None
        assert found != other
        assert since(found, text) not in (None, found, other)

    def test_what_stands_for_it_equals_itself(self) -> None:
        assert unlike_others() != BEFORE
        assert {BEFORE: 1}[BEFORE] == 1


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("SELECT 1", False),
        ("SET work_mem = '1MB'", False),
        ("SET LOCAL search_path TO a", False),  # PostgreSQL plans anew
        ("CREATE TEMP TABLE t (n int)", False),
        ("DISCARD TEMP", False),
        ("SET app.tenant = 'a'", True),
        ("SET ROLE bob", True),
        ("RESET ALL", True),
        ("SELECT setseed(1)", False),
        ("SELECT pg_replication_origin_session_reset()", False),
        ("DO $$BEGIN END$$", True),
        ("SELECT 'no end", True),
    ],
)
def test_which_texts_change_what_plans_hold(text: str, changes: bool) -> None:
    assert changes_plans(effects(text)) == changes


class TestMeaning:
    @staticmethod
    def of(
        text: str,
        settings: Values = (),
        changes: Changes | None = None,
        own: int | None = None,
        reading: Reading = UTF8,
    ) -> Meaning:
        context = Context(("db", "user"), INTERN.settings(settings), changes, own, reading)
        return meaning_of(traits(text.encode()), context)

    @pytest.mark.parametrize("text", ["SELECT $1", "SELECT '2024-01-01'", "SELECT 'z\xfcrich'"])
    @pytest.mark.parametrize("setting", ["role", "search_path", "session_authorization"])
    def test_names_are_those_of_a_search_path_and_role(self, text: str, setting: str) -> None:
        assert self.of(text, ((setting, "a"),)) != self.of(text, ((setting, "b"),))

    @pytest.mark.parametrize("text", ["SELECT $1", "SELECT '2024-01-01'"])
    def test_behind_a_change_it_is_its_clients_own(self, text: str) -> None:
        assert self.of(text, (), BEFORE) == self.of(text, (), BEFORE)
        assert self.of(text, (), BEFORE) != self.of(text, (), unlike_others())
        assert self.of(text, (), BEFORE) != self.of(text)

    @pytest.mark.parametrize("setting", ["timezone", "datestyle", "intervalstyle", "array_nulls"])
    def test_only_literals_depend_on_how_they_are_read(self, setting: str) -> None:
        settings = ((setting, "a"),), ((setting, "b"),)
        for text, is_same in (("SELECT $1", True), ("SELECT 'x'", False), ("SELECT $$x$$", False)):
            assert (self.of(text, settings[0]) == self.of(text, settings[1])) == is_same

    @pytest.mark.parametrize("text", ["SELECT $1", "SELECT 'x', null", "SELECT 'z\xfcrich'"])
    def test_other_settings_do_not_matter(self, text: str) -> None:
        settings = ("application_name", "a"), ("work_mem", "1MB"), ("statement_timeout", "1")
        assert self.of(text, settings) == self.of(text)

    @pytest.mark.parametrize("other", [Reading("LATIN1", True), Reading("UTF8", False)])
    def test_bytes_are_those_of_a_reading(self, other: Reading) -> None:
        for text, is_same in (("SELECT 'x'", True), ("SELECT 'z\xfc'", False), (r"'\n'", False)):
            assert (self.of(text) == self.of(text, reading=other)) == is_same

    def test_a_moment_does_not_come_again(self) -> None:
        assert self.of("SELECT 'now'::date") != self.of("SELECT 'now'::date")

    def test_who_has_temporary_tables_shares_nothing(self) -> None:
        assert self.of("SELECT 1", own=7) != self.of("SELECT 1", own=8)
