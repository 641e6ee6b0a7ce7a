"""What the table of special settings says is what PostgreSQL says, of each version at hand."""

import pytest

from forebay.protocol.errors import PgError
from forebay.session.audit import audit_query, read_audit
from forebay.session.special import (
    HIDDEN,
    IDENTITY,
    LISTS,
    OF_THE_TRANSACTION,
    PINNING,
    SPECIAL,
    Special,
)
from tests.harness import Postgres, TestDatabase
from tests.harness.raw import RawClient

BY_NAME = {each.name: each for each in SPECIAL}
# Contexts of settings that a session may change.
SETTABLE = ("user", "superuser")
# The first version with pg_settings_get_flags.
FLAGS_SINCE = 15


@pytest.fixture(params=["postgres", "tls_postgres"])
def server(request: pytest.FixtureRequest) -> Postgres:
    """Each PostgreSQL at hand."""
    found: Postgres = request.getfixturevalue(request.param)
    return found


def there(server: Postgres) -> dict[str, Special]:
    """The rows of the settings that this server has."""
    names = "), (".join(f"'{each.name}'" for each in SPECIAL)
    found = server.sql(
        f"SELECT name FROM (VALUES ({names})) AS s(name)"
        " WHERE current_setting(name, true) IS NOT NULL"
    )
    return {str(name): BY_NAME[str(name)] for (name,) in found}


def settable(server: Postgres) -> dict[str, str]:
    """What may be set in a session: names in lower case, and the context."""
    found = server.sql("SELECT lower(name), context FROM pg_settings")
    return {str(name): str(context) for name, context in found if context in SETTABLE}


def superuser(server: Postgres) -> TestDatabase:
    return TestDatabase("postgres", server.superuser, server.password)


def test_each_is_there_from_its_version_on(server: Postgres) -> None:
    expected = {each.name for each in SPECIAL if each.since <= server.binaries.major}
    optional = {each.name for each in SPECIAL if each.is_optional}
    assert there(server).keys() - optional == expected - optional


def test_each_is_there_in_one_version_at_least(postgres: Postgres, tls_postgres: Postgres) -> None:
    found = there(postgres).keys() | there(tls_postgres).keys()
    assert {each.name for each in SPECIAL if not each.is_optional} <= found


def test_each_can_be_set_by_a_session(server: Postgres) -> None:
    found = settable(server)
    for name, row in there(server).items():
        assert row.question or row.pins or found[name] in SETTABLE
        assert not row.is_sure or found[name] == "user"


def test_those_are_not_listed_that_are_asked_for_in_another_way(server: Postgres) -> None:
    found = settable(server)
    unlisted = {name for name in there(server) if name not in found}
    assert unlisted == {each.name for each in SPECIAL if each.question or each.pins}
    # Asked so, they are told: the session's user and role of another than has logged in.
    server.sql("DROP ROLE IF EXISTS somebody; CREATE ROLE somebody")
    query = audit_query(server.superuser, frozenset(), frozenset()).decode()
    try:
        for change in ("SET ROLE somebody", "SET SESSION AUTHORIZATION somebody"):
            rows = server.sql(f"{change}; {query}")
            values, _ = read_audit(rows)
            assert "somebody" in dict(values).values()
            assert not dict(values).keys() - IDENTITY
    finally:
        server.sql("DROP ROLE somebody")


def test_those_are_hidden_that_a_user_does_not_see(server: Postgres) -> None:
    seen = server.sql(
        "DROP ROLE IF EXISTS somebody; CREATE ROLE somebody; SET ROLE somebody;"
        " SELECT lower(name) FROM pg_settings; RESET ROLE; DROP ROLE somebody"
    )
    hidden = settable(server).keys() - {name for (name,) in seen}
    assert hidden == HIDDEN & there(server).keys()


def test_those_are_reported_that_the_login_tells(server: Postgres) -> None:
    with RawClient(server.port, superuser(server)) as client:
        told = {name.lower() for name in client.parameters}
    expected = {
        name for name, row in there(server).items() if 0 < row.reported <= server.binaries.major
    }
    assert told & there(server).keys() == expected
    # Of all that a session may change, and so has to be known here.
    assert told & (settable(server).keys() | IDENTITY) <= there(server).keys() | {
        "scram_iterations"
    }


def test_reset_all_leaves_those_of_the_identity_and_of_the_transaction(server: Postgres) -> None:
    if server.binaries.major < FLAGS_SINCE:
        pytest.skip("it does not tell flags")
    names = "), (".join(f"'{name}'" for name in settable(server).keys() | there(server).keys())
    found = server.sql(
        f"SELECT name FROM (VALUES ({names})) AS s(name)"
        " WHERE 'NO_RESET_ALL' = ANY (pg_settings_get_flags(name))"
    )
    assert {name for (name,) in found} == IDENTITY | OF_THE_TRANSACTION | PINNING.keys()


def test_lists_are_those_whose_names_are_quoted(server: Postgres) -> None:
    with RawClient(server.port, superuser(server)) as client:
        quoted = {name for name in settable(server) if _quotes_names(client, name)}
    # Of this one the names have to be there.
    assert quoted | {"temp_tablespaces"} == LISTS & there(server).keys()


def _quotes_names(client: RawClient, name: str) -> bool:
    """Whether a setting takes names one by one, and shows them as identifiers."""
    try:
        client.query("BEGIN")
        client.query(f"SET LOCAL {name} TO 'A b', c")
        return client.query(f"SHOW {name}") == [['"A b", c']]
    except PgError:
        return False
    finally:
        client.query("ROLLBACK")


def test_timeouts_are_in_milliseconds(server: Postgres) -> None:
    """As `replays.is_hasty` reads them."""
    for name, row in there(server).items():
        if row.is_timeout or row.ends_idle:
            unit = server.sql(f"SELECT unit FROM pg_settings WHERE name = '{name}'")
            assert unit == [("ms",)]
