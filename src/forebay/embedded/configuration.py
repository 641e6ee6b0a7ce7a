"""What stands in the configuration files of a temporary PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forebay.embedded.surroundings import HOST

Setting = str | int | float | bool

# Nothing in a temporary directory has to survive a power failure.
NOT_DURABLE: dict[str, Setting] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}
BASE_SETTINGS: dict[str, Setting] = {
    "listen_addresses": HOST,
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "password_encryption": "scram-sha-256",
}
HBA = (
    "local all all scram-sha-256",
    "local replication all scram-sha-256",
    f"host all all {HOST}/32 scram-sha-256",
    f"host replication all {HOST}/32 scram-sha-256",
)


def configuration_text(settings: Mapping[str, Setting]) -> str:
    """Lines for postgresql.conf."""
    return "".join(f"{name} = {_setting(value)}\n" for name, value in settings.items())


def hba_text(first: Sequence[str]) -> str:
    """Lines for pg_hba.conf: the given ones, then SCRAM for everyone on this machine."""
    return "".join(f"{line}\n" for line in (*first, *HBA))


def _setting(value: Setting) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
