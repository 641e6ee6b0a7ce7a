"""What is said of the connections that clients hold."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.session.causes import PinReason
from forebay.session.pins import Notes
from forebay.worker.pool.holders import (
    NAMED,
    OTHERS_HINT,
    UNREACHED_HINT,
    Holder,
    State,
    Survey,
    holder_of,
    quoted,
)


def server(application: str = "web", user: str = "app", **state: Any) -> Any:
    """A connection that a client holds, as far as is looked at."""
    notes = Notes(lasting=set(state.get("pins", ())))
    client = SimpleNamespace(
        pool=SimpleNamespace(user=user, database="shop"),
        settings=SimpleNamespace(values=(("application_name", application),)),
        notes=notes,
        process_id=7,
        is_closed=True,
        pinned=bool(notes.reasons),
        is_stalled=state.get("is_stalled", False),
        last_progress=state.get("last_progress", 90.0),
    )
    return SimpleNamespace(
        pool=client.pool,
        pid=4711,
        client=state.get("client", client),
        ledger=SimpleNamespace(count=state.get("owed", 0)),
        status=ord(state.get("status", "T")),
        in_transaction=state.get("status", "T") != "I",
        lent_at=state.get("lent_at", 80.0),
        opened_at=1.0,
        idle_since=2.0,
    )


def survey(*servers: Any, limit: int | None = None, opening: int = 0, waiting: int = 3) -> Survey:
    holders = [holder_of(each) for each in servers]
    return Survey(100.0, holders, opening, limit or len(servers), waiting)


@pytest.mark.parametrize(
    ("state", "kind", "how"),
    [
        ({}, State.IDLE_IN_TRANSACTION, "idle in transaction for 10.0 s, held for 20.0 s"),
        ({"status": "E"}, State.ABORTED, "idle in transaction (aborted) for 10.0 s, held for"),
        ({"owed": 1}, State.ACTIVE, "active for 10.0 s, held for"),
        ({"owed": 1, "is_stalled": True}, State.STALLED, "stalled in a request for 10.0 s, held"),
        ({"status": "I"}, State.IDLE, "idle for 10.0 s, held for"),
        (
            {"status": "I", "pins": {PinReason.SEQUENCE, PinReason.LISTEN}},
            State.PINNED,
            "idle, pinned (LISTEN, SEQUENCE) for 10.0 s, held for",
        ),
        (
            {"owed": 1, "pins": {PinReason.SEQUENCE}},
            State.ACTIVE,
            "active for 10.0 s, pinned (SEQUENCE), held for 20.0 s",
        ),
        ({"client": None}, State.CLEANED, "being cleaned for 20.0 s, held for 20.0 s"),
    ],
)
def test_what_a_connection_does(state: dict[str, Any], kind: State, how: str) -> None:
    holder = holder_of(server(**state))
    assert holder.state is kind
    assert holder.how(100.0).startswith(how)


def test_the_longest_are_named_and_the_others_counted() -> None:
    found = [server(f"job {n % 2}", lent_at=10.0 * n, last_progress=10.0 * n) for n in range(9)]
    found.append(server(owed=1, lent_at=99.0))
    told = survey(*reversed(found))
    lines = told.detail("app").splitlines()
    assert lines[0] == (
        "All 10 database connections are held: 9 idle in transaction, 1 active;"
        " 3 clients are waiting."
    )
    assert lines[1:6] == [
        f'user "app", application "job {n % 2}": idle in transaction for {100 - 10 * n}.0 s,'
        f" held for {100 - 10 * n}.0 s."
        for n in range(NAMED)
    ]
    assert lines[6] == (
        '... and 5 more (2 of application "job 1", 2 of application "job 0", 1 of application'
        ' "web").'
    )
    sentence = told.sentence()
    assert sentence.count("dbConnection=4711") == NAMED
    assert sentence.endswith(
        'and 5 more (2 of user "app", application "job 1", 2 of user "app", application "job 0",'
        ' 1 of user "app", application "web").'
    )
    assert told.fields()["connections"]["states"] == {"idle in transaction": 9, "active": 1}


def test_who_has_many_names_is_cut() -> None:
    told = survey(*(server(f"app {n}", lent_at=float(n)) for n in range(50)))
    assert told.detail("app").splitlines()[-1].endswith('1 of application "app 9", ...).')
    assert len(told.detail("app")) < 1000
    assert len(told.sentence()) < 2000


def test_what_most_do_gives_the_way_out() -> None:
    told = survey(
        server(),
        server(status="E"),
        server(owed=1),
        server(owed=1, user="other"),
        server(owed=1, user="other"),
    )
    assert told.hint("app").startswith("Commit or roll back")
    assert told.hint("other").startswith("The connections are at work")
    assert told.hint().startswith("The connections are at work")
    assert told.hint("third") == OTHERS_HINT
    assert survey(limit=4).hint("app") == UNREACHED_HINT
    assert survey(server(client=None)).hint("app") == UNREACHED_HINT


@pytest.mark.parametrize(
    ("held", "opening", "limit", "said"),
    [
        (1, 0, 1, "The only database connection is held: "),
        (3, 0, 2, "All 3 database connections are held: "),
        (2, 1, 3, "Of at most 3 database connections 2 are held, 1 being opened: "),
        (0, 0, 3, "Of at most 3 database connections 0 are held."),
    ],
)
def test_how_many_there_are(held: int, opening: int, limit: int, said: str) -> None:
    told = survey(*(server() for _ in range(held)), limit=limit, opening=opening)
    assert told.sentence().startswith(said)


def test_before_the_limit_is_known() -> None:
    told = Survey(100.0, [], 1, None, 1)
    assert told.sentence() == "No database connection could be opened yet."
    assert told.detail("app") == (
        "No database connection could be opened yet; 1 client is waiting."
    )


def test_a_client_that_left_is_not_missed() -> None:
    holder = Holder(server(), None, State.CLEANED, 1.0, 1.0)
    assert holder.pins == ""
    assert Survey(100.0, [holder], 0, 1, 1).detail("app").splitlines()[1].startswith('user "app": ')


def test_names_are_on_one_line_and_not_too_long() -> None:
    assert quoted('a"b\nc') == '"a""b?c"'
    assert quoted("x" * 63) == f'"{"x" * 63}"'
    assert quoted("x" * 64) == f'"{"x" * 63}..."'
    assert quoted(cast(str, "\udcff\x1b")) == '"??"'
