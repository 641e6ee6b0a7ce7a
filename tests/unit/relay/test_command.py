"""A command of Forebay's own on a database connection: what comes back of it."""

from forebay.relay import Command
from tests.playbooks import wording
from tests.unit.relay.loopback import FarDatabase, Loopback


def run(loopback: Loopback, done: list[Command] | None = None) -> tuple[FarDatabase, Command]:
    """A command on a connection that is otherwise free."""
    database = loopback.database()
    loopback.pool.take(database.peer)
    kept = [] if done is None else done
    command = database.peer.run(b"SHOW x", lambda _, command: kept.append(command))
    database.gets("Query 'SHOW x'")
    return database, command


def test_a_new_one_has_nothing() -> None:
    command = Command()
    assert (command.done, command.error, command.rows) == (None, None, [])
    assert not any((command.is_cut, command.is_replay, command.ends_turn))


def test_rows_are_kept_as_their_bodies(loopback: Loopback) -> None:
    done: list[Command] = []
    database, command = run(loopback, done)
    database.sends("RowDescription, Row a, Row b, CommandComplete SHOW, Ready I")
    assert done == [command]
    assert command.rows == [wording.encode(f"Row {each}")[5:] for each in "ab"]
    assert command.error is None
    assert database.is_idle


def test_the_last_error_is_kept(loopback: Loopback) -> None:
    database, command = run(loopback)
    database.sends("Row a, Error 42601 one, Error 57014 two, Ready I")
    assert command.error == wording.encode("Error 57014 two")[5:]


def test_more_rows_than_anybody_needs_are_cut(loopback: Loopback) -> None:
    database, command = run(loopback)
    row = wording.encode("Row a")
    database.transmits(row * 2000)
    assert (len(command.rows), command.is_cut) == (2000, False)
    database.transmits(row * 500 + wording.encode("Ready I"))
    assert (len(command.rows), command.is_cut) == (2000, True)


def test_one_that_nobody_asks_after_is_answered_too(loopback: Loopback) -> None:
    database = loopback.database()
    loopback.pool.take(database.peer)
    database.peer.run(b"SHOW x", None)
    database.answers("Query 'SHOW x'", "Row a, Ready I")
    assert database.is_idle
