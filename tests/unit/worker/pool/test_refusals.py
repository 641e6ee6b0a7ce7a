"""Who waited in vain is counted, and the first of them are named, until it was told."""

from types import SimpleNamespace
from typing import Any, cast

from forebay.protocol import errors
from forebay.protocol.errors import PgError
from forebay.worker.pool.holders import NAMED
from forebay.worker.pool.refusals import Refusals

TIMED_OUT = errors.borrow_timed_out()
FULL = errors.queue_full(7)


def client(name: str = "web", since: float | None = 90.0) -> Any:
    """As much of a client as is told of. `since`: when it began to wait; None: it does not."""
    return SimpleNamespace(
        pool=SimpleNamespace(user="app", database="shop"),
        settings=SimpleNamespace(values=(("application_name", name),)),
        process_id=7,
        is_closed=True,
        place=None if since is None else SimpleNamespace(waits_since=since),
    )


def note(refusals: Refusals, *clients: Any, error: PgError = TIMED_OUT) -> None:
    for each in clients:
        refusals.note(cast(Any, each), error, 100.0)


def test_one_is_told_with_what_it_was_told_and_how_long_it_waited() -> None:
    refusals = Refusals()
    note(refusals, client())
    (refused,) = refusals.take()
    assert refused.sentence() == (
        "A client that waited for a database connection was refused after 10.0 s: Timed-out waiting"
        ' to acquire database connection. Who: user "app", database "shop", application "web",'
        " client on a Unix socket."
    )
    (fields,) = refused.fields
    assert (fields["waited_s"], fields["application_name"]) == (10.0, "web")


def test_of_many_the_first_are_named_and_the_longest_wait_is_told() -> None:
    refusals = Refusals()
    note(refusals, *(client(f"job {number}", 50.0 + number) for number in range(NAMED)))
    note(refusals, *(client("late", since) for since in (1.0, 99.0)))
    (refused,) = refusals.take()
    said = refused.sentence()
    assert said.startswith(f"{NAMED + 2} clients that waited for a database connection were")
    assert "refused after 99.0 s: " in said
    assert said.endswith("; and 2 more.")
    assert "late" not in said
    assert said.count("application ") == len(refused.fields) == NAMED


def test_reasons_are_told_apart() -> None:
    refusals = Refusals()
    note(refusals, client(), client())
    note(refusals, client(), error=FULL)
    timed_out, full = refusals.take()
    assert (timed_out.error.sqlstate, timed_out.count) == ("08000", 2)
    assert (full.error.sqlstate, full.count) == ("53300", 1)


def test_who_did_not_wait_was_not_refused() -> None:
    refusals = Refusals()
    note(refusals, client(since=None))
    assert not refusals
    assert refusals.take() == []


def test_what_was_told_is_told_once() -> None:
    refusals = Refusals()
    note(refusals, client())
    assert refusals
    assert len(refusals.take()) == 1
    assert not refusals
    note(refusals, client())
    assert [each.count for each in refusals.take()] == [1]
