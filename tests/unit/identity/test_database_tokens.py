"""Tokens of Forebay's own role."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.aws_credentials import CredentialsError
from forebay.identity.database_tokens import (
    CREDENTIALS_KEPT_S,
    DatabaseTokenError,
    DatabaseTokens,
    region_of_host,
)
from forebay.identity.tokens import generate_db_auth_token

NOW_S = 1_795_861_800.0
KEY = AccessKey("ASIAFOREBAYTEST00001", "s3cr3t", "s3ssion")
HOST = "shop.cluster-c1x2.eu-west-1.rds.amazonaws.com"


class Clock:
    """A clock that stands still until it is set."""

    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def making(key: Callable[[], AccessKey] = lambda: KEY, **options: Any) -> Iterator[DatabaseTokens]:
    tokens = DatabaseTokens(key=key, **{"environ": {}, "now_s": Clock(), **options})
    try:
        yield tokens
    finally:
        tokens.close()


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (HOST, "eu-west-1"),
        ("shop.c1x2.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"),
        ("SHOP.cluster-ro-c1x2.EU-west-1.rds.amazonaws.com.", "eu-west-1"),
        ("proxy.proxy-c1x2.ap-southeast-2.rds.amazonaws.com", "ap-southeast-2"),
        ("shop.c1x2.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("localhost", None),
        ("eu-west-1.rds.amazonaws.com", None),
        ("shop.eu-west-1.rds.amazonaws.com.evil.example", None),
    ],
)
def test_the_region_of_a_host(host: str, region: str | None) -> None:
    assert region_of_host(host) == region


@pytest.mark.parametrize(
    ("host", "region", "environ", "expected"),
    [
        (HOST, None, {"AWS_REGION": "us-east-1"}, "eu-west-1"),
        (HOST, "us-east-2", {"AWS_REGION": "us-east-1"}, "us-east-2"),
        ("db", None, {"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
    ],
)
async def test_tokens(
    host: str, region: str | None, environ: dict[str, str], expected: str
) -> None:
    with making(environ=environ) as tokens:
        made = await tokens.token(host, 5432, "app", region)
    assert made == generate_db_auth_token(host, 5432, "app", expected, KEY, NOW_S)


async def test_an_address_of_ipv6() -> None:
    with making() as tokens:
        assert (await tokens.token("::1", 5432, "app", "us-east-1")).startswith("[::1]:5432/?")


async def test_credentials_are_asked_for_once_a_minute() -> None:
    asked: list[float] = []
    clock = Clock()

    def key() -> AccessKey:
        asked.append(clock.now_s)
        return KEY

    with making(key, now_s=clock) as tokens:
        made = await asyncio.gather(*(tokens.token(HOST, 5432, "app") for _ in range(5)))
        assert len(set(made)) == 1
        clock.now_s += CREDENTIALS_KEPT_S - 1
        await tokens.token(HOST, 5432, "app")
        assert len(asked) == 1
        clock.now_s += 1
        await tokens.token(HOST, 5432, "app")
        assert len(asked) == 2
        clock.now_s -= 1_000  # set back: when they were found is not known any more
        await tokens.token(HOST, 5432, "app")
        assert len(asked) == 3


async def test_without_credentials() -> None:
    answers: list[AccessKey | Exception] = [CredentialsError("no AWS credentials found"), KEY]

    def key() -> AccessKey:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with making(key) as tokens:
        with pytest.raises(DatabaseTokenError, match="no AWS credentials found"):
            await tokens.token(HOST, 5432, "app")
        assert await tokens.token(HOST, 5432, "app")


async def test_credentials_that_do_not_come() -> None:
    go = threading.Event()

    def key() -> AccessKey:
        go.wait()
        return KEY

    with making(key, timeout_s=0.01) as tokens:
        for _ in range(2):  # the second waits for the same
            with pytest.raises(DatabaseTokenError, match="not to be had within"):
                await tokens.token(HOST, 5432, "app")
        go.set()


@pytest.mark.parametrize(
    ("host", "user", "said"),
    [
        ("db", "app", "db does not tell its region, as RDS's own names do: set AWS_REGION"),
        (HOST, "", "no token can be made: the user's name is empty"),
    ],
)
async def test_what_cannot_be(host: str, user: str, said: str) -> None:
    with making() as tokens, pytest.raises(DatabaseTokenError, match=said):
        await tokens.token(host, 5432, user)
