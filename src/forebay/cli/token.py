"""``forebay token``: an IAM token, as boto3's ``generate_db_auth_token`` makes it."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.output import EXIT_FINE, EXIT_WRONG_USE, complain
from forebay.identity.access_keys import AccessKey, resolve_access_keys
from forebay.identity.secrets import SecretError
from forebay.identity.tokens import generate_db_auth_token

KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


def token(
    *,
    host: str,
    port: Annotated[int, Parameter(name=["--port", "-p"])],
    user: Annotated[str, Parameter(name=["--user", "-U"])],
    region: str | None = None,
    keys: str | None = None,
) -> int:
    """Print an IAM token, for development and CI; valid for 15 minutes.

    It is what boto3's generate_db_auth_token returns, made without boto3: the password of one user
    for one host and port. PGPASSWORD="$(forebay token ...)" psql "... sslmode=require" logs in with
    it. Exit codes: 0 it was printed, 2 it can't be made.

    Parameters
    ----------
    host
        What the client connects to: the name or address in its connection string.
    port
        The port that the client connects to.
    user
        The database user.
    region
        The region in [proxies.NAME.iam]. Without it AWS_REGION, else AWS_DEFAULT_REGION.
    keys
        The access key to sign with: file:PATH or env:NAME, as in access_keys. Without it the
        variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if set, AWS_SESSION_TOKEN.
    """
    try:
        key = _key(keys, os.environ)
        place = f"[{host}]" if ":" in host and not host.startswith("[") else host
        text = generate_db_auth_token(
            place, port, user, region or _region(os.environ), key, time.time()
        )
    except (SecretError, ValueError) as error:
        complain("token", str(error).splitlines())
        return EXIT_WRONG_USE
    sys.stdout.write(text + "\n")
    return EXIT_FINE


def _key(source: str | None, environ: Mapping[str, str]) -> AccessKey:
    """Raises SecretError or ValueError if there is none."""
    if source is not None:
        return resolve_access_keys([source], environ=environ)[0]
    absent = [name for name in KEY_VARIABLES if not environ.get(name)]
    if absent:
        raise ValueError(
            f"there is no access key to sign with: give --keys file:PATH, or set {absent[0]}"
        )
    access_key_id, secret_access_key = (environ[name] for name in KEY_VARIABLES)
    return AccessKey(access_key_id, secret_access_key, environ.get("AWS_SESSION_TOKEN") or None)


def _region(environ: Mapping[str, str]) -> str:
    for name in REGION_VARIABLES:
        if environ.get(name):
            return environ[name]
    raise ValueError(f"there is no region: give --region, or set {REGION_VARIABLES[0]}")
