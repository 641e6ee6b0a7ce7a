"""Where a load goes, and as whom."""

import time
from dataclasses import dataclass, field, replace

from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import generate_db_auth_token

ACCESS_KEY = AccessKey("AKIAFOREBAYBENCH0001", "bench-only-on-loopback")
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Target:
    """One TCP endpoint that speaks PostgreSQL's protocol. ``tokens``: it wants IAM tokens."""

    host: str
    port: int
    user: str
    database: str
    tls: bool
    password: str = field(repr=False)
    tokens: bool = False

    def secret(self) -> str:
        """Give what to log in with: the password, or a new token."""
        if not self.tokens:
            return self.password
        now_s = time.time()
        return generate_db_auth_token(self.host, self.port, self.user, REGION, ACCESS_KEY, now_s)

    def at(self, port: int, *, tls: bool) -> "Target":
        """Give the same database and user behind another port."""
        return replace(self, port=port, tls=tls)

    def libpq_environment(self) -> dict[str, str]:
        """Give the environment that makes libpq's programs go there."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.secret(),
            "PGDATABASE": self.database,
            "PGSSLMODE": "require" if self.tls else "disable",
            "PGGSSENCMODE": "disable",
            "PGCHANNELBINDING": "prefer",
            "PGCONNECT_TIMEOUT": "30",
        }
