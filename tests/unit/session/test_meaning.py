"""What a prepared statement means, and for whom that is the same."""

import pytest

from forebay.session.meaning import (
    CHANGES_LIMIT,
    Change,
    Changes,
    Context,
    Meaning,
    Unknown,
    changes_since,
    meaning_of,
)
from forebay.session.settings import InternTable, Values
from forebay.sql.effects import effects
from forebay.sql.reading import Reading, traits

UTF8 = Reading("UTF8", True)
BEFORE = (Change("role", "before"),)
INTERN = InternTable()


def since(before: Changes | None, text: str) -> Changes | None:
    return changes_since(before, text.encode(), effects(text))


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
        ],
    )
    def test_most_statements_leave_it(self, text: str) -> None:
        assert since(None, text) is None
        assert since(BEFORE, text) == BEFORE

    @pytest.mark.parametrize(
        ("text", "change"),
        [
            ("SET LOCAL search_path TO a, b", ("search_path", "a, b")),
            ("SET search_path TO a;", ("search_path", "a")),
            ("SET LOCAL ROLE bob", ("role", "bob")),
            ("RESET ROLE", ("role", None)),
            ("RESET ALL", ("", None)),
            ("SET LOCAL TIME ZONE 'Asia/Tokyo'", ("timezone", "'Asia/Tokyo'")),
            ("SET NAMES 'LATIN1'", ("client_encoding", "'LATIN1'")),
            ("SELECT set_config('search_path', 'a', true)", ("search_path", "a")),
            ("select pg_catalog.set_config('DateStyle','ISO',true);", ("datestyle", "ISO")),
        ],
    )
    def test_settings_that_matter_are_told_apart_by_their_values(
        self, text: str, change: tuple[str, str | None]
    ) -> None:
        assert since(None, text) == (Change(*change),)
        assert since(BEFORE, text) == (*BEFORE, Change(*change))

    @pytest.mark.parametrize(
        "text",
        [
            "CREATE TEMP TABLE t (n int)",
            "DO $$BEGIN EXECUTE 'SET ROLE bob'; END$$",
            "EXECUTE p",
            "DISCARD TEMP",
            "SELECT 'never ended",
            "SELECT set_config('search_path', $1, true)",
            "SELECT set_config($1, $2, true)",
            "SELECT set_config('search_path', 'a', true) WHERE false",
            "SELECT set_config('search_path', 'a', true) FROM nothing",
            "SELECT CASE WHEN false THEN set_config('role', 'bob', true) END",
            "SET LOCAL ROLE bob; ROLLBACK; BEGIN",
            "SET search_path FROM CURRENT",
        ],
    )
    def test_what_cannot_be_known_is_like_nothing_else(self, text: str) -> None:
        found, other = since(None, text), since(None, text)
        assert found is not None
        assert isinstance(found[-1], Unknown)
        assert found != other

    def test_many_changes_are_not_told_apart(self) -> None:
        found = None
        for number in range(2 * CHANGES_LIMIT):
            found = since(found, f"SET LOCAL search_path TO s{number}")
            assert found is not None
            assert len(found) <= CHANGES_LIMIT
        assert found is not None
        assert isinstance(found[0], Unknown)


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
        changes = (Change(setting, "a"),), (Change(setting, "b"),)
        assert self.of(text, (), changes[0]) != self.of(text, (), changes[1])

    @pytest.mark.parametrize("setting", ["timezone", "datestyle", "intervalstyle", "array_nulls"])
    def test_only_literals_depend_on_how_they_are_read(self, setting: str) -> None:
        settings = ((setting, "a"),), ((setting, "b"),)
        changes = tuple((Change(*pair),) for (pair,) in settings)
        for text, is_same in (("SELECT $1", True), ("SELECT 'x'", False), ("SELECT $$x$$", False)):
            assert (self.of(text, settings[0]) == self.of(text, settings[1])) == is_same
            assert (self.of(text, (), changes[0]) == self.of(text, (), changes[1])) == is_same

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
