"""What a connection runs between two clients, and what it may report."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from forebay.protocol.messages import parameter_status
from forebay.relay import Command
from forebay.session.replays import Replay
from forebay.session.settings import InternTable, Settings
from forebay.worker.pool.changeover import PARAMETERS_LIMIT, Changeover
from forebay.worker.pool.manager import Limits, PoolManager
from tests.unit.worker.clock import Clock

FAILED = Command()
FAILED.error = b"SERROR\0C42601\0Msyntax error\0\0"


def replay(changeover: Changeover, old: Settings, new: Settings) -> Replay:
    server = SimpleNamespace(settings=old, stale=False, plans_mixed=False, begins_hasty=False)
    return changeover.replay(cast(Any, server), cast(Any, SimpleNamespace(settings=new)))


class Connection:
    """As much of a Server as is cleaned: notes what it is to run, and what becomes of it."""

    def __init__(self) -> None:
        self.ran: list[bytes] = []
        self.done: list[Callable[..., None]] = []
        self.settings: Settings | None = None
        self.shut_for = ""

    def run(self, sql: bytes, done: Callable[..., None]) -> None:
        self.ran.append(sql)
        self.done.append(done)

    def was_reset(self, settings: Settings) -> None:
        self.settings = settings

    def shut(self, reason: str) -> None:
        self.shut_for = reason


def reset(changeover: Changeover, *outcomes: Command) -> Connection:
    """A connection that was reset, each command with its outcome."""
    connection = Connection()
    changeover.reset(cast(Any, connection))
    for done, outcome in zip(connection.done, outcomes, strict=True):
        done(connection, outcome)
    return connection


def test_a_reset_is_over_with_its_last_command() -> None:
    intern = InternTable()
    plain = reset(Changeover(intern, ""), Command())
    assert (plain.ran, plain.settings) == ([b"DISCARD ALL"], intern.none)
    with_query = reset(Changeover(intern, "SET a.b = 1"), Command(), Command())
    assert with_query.ran == [b"DISCARD ALL", b"SET a.b = 1"]
    assert with_query.settings is intern.none
    assert not with_query.shut_for


@pytest.mark.parametrize("outcomes", [(FAILED, Command()), (Command(), FAILED)])
def test_a_reset_that_fails_closes(outcomes: tuple[Command, Command]) -> None:
    assert reset(Changeover(InternTable(), "SET a.b = 1"), *outcomes).shut_for


def test_micro_pools_see_another_init_query() -> None:
    intern = InternTable()
    manager = PoolManager(
        cast(Any, Clock()),
        Limits(100, 100, 10, "SET a.b = 1"),
        intern,
        cast(Any, None),
        cast(Any, None),
    )
    changeover = manager.pool("app", "alice").changeover
    old, new = intern.settings((("a.c", "1"),)), intern.none
    assert b"SET a.b = 1" in replay(changeover, old, new).plain
    manager.apply(Limits(100, 100, 10, "SET a.b = 2"))
    assert manager.pool("app", "alice").changeover is changeover
    assert manager.pool("app", "bob").changeover is changeover
    assert b"SET a.b = 2" in replay(changeover, old, new).plain
    assert reset(changeover, Command(), Command()).ran[1] == b"SET a.b = 2"
    assert changeover.has_init_query
    manager.apply(Limits(100, 100, 10, ""))
    assert replay(changeover, old, new).plain.count(b"SET") == 1  # the RESET alone
    assert not changeover.has_init_query


def test_parameters_are_bounded() -> None:
    changeover = Changeover(InternTable(), "")
    full = InternTable().parameters({f"p{number}": "" for number in range(PARAMETERS_LIMIT)})
    body = parameter_status("p0", "new")[5:]
    assert changeover.parameter_changed(full, body).values["p0"] == "new"
    with pytest.raises(ValueError, match="too many"):
        changeover.parameter_changed(full, parameter_status("one more", "")[5:])


CANCELLED = b"SERROR\0C57014\0Mcanceling statement due to user request\0\0"
NAMED = b'SERROR\0C42704\0Munrecognized configuration parameter "x.y"\0\0'


def test_what_cannot_be_taken_back_is_not_its_next_client_s_fault() -> None:
    intern = InternTable()
    changeover = Changeover(intern, "")
    for values, retired in (((), True), ((("app.a", "1"),), True), ((("x.y", "1"),), False)):
        server = cast(Any, SimpleNamespace(settings=intern.settings(values), retired=False, pid=1))
        changeover.replay_failed(server, NAMED, True)
        assert server.retired is retired


def test_after_a_refusal_that_was_not_expected_these_settings_are_confirmed() -> None:
    intern = InternTable()
    changeover = Changeover(intern, "")
    mine = intern.settings((("app.a", "1"),))
    others = intern.settings((("app.b", "1"),))
    server = cast(Any, SimpleNamespace(settings=mine, retired=False, pid=1))
    assert not replay(changeover, intern.none, mine).must_confirm
    changeover.replay_failed(server, NAMED, True)
    changeover.replay_failed(server, CANCELLED, False)
    assert not replay(changeover, intern.none, mine).must_confirm
    changeover.replay_failed(server, NAMED, False)
    assert replay(changeover, intern.none, mine).must_confirm
    assert replay(changeover, mine, others).must_confirm
    assert not replay(changeover, intern.none, others).must_confirm


NO_TEXT = b'SERROR\0C22021\0Minvalid byte sequence for encoding "UTF8": 0xe9\0\0'
SPENT = (
    b'SERROR\0C22023\0Minvalid value for parameter "temp_buffers": 200\0'
    b'D"temp_buffers" cannot be changed after any temporary tables have been accessed\0\0'
)


@pytest.mark.parametrize(("error", "retired"), [(NO_TEXT, False), (SPENT, True)])
def test_a_value_that_will_not_do_is_its_client_s_fault(error: bytes, retired: bool) -> None:
    intern = InternTable()
    mine = intern.settings((("my.own", "1"), ("temp_buffers", "200")))
    server = cast(Any, SimpleNamespace(settings=mine, retired=False, pid=1))
    Changeover(intern, "").replay_failed(server, error, True)
    assert server.retired is retired
