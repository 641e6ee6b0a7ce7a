"""What stands for a prepared statement: an answer finds whom it belongs to."""

from tests.unit.relay.loopback import Loopback


def test_a_late_answer_belongs_to_what_the_name_meant_then(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT a', Describe S one, Close S one, Parse one 'SELECT b', Sync")
    database.gets(
        "Parse _forebay_# 'SELECT a', Describe S _forebay_#, Parse _forebay_# 'SELECT b', Sync"
    )
    database.sends("ParseComplete, ParameterDescription, RowDescription a, ParseComplete, Ready I")
    client.gets(
        "ParseComplete, ParameterDescription, RowDescription a, CloseComplete, ParseComplete,"
        " Ready I"
    )
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    # Nothing was told of what the name means now, so there is nothing to be asked.
    client.sends("Bind one, Execute, Sync")
    other.gets("Parse _forebay_# 'SELECT b', Bind _forebay_#, Execute, Sync")


def test_who_was_told_nothing_takes_whatever_comes(loopback: Loopback) -> None:
    """What another client was told of the same statement is not its own."""
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT a', Sync")
    database.answers("Parse _forebay_# 'SELECT a', Sync", "ParseComplete, Ready I")
    occupant.sends("Parse two 'SELECT a', Describe S two, Sync")
    database.answers(
        "Describe S _forebay_#, Sync", "ParameterDescription, RowDescription a, Ready I"
    )
    occupant.gets("ParseComplete, ParameterDescription, RowDescription a, Ready I")
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Sync")
    other.gets("Parse _forebay_# 'SELECT a', Bind _forebay_#, Sync")


def test_what_was_told_adds_up(loopback: Loopback) -> None:
    """The types of parameters by one answer, what is returned by another."""
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT $1', Sync")
    database.answers(
        "Parse _forebay_# 'SELECT $1', Describe S _forebay_#, Sync",
        "ParseComplete, ParameterDescription 23, RowDescription a, Ready I",
    )
    client.gets("ParseComplete, Ready I")
    client.sends("Bind one, Describe P, Sync")
    database.answers("Bind _forebay_#, Describe P, Sync", "BindComplete, RowDescription a, Ready I")
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Sync")
    other.gets("Parse _forebay_# 'SELECT $1' 23, Describe S _forebay_#, Flush")
