"""Where a load goes, and as whom."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Target:
    """One TCP endpoint that speaks PostgreSQL's protocol."""

    host: str
    port: int
    user: str
    database: str
    tls: bool
    password: str = field(repr=False)

    def at(self, port: int, *, tls: bool) -> "Target":
        """Give the same database and user behind another port."""
        return replace(self, port=port, tls=tls)

    def libpq_environment(self) -> dict[str, str]:
        """Give the environment that makes libpq's programs go there."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGSSLMODE": "require" if self.tls else "disable",
            "PGGSSENCMODE": "disable",
            "PGCHANNELBINDING": "prefer",
            "PGCONNECT_TIMEOUT": "30",
        }
