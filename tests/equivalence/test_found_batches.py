"""Small programs that once showed a difference or hung: simple queries within batches, and what has
to wait behind what Forebay sends for itself."""

from collections.abc import Callable

import pytest

from tests.equivalence.lanes import Step, World, differs
from tests.equivalence.test_found import S, batch, query, runs

WITH_SETTINGS = Step(0, (("connect", "work_mem", "5MB"),))
APPLICATIONS = [
    Step(lane, (("connect", "application_name", name),)) for lane, name in enumerate(("one", "two"))
]
FOUND = {
    "DEALLOCATE of one name where the connection must be changed over first": [
        query(0, "SET work_mem = '5MB'"),
        *(query(lane, "SELECT 1") for lane in (1, 0)),
        *(batch(0, ("P", name, "SELECT 1"), S) for name in ("a", "b")),
        query(1, "SELECT 1"),
        query(0, "DEALLOCATE b"),
        query(1, "SELECT 1"),
        query(0, "DEALLOCATE a"),
    ],
    "DEALLOCATE of one name where plans are to be discarded first": [
        batch(0, ("P", "b", "SELECT 1"), S),
        query(0, "SET app.tenant = 'a'"),
        query(0, "DEALLOCATE b"),
        batch(0, ("P", "b", "SELECT 1"), S),
        query(0, "BEGIN; SET ROLE visitor"),
        query(0, "DEALLOCATE b"),
        query(0, "COMMIT"),
    ],
    "a reset that is skipped in a batch takes nothing back": [
        WITH_SETTINGS,
        batch(0, ("E", "none", "0"), ("Q", "DISCARD ALL"), S),
        batch(0, ("E", "none", "0"), ("Q", "RESET ALL"), S),
        query(0, "SHOW work_mem"),
    ],
    "a Query that is skipped is no turn before that of a reset": [
        WITH_SETTINGS,
        query(0, "BEGIN"),
        batch(
            0,
            *(("E", "none", "0"), ("Q", "SELECT 1"), *runs("RESET ALL"), S),
            *(("B", "", "b"), S),
        ),
        query(0, "ROLLBACK"),
        query(0, "SHOW work_mem"),
    ],
    "a Query ends the unnamed statement that a skipped Close has not": [
        batch(0, ("P", "", "SELECT 1"), S),
        batch(0, ("D", "P", "p"), ("C", "S", ""), S, ("Q", "SET work_mem = '5MB'"), S),
        batch(0, ("B", "", ""), ("E", "", "0"), S),
    ],
    "plans are discarded behind a Query that is skipped": [
        batch(
            0,
            *(("P", "", "SELECT 1"), ("B", "", "none"), ("Q", "SET ROLE visitor"), S),
            *(("B", "", ""), ("E", "", "0"), S),
        ),
    ],
    "plans are not discarded in a transaction that a Query aborts in the same write": [
        batch(
            0,
            *(*runs("BEGIN"), ("Q", "SET LOCAL app.x = 'a'; SELECT 1/0"), *runs("ROLLBACK"), S),
        ),
        query(0, "SELECT 1"),
    ],
    "plans are discarded behind a Query in a batch, and DISCARD ALL follows": [
        query(0, "SELECT 1"),
        batch(0, ("P", "", "SELECT 1"), ("Q", "SET ROLE visitor"), *runs("DISCARD ALL"), S),
        batch(
            0,
            *(("P", "", "SELECT 1"), ("Q", "SET ROLE visitor"), ("P", "a", "SELECT 1")),
            *(("Q", "SET LOCAL work_mem = '5MB'"), S),
        ),
    ],
    "plans are discarded before a Query in a batch that has executed nothing": [
        batch(0, ("P", "", "BEGIN"), ("B", "p", ""), ("E", "p", "0"), S),
        batch(0, ("P", "b", "SELEC"), *runs("SELECT set_config('role', 'visitor', true)"), S, S),
        batch(
            0,
            *(*runs("COMMIT"), S, ("C", "S", "b")),
            *(("Q", "SELECT set_config('role', 'visitor', true)"), S),
        ),
    ],
    "plans are discarded behind a Flush, which makes no pipeline": [
        batch(
            0,
            *(("P", "", "SET LOCAL app.whom = 'c'"), ("P", "", "BEGIN"), ("B", "", "")),
            *(("E", "", "0"), S),
        ),
        batch(
            0,
            *(("P", "", "SET LOCAL app.whom = 'c'"), ("B", "", ""), ("B", "", "b")),
            *(("E", "", "0"), S, S),
        ),
        batch(0, *runs("COMMIT"), S, ("H",), *runs("SET LOCAL app.whom = 'c'"), S),
    ],
    "plans are discarded behind a COMMIT in a batch, and a Query follows": [
        batch(0, *runs("BEGIN"), S),
        batch(
            0,
            *(("E", "p", "1"), S, ("P", "b", "COMMIT"), ("Q", "COMMIT")),
            *(("P", "a", "SET app.whom = 'b'"), ("B", "", "a"), ("E", "", "0")),
            *(("P", "", "SELECT * FROM nowhere"), S, *runs("COMMIT")),
            *(("Q", "SELECT set_config('app.first', 'called', true)"), *runs("BEGIN"), S),
        ),
        query(0, "ROLLBACK"),
    ],
    "what a Query behind an Execute leaves of a transaction hits nobody else": [
        *APPLICATIONS,
        query(0, "SELECT 1"),
        query(1, "SELECT 1"),
        batch(0, *runs("SELECT 1"), ("Q", "SELECT 2"), S),
        query(1, "SELECT 3"),
    ],
}


@pytest.mark.parametrize("name", FOUND)
def test_no_difference(make_world: Callable[[int], World], name: str) -> None:
    world = make_world(1)
    for _ in range(3):
        assert differs(world, FOUND[name], 1) is None
