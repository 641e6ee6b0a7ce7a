"""What the portals of a client's transaction were bound of."""

import pytest

from tests.unit.relay.loopback import Loopback

SET = b"SET x = 1"
TEXT = SET.decode()


@pytest.mark.parametrize("portal", ["''", "p"])
def test_what_describes_a_portal_tells_of_its_statement(loopback: Loopback, portal: str) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends(f"Parse one 'SELECT a', Bind one {portal}, Describe P {portal}, Sync")
    database.answers(
        f"Parse _forebay_# 'SELECT a', Bind _forebay_# {portal}, Describe P {portal}, Sync",
        "ParseComplete, BindComplete, RowDescription a, Ready I",
    )
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Sync")
    other.gets("Parse _forebay_# 'SELECT a', Describe S _forebay_#, Flush")


def test_a_portal_is_what_it_was_bound_of_last(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse a 'SELECT a', Parse b 'SELECT b', Bind a, Bind b, Describe P, Sync")
    database.received()
    database.sends(
        "ParseComplete, ParseComplete, BindComplete, BindComplete, RowDescription b, Ready I"
    )
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind a, Bind b, Sync")
    # Of the first nothing was told.
    other.gets(
        "Parse _forebay_# 'SELECT a', Bind _forebay_#,"
        " Parse _forebay_# 'SELECT b', Describe S _forebay_#, Flush"
    )


def test_each_portal_has_the_consequences_of_its_own_statement(loopback: Loopback) -> None:
    texts = loopback.sessions.texts
    texts.following.add(SET)
    database, client = loopback.database(), loopback.client()
    client.sends(f"Parse a '{TEXT}', Bind a pa, Parse b 'SELECT 1', Bind b pb")
    client.sends("Execute pb, Sync")
    assert texts.of("executes") == []
    database.received()
    database.sends(
        "ParseComplete, BindComplete, ParseComplete, BindComplete, CommandComplete 'SELECT 1',"
        " Ready T"
    )
    client.sends("Execute pa, Sync")
    assert texts.of("executes") == [SET]


def test_bound_anew_a_portal_has_no_consequences_of_before(loopback: Loopback) -> None:
    texts = loopback.sessions.texts
    texts.following.add(SET)
    loopback.database()
    client = loopback.client()
    client.sends(f"Parse a '{TEXT}', Bind a, Parse b 'SELECT 1', Bind b, Execute, Sync")
    assert texts.of("executes") == []


def test_they_end_with_their_transaction(loopback: Loopback) -> None:
    texts = loopback.sessions.texts
    texts.following.add(SET)
    database, client = loopback.database(), loopback.client()
    client.sends(f"Parse a '{TEXT}', Bind a p, Sync")
    database.received()
    database.sends("ParseComplete, BindComplete, Ready I")
    client.sends("Execute p, Sync")
    database.gets("Execute p, Sync")
    assert texts.of("executes") == []
