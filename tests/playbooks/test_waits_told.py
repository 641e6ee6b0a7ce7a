"""What the log and those who wait are told when the connections are held, at any moment."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest

from forebay.logs import JsonFormatter, QueuedHandler
from forebay.net.connector import ConnectError
from forebay.protocol.errors import PgError
from forebay.worker.pool.holders import NAMED, OTHERS_HINT
from tests.harness import eventually
from tests.playbooks import wording
from tests.playbooks.rig import Rig

BEGIN = wording.encode("Query 'BEGIN'")
SELECT = wording.encode("Query 'SELECT 1'")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "forebay.pool")
    return caplog


def lines(said: pytest.LogCaptureFixture, words: str) -> list[logging.LogRecord]:
    return [each for each in said.records if words in each.getMessage()]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record)["fields"]
    return found


def hold(rig: Rig, *names: str, user: str = "app", status: str = "T") -> None:
    """Clients that begin a transaction each and go idle."""
    for name in names:
        rig.client(name, (("application_name", f"job {name}"),), user=user)
        rig.send(name, BEGIN)
        server = next(key for key, each in rig.servers.items() if each.client is rig.clients[name])
        rig.received(server)
        answer = f"Changed, CommandComplete BEGIN, Ready {status}"
        rig.send(server, wording.encode(answer))
        rig.received(name)


def wait(rig: Rig, *names: str, user: str = "app") -> None:
    for name in names:
        rig.client(name, user=user)
        rig.send(name, SELECT)
        assert rig.clients[name].is_waiting


def refused(rig: Rig, name: str) -> PgError:
    """The error that a client got."""
    data = rig.received(name)
    rig.actors[name].inbox = b""
    assert data[:1] == b"E"
    return PgError.parse(data[5 : 1 + int.from_bytes(data[1:5], "big")])


def forget(rig: Rig) -> None:
    for actor in rig.actors.values():
        actor.inbox = b""


def test_a_long_wait_is_told_once_in_a_while(said: pytest.LogCaptureFixture) -> None:
    with Rig(limit=1) as rig:
        hold(rig, "a")
        wait(rig, "b", "c")
        rig.pass_time(1)
        assert not lines(said, "wait")
        rig.pass_time(1)
        (line,) = lines(said, "2 clients wait for a database connection, the first for 2.")
        assert line.levelname == "WARNING"
        assert "The only database connection is held: 1 idle in transaction" in line.getMessage()
        assert (
            '[dbConnection=1000] user "app", database "app", application "job a", client on a'
            " Unix socket: idle in transaction for 2." in line.getMessage()
        )
        for _ in range(50):
            rig.pass_time(1)
        assert len(lines(said, "clients wait for")) == 1
        for _ in range(12):
            rig.pass_time(1)
        assert len(lines(said, "clients wait for")) == 2
        forget(rig)


def test_a_wait_that_ends_is_not_told(said: pytest.LogCaptureFixture) -> None:
    with Rig(limit=1) as rig:
        hold(rig, "a")
        wait(rig, "b", "c")
        rig.pass_time(1)
        rig.leave("b")
        rig.clients["c"].fail(b"", "it is told something else")
        rig.pass_time(100)
        assert not lines(said, "wait")
        forget(rig)


def test_who_waits_in_vain_is_told_who_holds(said: pytest.LogCaptureFixture) -> None:
    with Rig(limit=2) as rig:
        hold(rig, "a", "b")
        wait(rig, "c")
        rig.pass_time(121)
        error = refused(rig, "c")
        assert (error.sqlstate, error.severity.value) == ("08000", "ERROR")
        assert error.detail is not None
        first, *others = error.detail.splitlines()
        assert first == (
            "All 2 database connections are held: 2 idle in transaction; 1 client is waiting."
        )
        assert [each.partition(": ")[0] for each in others] == [
            'user "app", application "job a"',
            'user "app", application "job b"',
        ]
        assert all(": idle in transaction for 121." in each for each in others)
        assert error.hint is not None
        assert error.hint.startswith("Commit or roll back before a client goes idle")
        (line,) = lines(said, "A client that waited for a database connection was refused after")
        assert "after 121." in line.getMessage()
        assert "All 2 database connections are held" in line.getMessage()
        assert fields(line)["connections"] == {
            "held": 2,
            "opening": 0,
            "limit": 2,
            "states": {"idle in transaction": 2},
        }
        forget(rig)


def test_refusals_are_told_at_once_and_the_next_as_a_count(
    said: pytest.LogCaptureFixture,
) -> None:
    with Rig(limit=1) as rig:
        hold(rig, "a")
        wait(rig, *(f"w{number}" for number in range(30)))
        rig.pass_time(121)
        (line,) = lines(said, "30 clients that waited for a database connection were refused")
        assert "; and 25 more. The only database connection is held" in line.getMessage()
        assert (fields(line)["count"], len(fields(line)["refused"])) == (30, NAMED)
        for number in range(8):  # they have waited since the rig's time began
            wait(rig, f"x{number}")
            rig.pass_time(0.1)
            assert refused(rig, f"x{number}").sqlstate == "08000"
        assert len(lines(said, "refused after")) == 1
        rig.pass_time(0.3)
        (line,) = lines(said, "8 clients that waited for a database connection were refused")
        rig.pass_time(5)
        assert len(lines(said, "refused after")) == 2
        forget(rig)


def test_a_full_queue_is_told(said: pytest.LogCaptureFixture) -> None:
    with Rig(limit=1, queue=1) as rig:
        hold(rig, "a")
        wait(rig, "b")
        rig.client("c")
        rig.send("c", SELECT)
        assert refused(rig, "c").sqlstate == "53300"
        rig.pass_time(0.1)
        (line,) = lines(said, "A client that waited for a database connection was refused after")
        assert "Too many clients are waiting for a database connection. Who: " in line.getMessage()
        forget(rig)


def test_another_users_sessions_are_counted_and_not_described() -> None:
    with Rig(limit=3) as rig:
        hold(rig, "a", "b", user="alice")
        hold(rig, "m", user="mallory")
        wait(rig, "n", user="mallory")
        wait(rig, "o", user="oscar")
        rig.pass_time(121)
        own, none = refused(rig, "n"), refused(rig, "o")
        assert own.detail is not None
        assert own.detail.splitlines()[0] == (
            "All 3 database connections are held, 2 of them by other users; of user"
            ' "mallory": 1 idle in transaction; 2 clients are waiting.'
        )
        assert (len(own.detail.splitlines()), "job m" in own.detail) == (2, True)
        assert none.detail == (
            "All 3 database connections are held, 3 of them by other users; 2 clients are waiting."
        )
        assert none.hint == OTHERS_HINT
        for error in (own, none):
            assert not {"alice", "job a", "job b"} & set((error.detail or "").split('"'))
        forget(rig)


def test_what_is_told_is_bounded_and_plain(said: pytest.LogCaptureFixture) -> None:
    """Names come from clients: no line of a log, no terminal and no encoding is theirs."""
    with Rig(limit=20) as rig:
        for number in range(20):
            name = f"h{number}"
            odd = 'x"\n\x1b[31mERROR ' + "ü" * 4 + "\udcff" + "y" * 5000
            rig.client(name, (("application_name", odd),))
            rig.send(name, BEGIN)
        wait(rig, "w")
        rig.pass_time(121)
        error = refused(rig, "w")
        assert error.detail is not None
        assert error.detail.isascii()
        assert len(error.detail.splitlines()) == NAMED + 2
        assert error.detail.splitlines()[-1].startswith("... and 15 more (15 of application ")
        assert len(error.detail) < 1500
        assert 'application "x""??[31mERROR ?????yyy' in error.detail
        for line in lines(said, "database connection"):
            assert line.getMessage().isprintable()
            assert len(JsonFormatter().format(line)) < 8000
        forget(rig)


STATES = {
    "active": ("CommandComplete BEGIN, Ready T", SELECT, "active", "The connections are at work"),
    "aborted": ("CommandComplete BEGIN, Ready E", b"", "(aborted)", "Commit or roll back"),
    "stalled": (
        "CommandComplete BEGIN, Ready T",
        wording.encode("Parse '' 'SELECT 1'"),
        "stalled in a request",
        "Clients hold connections in the middle of a request",
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_the_way_out_depends_on_what_they_do(name: str) -> None:
    answer, then, state, way_out = STATES[name]
    with Rig(limit=1) as rig:
        rig.client("a")
        rig.send("a", BEGIN)
        rig.send("db1", wording.encode(answer))
        if then:
            rig.send("a", then)
        wait(rig, "b")
        rig.pass_time(121)
        error = refused(rig, "b")
        assert state in (error.detail or "")
        assert (error.hint or "").startswith(way_out)
        forget(rig)


def test_pins_are_told_with_their_reasons() -> None:
    with Rig(limit=1) as rig:
        rig.client("a")
        rig.send("a", wording.encode("Query 'LISTEN news'"))
        rig.send("db1", wording.encode("CommandComplete LISTEN, Ready I"))
        rig.send("db1", wording.encode("Holds LISTEN, Ready I"))
        assert rig.clients["a"].pinned
        wait(rig, "b")
        rig.pass_time(121)
        error = refused(rig, "b")
        assert "1 idle, pinned (LISTEN); 1 client is waiting." in (error.detail or "")
        assert (error.hint or "").startswith("Pinned clients keep their connection")
        forget(rig)


def test_why_none_could_be_opened_is_still_told(said: pytest.LogCaptureFixture) -> None:
    with Rig(limit=2) as rig:
        rig.opening_errors = [ConnectError("no route", transient=True) for _ in range(200)]
        rig.client("a")
        rig.send("a", SELECT)
        rig.pass_time(6)
        (line,) = lines(said, "1 client waits for a database connection")
        assert "The last opening failed: no route" in line.getMessage()
        rig.pass_time(121)
        error = refused(rig, "a")
        assert error.detail == "no route"
        assert "forebay check" in (error.hint or "")
        rig.opening_errors.clear()


def test_idle_transactions_are_told(said: pytest.LogCaptureFixture) -> None:
    with Rig(limit=10) as rig:
        hold(rig, "a", "b")
        for _ in range(59):
            rig.pass_time(1)
        assert not lines(said, "idle for")
        for _ in range(20):
            rig.pass_time(1)
        (line,) = lines(said, "2 transactions have been idle for 60.0 s or more: ")
        assert 'application "job a"' in line.getMessage()
        assert fields(line)["hint"].startswith("Commit or roll back")
        rig.send("a", SELECT)
        rig.send("db1", wording.encode("Result, Ready T"))
        for _ in range(62):
            rig.pass_time(1)
        (line,) = lines(said, "A transaction has been idle for 60.0 s or more: ")
        assert "job a" in line.getMessage()
        for _ in range(100):
            rig.pass_time(1)
        assert len(lines(said, "idle for 60.0 s")) == 2
        forget(rig)


def test_those_at_work_or_between_transactions_are_not_idle(
    said: pytest.LogCaptureFixture,
) -> None:
    with Rig(limit=10) as rig:
        rig.client("a")
        rig.send("a", SELECT)
        rig.client("b")
        rig.send("b", wording.encode("Query 'LISTEN news'"))
        rig.send("db2", wording.encode("CommandComplete LISTEN, Ready I"))
        rig.send("db2", wording.encode("Holds LISTEN, Ready I"))
        for _ in range(200):
            rig.pass_time(1)
        assert not lines(said, "idle for")
        forget(rig)


@pytest.fixture
def unread() -> Iterator[tuple[int, int]]:
    """A pipe."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(descriptor)


@pytest.mark.parametrize("way", ["closed", "full"])
def test_a_log_that_cannot_be_written_holds_nobody_up(unread: tuple[int, int], way: str) -> None:
    reader, writer = unread
    if way == "closed":
        os.close(reader)
    else:
        os.set_blocking(writer, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
    handler = QueuedHandler(writer, queue_lines=1)
    logger = logging.getLogger("forebay.pool")
    logger.addHandler(handler)
    try:
        with Rig(limit=1) as rig:
            hold(rig, "a")
            wait(rig, "b", "c")
            for _ in range(130):
                rig.pass_time(1)
            for name in ("b", "c"):
                assert "held: 1 idle in transaction" in (refused(rig, name).detail or "")
            rig.send("a", wording.encode("Query 'COMMIT'"))
            rig.send("db1", wording.encode("CommandComplete COMMIT, Ready I"))
            rig.send("b", SELECT)
            assert rig.clients["b"].server is not None
            forget(rig)
        eventually(lambda: handler.dropped)
    finally:
        logger.removeHandler(handler)
        if way == "full":
            os.set_blocking(reader, False)
            eventually(lambda: not _drain(reader))
        handler.close()


def _drain(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 20)
    except BlockingIOError:
        return b""
