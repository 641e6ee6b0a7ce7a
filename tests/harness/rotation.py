"""Secrets that rotate, as AWS's rotation functions for PostgreSQL rotate them: by boto3, and with
logins of their own at the database."""

import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from tests.harness import Postgres, TestDatabase

CLONE_SUFFIX: Final = "_clone"
STEPS: Final = ("createSecret", "setSecret", "testSecret", "finishSecret")


@dataclass(frozen=True, slots=True)
class Login:
    """A user's name and password."""

    user: str
    password: str


class RotatingSecret:
    """A secret of one user's, or of a user's and its clone's that take turns.

    ``manager`` is boto3's client. The user is ``database``'s, and the secret has its password to
    begin with. `remove` takes away what it has made at the database.
    """

    def __init__(
        self, manager: Any, postgres: Postgres, database: TestDatabase, *, alternating: bool
    ) -> None:
        self._manager = manager
        self._postgres = postgres
        self._database = database
        self._alternating = alternating
        self._token = ""
        self.current = Login(database.user, database.password)
        self.previous: Login | None = None
        self.pending: Login | None = None
        made = manager.create_secret(
            Name=f"forebay/{secrets.token_hex(6)}", SecretString=_content(self.current)
        )
        self.arn: str = made["ARN"]

    @property
    def valid(self) -> set[Login]:
        """What a client may have read as AWSCURRENT, and still use."""
        return {self.current} | ({self.previous} if self.previous else set())

    def step(self, name: str) -> None:
        """One of STEPS; they come in this order."""
        steps: dict[str, Callable[[], None]] = {
            "createSecret": self._create_secret,
            "setSecret": self._set_secret,
            "testSecret": self._test_secret,
            "finishSecret": self._finish_secret,
        }
        steps[name]()

    def give_up(self) -> None:
        """A rotation that has come to no end: AWSPENDING is taken off."""
        self._manager.update_secret_version_stage(
            SecretId=self.arn, VersionStage="AWSPENDING", RemoveFromVersionId=self._token
        )
        self.pending = None

    def remove(self) -> None:
        """The clone is dropped. The user is left as it is, but for its password."""
        clone = self._database.user + CLONE_SUFFIX
        if self._postgres.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{clone}'"):
            self._postgres.sql(f'DROP OWNED BY "{clone}"; DROP ROLE "{clone}"')

    def _create_secret(self) -> None:
        self._token = str(uuid.uuid4())
        user = self.current.user
        if self._alternating:
            is_clone = user.endswith(CLONE_SUFFIX)
            user = user.removesuffix(CLONE_SUFFIX) if is_clone else user + CLONE_SUFFIX
        self.pending = Login(user, f"planted-{secrets.token_urlsafe(12)}")
        current = self._version("AWSCURRENT")
        self._manager.put_secret_value(
            SecretId=self.arn,
            ClientRequestToken=self._token,
            SecretString=_content(self.pending),
            VersionStages=["AWSPENDING"],
        )
        # AWS moves a label; MiniStack leaves this one on the version of the last rotation, too.
        if "AWSPENDING" in self._stages().get(current, []):
            self._manager.update_secret_version_stage(
                SecretId=self.arn, VersionStage="AWSPENDING", RemoveFromVersionId=current
            )

    def _set_secret(self) -> None:
        """One user changes its own password; of two the master's login sets the other's."""
        assert self.pending is not None
        statement = f"ALTER ROLE \"{self.pending.user}\" PASSWORD '{self.pending.password}'"
        if not self._alternating:
            self._as(self.current, statement)
            return
        user = self.pending.user
        if not self._postgres.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{user}'"):
            self._postgres.sql(
                f'CREATE ROLE "{user}" LOGIN; GRANT "{self.current.user}" TO "{user}"'
            )
        self._postgres.sql(statement)

    def _test_secret(self) -> None:
        assert self.pending is not None
        self._as(self.pending, "SELECT now()")

    def _finish_secret(self) -> None:
        assert self.pending is not None
        self.previous = None  # from now on nobody is promised to be let in with it
        self._manager.update_secret_version_stage(
            SecretId=self.arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=self._token,
            RemoveFromVersionId=self._version("AWSCURRENT"),
        )
        self.previous, self.current, self.pending = self.current, self.pending, None

    def _as(self, login: Login, statement: str) -> None:
        with psycopg.connect(
            host=self._postgres.host,
            port=self._postgres.port,
            dbname=self._database.name,
            user=login.user,
            password=login.password,
            autocommit=True,
        ) as connection:
            connection.execute(statement)

    def _stages(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self._manager.describe_secret(SecretId=self.arn)[
            "VersionIdsToStages"
        ]
        return found

    def _version(self, stage: str) -> str:
        found: str = self._manager.get_secret_value(SecretId=self.arn, VersionStage=stage)[
            "VersionId"
        ]
        return found


def _content(login: Login) -> str:
    return json.dumps({"username": login.user, "password": login.password, "engine": "postgres"})
