"""A PostgreSQL with TLS that takes logins of each kind, for the tests of them."""

from pathlib import Path
from types import TracebackType

import pytest

from forebay.embedded.certificates import Authority
from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres
from tests.harness.clients import TestDatabase
from tests.harness.rds import HBA, ROLE
from tests.harness.waiting import eventually

BY_CERTIFICATE, BY_MD5 = "by_certificate", "by_md5"
"""Roles whose members log in so; members of `ROLE` with nothing, for the stand-in of RDS; all
others by SCRAM."""
LINES = (
    f"hostssl all +{BY_CERTIFICATE} 127.0.0.1/32 cert",
    f"host all +{BY_MD5} 127.0.0.1/32 md5",
    HBA,
)


class LoginServer:
    """One such server. ``clients``: the authority that its clients' certificates are from."""

    def __init__(self) -> None:
        try:
            self.postgres = Postgres(tls=True, hba=LINES)
        except SetupError as error:
            pytest.skip(str(error))
        self.clients = Authority("clients of the database")

    def __enter__(self) -> "LoginServer":
        self.postgres.start()
        authority = self.postgres.directory / "clients.crt"
        self.postgres.home.write(authority, self.clients.certificate_pem.decode(), 0o644)
        self.postgres.configure(ssl_ca_file=str(authority))
        self.postgres.restart()
        self.postgres.sql("; ".join(f"CREATE ROLE {each}" for each in (BY_CERTIFICATE, BY_MD5)))
        self.postgres.sql(f"CREATE ROLE {ROLE}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None
    ) -> None:
        self.postgres.close()

    def stored(self, user: str) -> str:
        """What the database has of a user's password."""
        ((found,),) = self.postgres.sql(
            f"SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'"
        )
        return found or ""

    def database(self, user: str, password: str) -> TestDatabase:
        """The one database there is, for a user."""
        return TestDatabase("postgres", user, password)


def configure_hba(postgres: Postgres, *lines: str) -> None:
    """Puts these lines before the built-in ones, and returns when they are in force."""
    before = postgres.sql("SELECT pg_conf_load_time()")
    postgres.configure_hba(*lines)
    eventually(lambda: postgres.sql("SELECT pg_conf_load_time()") != before, "other pg_hba lines")


def write_pair(directory: Path, name: str, pair: tuple[bytes, bytes]) -> tuple[Path, Path]:
    """A certificate and its key as files; libpq wants the key to be its owner's alone."""
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    for path, pem in zip(paths, pair, strict=True):
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(pem)
        new.chmod(0o600)
        new.replace(path)
    return paths
