"""What one client says in its encoding is never read in another's.

In SJIS, BIG5 and GBK the second byte of a character may be a backslash: a byte above ASCII that is
left raw could take the escape of a quote along, and end its own literal.
"""

import pytest

from forebay.protocol.errors import PgError
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import RawClient

ENCODINGS = ["SJIS", "BIG5", "GBK"]
# A lead byte, and what would be SQL if it took the backslash behind it along.
BREAKOUT = "\udc81\\', false), pg_catalog.set_config('my.stolen', 'yes', false) --"


@pytest.fixture
def forebay(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Forebay:
    proxy = {"require_tls": False}
    target = {"database": database.name}
    return start_forebay(postgres.port, database, proxy=proxy, target=target, pool=connections(1))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", [BREAKOUT, "caf\udce9", "\udc81\\"])
def test_a_value_that_is_no_text_ends_nothing(
    forebay: Forebay, database: TestDatabase, encoding: str, value: str
) -> None:
    """It is refused to its client, in the database's words; nobody else hears of it."""
    settings = {"client_encoding": encoding}
    with RawClient(forebay.port, database, settings) as other:
        assert other.query("SELECT 1") == [["1"]]
        with pytest.raises(PgError) as refused:
            RawClient(forebay.port, database, {**settings, "my.own": value})
        assert (refused.value.severity, refused.value.sqlstate) == ("FATAL", "22021")
        for name in ("my.stolen", "my.own"):
            shown = other.query(f"SELECT coalesce(current_setting('{name}', true), '')")
            assert shown == [[""]]


SAID = {
    "SJIS": "\u3042\u8868",
    "BIG5": "\u529f\u8a31",
    "GBK": "\u4e2d\u5016",
    "LATIN1": "\u00e9",
}


@pytest.mark.parametrize("encoding", SAID)
def test_names_and_values_beyond_ascii(
    forebay: Forebay, database: TestDatabase, encoding: str
) -> None:
    """Clients with a setting whose name and value are not ASCII take turns on one connection."""
    word = SAID[encoding]
    settings = {"client_encoding": encoding, f"my.{word}": word}
    shown = f"current_setting({_literal(f'my.{word}')}, true)"
    is_own = f"SELECT {shown} = {_literal(word)}"
    with (
        RawClient(forebay.port, database, settings) as one,
        RawClient(forebay.port, database, settings | {f"my.{word}": "other"}) as other,
        RawClient(forebay.port, database) as third,
    ):
        for turn in range(2):
            assert one.query(is_own) == [["t"]]
            assert other.query(is_own) == [["f"]]
            assert third.query(f"SELECT coalesce({shown}, '')") == [[""]]
            # The database is asked what the session holds: the answer comes in its encoding.
            one.query(f"SET work_mem = '{5 + turn}MB'")
            assert third.query("SELECT 1") == [["1"]]
            assert one.query(is_own) == [["t"]]
            one.query("RESET ALL")
            assert third.query(f"SELECT coalesce({shown}, '')") == [[""]]
            assert one.query(is_own) == [["t"]]
            one.query("BEGIN")
            one.query("RESET ALL")
            assert one.query(is_own) == [["t"]]
            one.query("COMMIT")
            assert one.query(is_own) == [["t"]]


def _literal(text: str) -> str:
    return "E'" + "".join(f"\\u{ord(char):04x}" for char in text) + "'"
