import msgspec

from forebay.config.settings import LimitSettings, PoolSettings
from forebay.dashboard.limits import Limit, limits_of
from forebay.node.status import ProxyStatus
from tests.unit.dashboard.fakes import APP, NUMBERS


def status(allowed: int | None = 40) -> ProxyStatus:
    return ProxyStatus(
        name="app",
        listen=[],
        target=[],
        max_client_connections=10_000,
        max_database_connections_allowed=allowed,
        limit="at most 40 database connections (90 % of …)",
    )


def by_key(limits: list[Limit]) -> dict[str, Limit]:
    return {each.key.rpartition(".")[2]: each for each in limits}


def test_what_is_used_of_each() -> None:
    found = by_key(limits_of("app", APP, status(), NUMBERS))
    connections = found["max_connections_percent"]
    assert (connections.value, connections.used) == (40, 4)
    assert connections.key == "proxies.app.pool.max_connections_percent"
    assert connections.source == "at most 40 database connections (90 % of …)"
    idle = found["max_idle_connections_percent"]
    assert (idle.value, idle.used) == (45 * 50 // 100, 1)
    assert (found["max_client_connections"].value, found["max_client_connections"].used) == (
        10_000,
        7,
    )
    borrow = found["connection_borrow_timeout"]
    assert (borrow.value, borrow.used, borrow.unit) == (120, 1.5, "s")
    assert all(each.is_default for each in found.values())


def test_what_somebody_has_set() -> None:
    pool = PoolSettings(max_connections_percent=50, max_idle_connections_percent=50)
    proxy = msgspec.structs.replace(APP, pool=pool, idle_client_timeout=60)
    found = by_key(limits_of("app", proxy, status(), NUMBERS))
    set_by_somebody = {key for key, each in found.items() if not each.is_default}
    assert set_by_somebody == {
        "max_connections_percent",
        "max_idle_connections_percent",
        "idle_client_timeout",
    }


def test_before_the_database_was_reached() -> None:
    found = by_key(limits_of("app", APP, status(None), {}))
    assert found["max_connections_percent"].value is None
    assert found["max_idle_connections_percent"].value is None
    assert found["max_client_connections"].used is None


def test_connections_in_plain_numbers() -> None:
    pool = PoolSettings(max_connections=40)
    proxy = msgspec.structs.replace(APP, pool=pool)
    connections = limits_of("app", proxy, status(), NUMBERS)[0]
    assert (connections.key, connections.is_default) == (
        "proxies.app.pool.max_connections",
        False,
    )
    lower = limits_of("app", proxy, status(20), NUMBERS)[0]
    assert lower.key == "proxies.app.pool.max_connections_percent"


def test_those_of_one_user_or_database() -> None:
    pool = PoolSettings(query_timeout=30)
    users = {"a.b": LimitSettings(max_connections=3), "c": LimitSettings(query_timeout=0)}
    databases = {"shop": LimitSettings(query_wait_timeout=5)}
    proxy = msgspec.structs.replace(APP, pool=pool, users=users, databases=databases)
    found = {each.key: each for each in limits_of("app", proxy, status(), NUMBERS)}
    assert found["proxies.app.pool.query_timeout"].value == 30
    assert "proxies.app.pool.idle_transaction_timeout" not in found
    assert found['proxies.app.users."a.b".max_connections'].what == (
        "User a.b: database connections"
    )
    assert found["proxies.app.users.c.query_timeout"].value == 0
    assert found["proxies.app.databases.shop.query_wait_timeout"].value == 5


def test_they_are_bounded() -> None:
    users = {f"u{number}": LimitSettings(max_connections=1) for number in range(1000)}
    proxy = msgspec.structs.replace(APP, users=users)
    assert len(limits_of("app", proxy, status(), NUMBERS)) < 70
