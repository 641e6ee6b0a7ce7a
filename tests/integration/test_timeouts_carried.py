"""A timeout of one client's statements does not leave its settings to the next client."""

from collections.abc import Callable

from forebay.protocol.errors import PgError
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.raw import RawClient

# So many settings, of so many characters, take longer to put in place than the timeout.
SETTINGS = 300
CHARACTERS = 8000
TIMEOUT_MS = 4


def tenant(client: RawClient) -> str | None:
    return client.query("SELECT current_setting('app.tenant')")[0][0]


def tenant_or_error(client: RawClient) -> str | None:
    try:
        return tenant(client)
    except PgError as error:
        return error.sqlstate


def test_what_is_cut_short_leaves_no_client_under_anothers_settings(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    plain = {"require_tls": False}
    forebay = start_forebay(postgres.port, database, proxy=plain, pool=connections(1))
    with RawClient(forebay.port, database) as hasty, RawClient(forebay.port, database) as slow:
        slow.query("SET app.tenant = 'slow'")
        for n in range(SETTINGS):
            slow.query(f"SELECT set_config('app.s{n}', repeat('x', {CHARACTERS}), false) IS NULL")
        hasty.query(f"SET app.tenant = 'hasty'; SET statement_timeout = {TIMEOUT_MS}")
        # It hears that its statement was cancelled, or has its own settings.
        assert tenant_or_error(slow) in ("slow", "57014")
        assert tenant(hasty) == "hasty"
