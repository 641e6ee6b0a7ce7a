"""``forebay token``: tokens to log in with, as boto3 makes them."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from forebay.cli.output import EXIT_FINE, EXIT_WRONG_USE, complain
from forebay.identity.access_keys import AccessKey, resolve_access_keys
from forebay.identity.aws_credentials import (
    REGION_VARIABLES,
    AwsCredentials,
    CredentialsError,
    key_of_environment,
    region_of_environment,
)
from forebay.identity.secrets import SecretError
from forebay.identity.sts.endpoints import Endpoint
from forebay.identity.sts.requests import presign
from forebay.identity.tokens import generate_db_auth_token

_ENDPOINTS = ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL")  # as the SDKs have them


def token(
    *,
    host: str | None = None,
    port: Annotated[int | None, Parameter(name=["--port", "-p"])] = None,
    user: Annotated[str | None, Parameter(name=["--user", "-U"])] = None,
    sts: Annotated[bool, Parameter(negative="")] = False,
    proxy_id: str | None = None,
    sts_endpoint: str | None = None,
    region: str | None = None,
    keys: str | None = None,
) -> int:
    """Print an IAM token, for development and CI; valid for 15 minutes.

    It is what boto3's generate_db_auth_token returns, made without boto3: the password of one user
    for one host and port, given by --host, --port and --user. With --sts it is a presigned
    GetCallerIdentity, bound to the proxy that --proxy-id names, for proxies with verifier = "sts".
    PGPASSWORD="$(forebay token ...)" psql "... sslmode=require" logs in with it.
    Exit codes: 0 it was printed, 2 it can't be made.

    Parameters
    ----------
    host
        What the client connects to: the name or address in its connection string.
    port
        The port that the client connects to.
    user
        The database user.
    sts
        Make a token for verifier = "sts".
    proxy_id
        With --sts: the proxy that the token is for, by its id in [proxies.NAME.iam].
    sts_endpoint
        With --sts: STS's address, https://HOST. Without it AWS_ENDPOINT_URL_STS or
        AWS_ENDPOINT_URL, else that of the region.
    region
        The region in [proxies.NAME.iam]. Without it AWS_REGION, else AWS_DEFAULT_REGION.
    keys
        The access key to sign with: file:PATH or env:NAME, as in access_keys. Without it the
        variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if set, AWS_SESSION_TOKEN; else,
        with botocore installed, what AWS's own tools would use.
    """
    environ = os.environ
    try:
        if sts:
            _refuse({"--host": host, "--port": port, "--user": user}, "without --sts")
            text = _sts_token(proxy_id, sts_endpoint, region, keys, environ)
        else:
            _refuse({"--proxy-id": proxy_id, "--sts-endpoint": sts_endpoint}, "with --sts")
            text = _database_token(host, port, user, region, keys, environ)
    except (SecretError, CredentialsError, ValueError) as error:
        complain("token", str(error).splitlines())
        return EXIT_WRONG_USE
    sys.stdout.write(text + "\n")
    return EXIT_FINE


def _database_token(
    host: str | None,
    port: int | None,
    user: str | None,
    region: str | None,
    keys: str | None,
    environ: Mapping[str, str],
) -> str:
    if host is None or port is None or user is None:
        raise ValueError("a token is for one host, port and user: give --host, --port and --user")
    place = f"[{host}]" if ":" in host and not host.startswith("[") else host
    key = _key(keys, environ)
    return generate_db_auth_token(place, port, user, region or _region(environ), key, time.time())


def _sts_token(
    proxy_id: str | None,
    url: str | None,
    region: str | None,
    keys: str | None,
    environ: Mapping[str, str],
) -> str:
    if proxy_id is None:
        raise ValueError("a token for sts is bound to one proxy: give --proxy-id")
    key = _key(keys, environ)
    region = region or _region(environ)
    url = url or next((environ[name] for name in _ENDPOINTS if environ.get(name)), None)
    endpoint = Endpoint.of_region(region) if url is None else Endpoint.parse(url, region)
    return presign(endpoint, proxy_id, key, time.time())


def _refuse(options: Mapping[str, object], where: str) -> None:
    """Raises ValueError if one is given that would have no effect."""
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name} is for tokens {where} only")


def _key(source: str | None, environ: Mapping[str, str]) -> AccessKey:
    """Raises SecretError or CredentialsError if there is none."""
    if source is not None:
        return resolve_access_keys([source], environ=environ)[0]
    try:
        return key_of_environment(environ) or AwsCredentials().key()
    except CredentialsError as error:
        raise CredentialsError(
            f"there is no access key to sign with: give --keys file:PATH ({error})"
        ) from None


def _region(environ: Mapping[str, str]) -> str:
    region = region_of_environment(environ)
    if region is None:
        raise ValueError(f"there is no region: give --region, or set {REGION_VARIABLES[0]}")
    return region
