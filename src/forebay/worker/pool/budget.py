"""How many connections the database allows, and how many of them are Forebay's."""

from collections.abc import Sequence
from dataclasses import dataclass

from forebay.session.settings import WITHOUT_TIMEOUT

# reserved_connections came with PostgreSQL 16; RDS reserves some more under a name of its own.
_RESERVED = (
    "superuser_reserved_connections",
    "reserved_connections",
    "rds.rds_superuser_reserved_connections",
)


def _setting(name: str) -> str:
    """A subquery for one of the server's own settings.

    Only such as are fixed when the server starts: anybody may make a setting with a dot in its name
    on a server that does not know it, and pg_settings does not list those.
    """
    return (
        "(SELECT setting FROM pg_catalog.pg_settings"  # noqa: S608
        f" WHERE name OPERATOR(pg_catalog.=) '{name}'"
        " AND context OPERATOR(pg_catalog.=) 'postmaster')"
    )


# Qualified down to the operators: a user's search_path must not lend a name another meaning.
LIMITS_QUERY = f"{WITHOUT_TIMEOUT} SELECT {_setting('max_connections')}, " + ", ".join(
    f"COALESCE({_setting(name)}, '0')" for name in _RESERVED
)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits that follow from the server's settings and the pool's.

    ``share`` is what the pool's percentage comes to, rounded as RDS Proxy does: down. At least one
    connection is always allowed. ``limit`` is the share, or the pool's own max_connections if that
    is lower.
    """

    max_connections: int
    reserved: int
    share: int
    limit: int
    idle_limit: int

    @classmethod
    def of(
        cls,
        max_connections: int,
        reserved: int,
        percent: int,
        idle_percent: int,
        number: int | None = None,
    ) -> "Budget":
        """`number`: the pool's max_connections, None if there is none."""
        usable = max(0, max_connections - reserved)
        share = max(1, usable * percent // 100)
        limit = share if number is None else min(share, number)
        return cls(
            max_connections=max_connections,
            reserved=reserved,
            share=share,
            limit=limit,
            idle_limit=min(limit, usable * idle_percent // 100),
        )

    def sentence(self, percent: int) -> str:
        """For the log: the limits, and which setting they come from. `percent`: the pool's."""
        share = f"{percent} % of {self.max_connections - self.reserved} usable ones"
        if self.limit < self.share:
            share = f"the pool's max_connections; {share} would be {self.share}"
        return (
            f"At most {self.limit} database connections ({share}), {self.idle_limit} of them idle"
        )


def parse_limits(row: Sequence[str | None]) -> tuple[int, int]:
    """A row of LIMITS_QUERY → (max_connections, reserved connections).

    Raises ValueError when the database answered something else.
    """
    if len(row) != 4 or any(value is None for value in row):
        raise ValueError("the database did not tell its connection limits")
    numbers = [int(value or "0") for value in row]
    if numbers[0] < 1 or min(numbers) < 0:
        raise ValueError("the database told impossible connection limits")
    return numbers[0], sum(numbers[1:])
