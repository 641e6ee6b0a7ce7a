"""How to give a pool the number of connections that a test wants."""

from typing import Any

USABLE = 97  # of the rig's PostgreSQL: max_connections 100, 3 reserved for superusers


def connections(count: int, **pool: Any) -> dict[str, Any]:
    """Keys of a ``pool`` section that allow so many database connections, and ``pool``."""
    percent = -(-count * 100 // USABLE)
    assert max(1, USABLE * percent // 100) == count
    return {"max_connections_percent": percent, **pool}
