"""A portal is bound of a statement that may change the session whenever it is executed."""

import pytest

from forebay.protocol.messages import message
from tests.unit.relay.fakes import Meaning, Reading
from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

SET = b"SELECT set_config($1, $2, false)"


@pytest.fixture
def ends(loopback: Loopback) -> tuple[FarDatabase, FarClient]:
    """A client that has prepared, without a name, what may change its session."""
    database, client = loopback.database(), loopback.client()
    sent = f"Parse '' '{SET.decode()}', Sync"
    client.asks(sent, database, "ParseComplete, Ready I")
    return database, client


def bind(value: bytes, portal: bytes = b"") -> bytes:
    """Of the unnamed statement, with one value."""
    values = b"\0\0\0\1" + len(value).to_bytes(4, "big") + value
    return message(b"B", portal + b"\0\0" + values + b"\0\0")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"public", False),
        (b"pg_temp", True),
        (b"a, PG_TEMP", True),
        (b"pg_temp_3", True),
        (b"xpg_tempo", True),  # better once too often
        (b"pg_catalog", False),
        (b"pg_", False),
        (b"x" * 70_000, True),  # too long to be looked at
    ],
)
def test_whether_the_values_may_name_pg_temp(
    loopback: Loopback, ends: tuple[FarDatabase, FarClient], value: bytes, named: bool
) -> None:
    _, client = ends
    client.transmits(bind(value))
    assert loopback.sessions.texts.pg_temp == [named]


def test_a_statement_with_a_name_is_told_as_well(loopback: Loopback) -> None:
    loopback.sessions.texts.meaning = meaning = Meaning(Reading())
    loopback.database()
    client = loopback.client()
    client.sends(f"Parse mine '{SET.decode()}', Bind mine")
    assert loopback.sessions.texts.told == [("binds", SET)]
    statement = (client.peer.statements or {})[b"mine"]
    assert statement.meaning is meaning


def test_harmless_ones_are_not_told(loopback: Loopback) -> None:
    loopback.database()
    client = loopback.client()
    client.sends("Parse '' 'SELECT 1', Bind, Parse mine 'SELECT 2', Bind mine, Execute, Sync")
    assert loopback.sessions.texts.told == []


def test_what_follows_of_it_follows_when_it_is_executed(
    loopback: Loopback, ends: tuple[FarDatabase, FarClient]
) -> None:
    texts, (_, client) = loopback.sessions.texts, ends
    texts.following.add(SET)
    client.transmits(bind(b"x"))
    assert texts.of("executes") == []
    client.sends("Execute")
    assert texts.of("executes") == [SET]


def test_beyond_a_hundred_portals_it_follows_at_once(
    loopback: Loopback, ends: tuple[FarDatabase, FarClient]
) -> None:
    texts, (_, client) = loopback.sessions.texts, ends
    texts.following.add(SET)
    for number in range(100):
        client.transmits(bind(b"x", b"p%d" % number))
    assert texts.of("executes") == []
    client.transmits(bind(b"x", b"one more"))
    assert texts.of("executes") == [SET]
