"""Tokens with which Forebay itself logs in to RDS or Aurora (RDS Proxy's ``IAM_AUTH``).

Each new database connection gets a fresh one, signed with the credentials of Forebay's own role, of
which AWS demands ``rds-db:connect``. Sources: RDS user guide, "IAM database authentication", and
"Connecting to your DB instance using IAM authentication".
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from forebay.identity.access_keys import AccessKey
from forebay.identity.aws_credentials import (
    AwsCredentials,
    CredentialsError,
    region_of_environment,
)
from forebay.identity.threads import Threads
from forebay.identity.tokens import generate_db_auth_token

CREDENTIALS_KEPT_S: Final = 60.0
"""So long botocore is not asked again. It renews temporary credentials minutes before their end."""
TIMEOUT_S: Final = 15.0
"""For credentials; asking for a machine's role takes botocore two seconds at most, as it is set."""

_RDS_HOST: Final = re.compile(
    r"(?:.+\.(?P<region>[a-z0-9-]+)\.rds\.amazonaws\.com"
    r"|.+\.rds\.(?P<china>cn-[a-z0-9-]+)\.amazonaws\.com\.cn)\.?"
)


class DatabaseTokenError(Exception):
    """There is no token to log in to the database with; the text is a sentence for the log."""


class DatabaseTokens:
    """Makes tokens of one role. For one event loop; `close` it in the end. Shows no credentials."""

    def __init__(
        self,
        *,
        key: Callable[[], AccessKey] | None = None,
        environ: Mapping[str, str] | None = None,
        now_s: Callable[[], float] = time.time,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``key``: finds the credentials, in a thread; None for botocore's standard chain."""
        self._find = key or AwsCredentials().key
        self._environ = os.environ if environ is None else environ
        self._now_s = now_s
        self._timeout_s = timeout_s
        self._threads = Threads("aws-credentials", most=1, waiting=0)
        self._key: AccessKey | None = None
        self._found_at_s = 0.0
        self._under_way: asyncio.Future[AccessKey] | None = None

    async def token(self, host: str, port: int, user: str, region: str | None = None) -> str:
        """A token for a new connection to this database, valid for 15 minutes.

        ``host``: an RDS endpoint's own name; another name of it (a CNAME) is not what RDS verifies.
        ``region``: None for the one in the host's name, else AWS_REGION or AWS_DEFAULT_REGION.
        Raises DatabaseTokenError.
        """
        region = region or region_of_host(host) or region_of_environment(self._environ)
        if region is None:
            raise DatabaseTokenError(
                f"{host} does not tell its region, as RDS's own names do: set AWS_REGION"
            )
        key = await self._credentials()
        place = f"[{host}]" if ":" in host and not host.startswith("[") else host
        try:
            return generate_db_auth_token(place, port, user, region, key, self._now_s())
        except ValueError as error:
            raise DatabaseTokenError(f"no token can be made: {error}") from None

    def close(self) -> None:
        """Lets its thread end. `token` is not to be called after it."""
        self._threads.close()

    async def _credentials(self) -> AccessKey:
        """Raises DatabaseTokenError."""
        if self._key is not None and 0 <= self._now_s() - self._found_at_s < CREDENTIALS_KEPT_S:
            return self._key
        if self._under_way is None:
            # One at a time, so its thread is free.
            self._under_way = self._threads.call(self._find)
            self._under_way.add_done_callback(self._keep)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(self._under_way)
        except CredentialsError as error:
            raise DatabaseTokenError(str(error)) from None
        except TimeoutError:
            sentence = f"AWS credentials were not to be had within {self._timeout_s:g} s"
            raise DatabaseTokenError(sentence) from None

    def _keep(self, found: "asyncio.Future[AccessKey]") -> None:
        self._under_way = None
        if not found.cancelled() and found.exception() is None:
            self._key, self._found_at_s = found.result(), self._now_s()


def region_of_host(host: str) -> str | None:
    """The region in an RDS or Aurora endpoint's own name, or None."""
    match = _RDS_HOST.fullmatch(host.lower())
    return None if match is None else match["region"] or match["china"]
