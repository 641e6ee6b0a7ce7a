"""See that a database connection has a prepared statement."""

from tests.playbooks import wording
from tests.unit.relay.loopback import Loopback

LIMIT = 500  # on one connection
DONE = "ParseComplete, Ready I"


def fill(loopback: Loopback, count: int) -> list[str]:
    """Let a client prepare so many statements on a new connection. Returns their names there."""
    database, client = loopback.database(), loopback.client()
    client.sends(", ".join(f"Parse n{n} 'SELECT {n}'" for n in range(count)))
    client.sends("Sync")
    names = [
        frame[5:].partition(b"\0")[0].decode()
        for frame in wording.frames(database.received())[0]
        if frame[:1] == b"P"
    ]
    assert len(names) == count
    database.sends(", ".join(["ParseComplete"] * count + ["Ready I"]))
    client.received()
    return names


def test_what_is_lacking_is_prepared_in_the_same_write_unheard(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", DONE)
    client.gets(DONE)
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Execute, Sync")
    other.answers(
        "Parse _forebay_# 'SELECT 1', Bind _forebay_#, Execute, Sync",
        "ParseComplete, BindComplete, CommandComplete 'SELECT 1', Ready I",
    )
    client.gets("BindComplete, CommandComplete 'SELECT 1', Ready I")
    client.sends("Bind one, Execute, Sync")
    other.gets("Bind _forebay_#, Execute, Sync")


def test_an_error_of_that_is_the_clients(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", DONE)
    client.gets(DONE)
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Execute, Sync")
    other.received()
    other.sends("Error 42P01 'no such table', Ready I")
    client.gets("Error 42P01 'no such table', Ready I")
    assert list(client.peer.statements or ()) == [b"one"]
    client.sends("Bind one, Sync")
    other.gets("Parse _forebay_# 'SELECT 1', Bind _forebay_#, Sync")


def test_the_least_used_of_500_makes_room(loopback: Loopback) -> None:
    names = fill(loopback, LIMIT)
    ((database,), (client,)) = loopback.databases, loopback.clients
    client.sends("Bind n0, Sync")  # so it is not the least used
    database.answers(f"Bind {names[0]}, Sync", "BindComplete, Ready I")
    client.received()
    client.sends("Parse more 'SELECT more', Sync")
    database.answers(
        f"Close S {names[1]}, Parse _forebay_# 'SELECT more', Sync", f"CloseComplete, {DONE}"
    )
    client.gets(DONE)
    client.sends("Bind n0, Bind n1, Sync")  # which the client has still
    database.gets(
        f"Bind {names[0]}, Close S {names[2]}, Parse {names[1]} 'SELECT 1', Bind {names[1]}, Sync"
    )


def test_up_to_500_nothing_is_closed(loopback: Loopback) -> None:
    fill(loopback, LIMIT - 1)
    ((database,), (client,)) = loopback.databases, loopback.clients
    client.sends("Parse more 'SELECT more', Sync")
    database.gets("Parse _forebay_# 'SELECT more', Sync")


def test_a_name_given_unasked_ends_if_the_database_refuses_by_now(loopback: Loopback) -> None:
    second, first = loopback.database(), loopback.database()
    client, other = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    first.answers("Parse _forebay_# 'SELECT 1', Sync", DONE)
    client.gets(DONE)
    client.asks("Query BEGIN", first, "CommandComplete BEGIN, Ready T")
    other.sends("Parse two 'SELECT 1', Bind two, Sync")
    other.gets("ParseComplete")  # as it was accepted before
    second.gets("Parse _forebay_# 'SELECT 1', Bind _forebay_#, Sync")
    second.sends("Error 42P01 'no such table', Ready I")
    other.gets("Error 42P01 'no such table', Ready I")
    assert other.peer.statements == {}
