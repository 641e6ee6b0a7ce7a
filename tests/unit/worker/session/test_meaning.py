"""Which statements may change what names mean, and for whom that is the same."""

import pytest

from forebay.sql.effects import effects
from forebay.worker.session.meaning import CHANGES_LIMIT, meaning_since

OWN = 7


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
def test_most_statements_leave_it(text: str) -> None:
    assert meaning_since(None, effects(text), OWN) is None
    assert meaning_since(("before",), effects(text), OWN) == ("before",)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("SET LOCAL search_path TO a, b", (("search_path", "a, b"),)),
        ("SET search_path TO a", (("search_path", "a"),)),
        ("SET LOCAL ROLE bob", (("role", "bob"),)),
        ("RESET ROLE", (("role", None),)),
        ("RESET ALL", (("", None),)),
        ("SELECT set_config('search_path', $1, true)", (("search_path", None),)),
        ("SELECT set_config($1, $2, true)", (("", None),)),
        (
            "SET LOCAL ROLE bob; SET LOCAL search_path TO a",
            (("role", "bob"), ("search_path", "a")),
        ),
    ],
)
def test_settings_that_matter_are_told_apart_by_their_values(
    text: str, changes: tuple[tuple[str, str | None], ...]
) -> None:
    assert meaning_since(None, effects(text), OWN) == changes
    assert meaning_since(("before",), effects(text), OWN) == ("before", *changes)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TEMP TABLE t (n int)",
        "DO $$BEGIN EXECUTE 'SET ROLE bob'; END$$",
        "EXECUTE p",
        "DISCARD TEMP",
        "SELECT 'never ended",
    ],
)
def test_what_cannot_be_known_is_the_clients_own(text: str) -> None:
    assert meaning_since(None, effects(text), OWN) == (OWN,)


def test_many_changes_are_not_told_apart() -> None:
    found = None
    for number in range(2 * CHANGES_LIMIT):
        found = meaning_since(found, effects(f"SET LOCAL search_path TO s{number}"), OWN)
        assert found is not None
        assert len(found) <= CHANGES_LIMIT
    assert found is not None
    assert found[0] == OWN
