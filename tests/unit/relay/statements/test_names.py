"""What a client has prepared: what it calls its statements, within limits."""

from forebay.protocol.messages import message
from tests.playbooks import wording
from tests.unit.relay.loopback import Loopback

MISSING = "Describe S _forebay_0"
MANY = 10_000
FAILS = "Error 26000 'prepared statement \"_forebay_0\" does not exist'"


def test_names_are_each_clients_own(loopback: Loopback) -> None:
    database, one, two = loopback.database(), loopback.client(), loopback.client()
    one.sends("Parse mine 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
    two.sends("Parse mine 'SELECT 2', Sync")
    database.answers("Parse _forebay_# 'SELECT 2', Sync", "ParseComplete, Ready I")
    make = loopback.sessions.texts.make
    assert one.peer.statements == {b"mine": make(b"SELECT 1")}
    assert two.peer.statements == {b"mine": make(b"SELECT 2")}
    for client, sql in ((one, b"SELECT 1"), (two, b"SELECT 2")):
        client.sends("Bind mine, Sync")
        name = make(sql).known.name.decode()
        database.answers(f"Bind {name}, Sync", "BindComplete, Ready I")


def test_names_are_cut_as_postgresql_cuts_them(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends(f"Parse {'n' * 70} 'SELECT 1', Bind {'n' * 63}, Bind {'n' * 65}, Sync")
    database.gets("Parse _forebay_# 'SELECT 1', Bind _forebay_#, Bind _forebay_#, Sync")
    assert list(client.peer.statements or ()) == [b"n" * 63]


def test_what_has_failed_was_never_there(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one nonsense, Sync")
    assert client.peer.statements
    database.received()
    database.sends("Error 42601 'syntax error', Ready I")
    assert client.peer.statements == {}


def test_a_close_that_was_skipped_has_closed_nothing(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one 'SELECT 1', Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
    client.sends("Bind missing, Close S one, Sync")
    assert client.peer.statements == {}
    database.answers(f"{MISSING}, Sync", f"{FAILS}, Ready I")
    assert list(client.peer.statements) == [b"one"]


def test_a_client_has_so_many_and_no_more(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.transmits(b"".join(message(b"P", b"n%d\0SELECT 1\0\0\0" % n) for n in range(MANY)))
    client.sends("Sync")
    database.answers("Parse _forebay_# 'SELECT 1', Sync", "ParseComplete, Ready I")
    assert client.received() == wording.encode("ParseComplete") * MANY + wording.encode("Ready I")
    assert len(client.peer.statements or ()) == MANY
    client.sends("Parse more 'SELECT 1', Sync")
    database.answers(f"{MISSING}, Sync", f"{FAILS}, Ready I")
    client.gets("Error 54000, Ready I")
    client.sends("Close S n7, Parse more 'SELECT 1', Sync")
    database.answers("Sync", "Ready I")
    client.gets("CloseComplete, ParseComplete, Ready I")


def test_nor_more_than_so_many_bytes(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    for number in range(3):
        text = b"SELECT" + b" " * (7 << 20) + b"%d" % number
        client.transmits(message(b"P", b"n%d\0" % number + text + b"\0\0\0"))
        sent = database.received()
        if number < 2:
            assert sent[:1] == b"P"
            database.sends("ParseComplete")
            client.gets("ParseComplete")
    assert sent == wording.encode(MISSING)
    client.sends("Sync")
    database.sends(f"{FAILS}, Ready I")
    client.gets("Error 54000, Ready I")
