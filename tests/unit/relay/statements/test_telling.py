"""What a client was told of its statements holds on whatever connection it uses them."""

import pytest

from tests.unit.relay.loopback import FarClient, FarDatabase, Loopback

RESULT = "BindComplete, CommandComplete 'SELECT 1', Ready I"
ASKS = "Parse _forebay_# 'SELECT * FROM t', Describe S _forebay_#, Flush"


@pytest.fixture
def moved(loopback: Loopback) -> tuple[FarDatabase, FarClient]:
    """A client that was told what its statement `one` returns (a), and what it is to use now: a
    connection that does not have it."""
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT * FROM t', Describe S one, Sync")
    database.answers(
        "Parse _forebay_# 'SELECT * FROM t', Describe S _forebay_#, Sync",
        "ParseComplete, ParameterDescription, RowDescription a, Ready I",
    )
    client.gets("ParseComplete, ParameterDescription, RowDescription a, Ready I")
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    return other, client


class TestWhatIsReturned:
    def test_another_connection_is_asked_once(self, moved: tuple[FarDatabase, FarClient]) -> None:
        database, client = moved
        client.sends("Bind one, Execute, Sync")
        database.answers(ASKS, "ParseComplete, ParameterDescription, RowDescription a")
        client.gets("")
        database.answers("Bind _forebay_#, Execute, Sync", RESULT)
        client.gets(RESULT)
        client.sends("Bind one, Execute, Sync")
        database.answers("Bind _forebay_#, Execute, Sync", RESULT)
        client.gets(RESULT)

    def test_if_it_returns_something_else_the_statement_fails(
        self, moved: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = moved
        client.sends("Bind one, Execute, Sync")
        database.answers(ASKS, "ParseComplete, ParameterDescription, RowDescription a b")
        database.answers(
            "Parse _forebay_0 'SELECT _forebay_0', Execute, Sync",
            "Error 42703 'column \"_forebay_0\" does not exist', Ready I",
        )
        told = client.received()
        assert b"C0A000\0Mcached plan must not change result type\0" in told
        assert b"\0RRevalidateCachedQuery\0" in told

    @pytest.mark.parametrize(
        ("column", "is_same"),
        [
            ("61 00 0000004d 0003 00000019 ffff ffffffff 0000", True),  # `a`, text, of table 77
            ("61 00 00000000 0000 00000017 ffff ffffffff 0000", False),  # integer
            ("61 00 00000000 0000 00000019 ffff 00000007 0000", False),  # of at most 7 characters
            ("62 00 00000000 0000 00000019 ffff ffffffff 0000", False),  # `b`
        ],
    )
    def test_names_and_types_of_columns_count_and_tables_do_not(
        self, moved: tuple[FarDatabase, FarClient], column: str, is_same: bool
    ) -> None:
        database, client = moved
        client.sends("Bind one, Execute, Sync")
        database.answers(
            ASKS, f"ParseComplete, ParameterDescription, Bytes 54 0000001a 0001 {column}"
        )
        use = "Bind _forebay_#" if is_same else "Parse _forebay_0 'SELECT _forebay_0'"
        database.gets(f"{use}, Execute, Sync")

    def test_who_describes_again_hears_what_is_there_now(
        self, moved: tuple[FarDatabase, FarClient]
    ) -> None:
        """Describe of the statement is answered by the connection, if it returns the same."""
        database, client = moved
        client.sends("Describe S one, Sync")
        database.answers(ASKS, "ParseComplete, ParameterDescription, RowDescription a")
        database.answers(
            "Describe S _forebay_#, Sync", "ParameterDescription, RowDescription a, Ready I"
        )
        client.gets("ParameterDescription, RowDescription a, Ready I")

    def test_a_connection_that_cannot_be_asked_fails_the_batch(
        self, moved: tuple[FarDatabase, FarClient]
    ) -> None:
        database, client = moved
        client.sends("Bind one, Execute, Sync")
        database.answers(ASKS, "Error 42P01 'no such table'")
        client.gets("Error 42P01 'no such table'")
        database.gets("Bind _forebay_#, Execute, Sync")
        database.sends("Ready I")
        client.gets("Ready I")


def test_what_is_found_whenever_it_runs_is_not_compared(loopback: Loopback) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'FETCH c', Describe S one, Sync")
    database.received()
    database.sends("ParseComplete, ParameterDescription, RowDescription a, Ready I")
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Sync")
    other.gets("Parse _forebay_# 'FETCH c', Bind _forebay_#, Sync")


def test_types_of_parameters_that_were_told_stay(loopback: Loopback) -> None:
    """The client writes its parameters by them."""
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    client.sends("Parse one 'SELECT $1', Describe S one, Sync")
    database.answers(
        "Parse _forebay_# 'SELECT $1', Describe S _forebay_#, Describe S _forebay_#, Sync",
        "ParseComplete, ParameterDescription 23, NoData, ParameterDescription 23, NoData, Ready I",
    )
    client.gets("ParseComplete, ParameterDescription 23, NoData, Ready I")
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    client.sends("Bind one, Execute, Sync")
    other.answers(
        "Parse _forebay_# 'SELECT $1' 23, Describe S _forebay_#, Flush",
        "ParseComplete, ParameterDescription 23, NoData",
    )
    other.gets("Bind _forebay_#, Execute, Sync")


def test_types_that_the_connection_has_found_itself_are_no_reason_to_prepare_again(
    loopback: Loopback,
) -> None:
    other, database = loopback.database(), loopback.database()
    client, occupant = loopback.client(), loopback.client()
    asked = "Parse _forebay_# 'SELECT $1', Describe S _forebay_#, Sync"
    found = "ParseComplete, ParameterDescription 23, RowDescription a, Ready I"
    client.sends("Parse one 'SELECT $1', Sync")
    database.answers(asked, found)
    client.gets("ParseComplete, Ready I")
    occupant.asks("Query BEGIN", database, "CommandComplete BEGIN, Ready T")
    loopback.manager.schema_changed(loopback.pool)  # so that the other connection is asked as well
    client.sends("Parse two 'SELECT $1', Sync")
    other.answers(asked, found)
    client.gets("ParseComplete, Ready I")
    client.sends("Bind one, Sync")
    other.gets("Bind _forebay_#, Sync")


def test_a_portal_that_is_described_again_needs_no_note(loopback: Loopback) -> None:
    database, client = loopback.database(), loopback.client()
    client.sends("Parse one 'SELECT a', Bind one, Describe P, Sync")
    database.received()
    database.sends("ParseComplete, BindComplete, RowDescription a, Ready I")
    client.received()
    for _ in range(2):
        client.sends("Bind one, Describe P, Execute, Sync")
        database.answers(
            "Bind _forebay_#, Describe P, Execute, Sync",
            "BindComplete, RowDescription a, DataRow 1, CommandComplete 'SELECT 1', Ready I",
        )
        client.gets(
            "BindComplete, RowDescription a, DataRow 1, CommandComplete 'SELECT 1', Ready I"
        )


def test_a_question_that_would_be_skipped_is_not_waited_for(
    moved: tuple[FarDatabase, FarClient],
) -> None:
    database, client = moved
    client.sends("Parse '' nonsense")
    database.answers("Parse '' nonsense", "Error 42601 'syntax error'")
    client.gets("Error 42601 'syntax error'")
    client.sends("Bind one, Execute, Sync")
    assert database.received().endswith(b"S\0\0\0\4")
    database.sends("Ready I")
    client.gets("Ready I")
