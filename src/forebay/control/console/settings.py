"""SHOW CONFIG: the settings of one proxy, and those of PgBouncer's that tools look for."""

from typing import Any, Final

import msgspec

from forebay.channel import AdminColumn
from forebay.config.settings import Hidden, ProxySettings

Row = list[str | None]

COLUMNS: Final[list[AdminColumn]] = [
    ("key", "text"),
    ("value", "text"),
    ("default", "text"),
    ("changeable", "text"),
]
# What says how users log in and who they are is for those who have the file.
LEFT_OUT: Final = frozenset(
    {
        *("auth", "auth_query", "auth_user", "auth_dbname", "iam"),
        *("tls_private_key", "sslkey"),
    }
)


def rows(settings: ProxySettings) -> list[Row]:
    """All of them, PgBouncer's first."""
    timeout = _text(settings.pool.connection_borrow_timeout)
    known: list[Row] = [
        ["max_client_conn", str(settings.max_client_connections), "100", "yes"],
        ["max_user_connections", "0", "0", "no"],
        ["pool_mode", "transaction", "session", "no"],
        ["query_wait_timeout", timeout, "120", "yes"],
        ["server_lifetime", _text(settings.pool.max_connection_age), "3600", "yes"],
        ["server_idle_timeout", _text(settings.pool.max_idle_time), "600", "yes"],
        ["admin_users", ", ".join(settings.admin_users), "", "yes"],
        ["stats_users", ", ".join(settings.stats_users), "", "yes"],
    ]
    names = {row[0] for row in known}
    return [*known, *(row for row in _flat(settings, "") if row[0] not in names)]


def _flat(settings: msgspec.Struct, prefix: str) -> list[Row]:
    found: list[Row] = []
    for each in msgspec.structs.fields(settings):
        value = getattr(settings, each.name)
        if each.name in LEFT_OUT or isinstance(value, Hidden):
            continue
        if isinstance(value, msgspec.Struct):
            found += _flat(value, f"{prefix}{each.name}.")
        elif isinstance(value, dict) and any(isinstance(v, msgspec.Struct) for v in value.values()):
            for name, inner in value.items():
                found += _flat(inner, f"{prefix}{each.name}.{name}.")
        else:
            found.append([prefix + each.name, _text(value), _text(_default(each)), "yes"])
    return found


def _default(each: msgspec.structs.FieldInfo) -> Any:
    if each.default_factory is not msgspec.NODEFAULT:
        return each.default_factory()
    return None if each.default is msgspec.NODEFAULT else each.default


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "1" if value else "0"
        case float():
            return f"{value:g}"
        case list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name}: {each}" for name, each in value.items())
    return str(value)
