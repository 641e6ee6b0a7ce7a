"""Whose login the servers of a proxy are asked with."""

from typing import Any

import pytest

from forebay.channel import Credential, DatabaseLogin, MakeToken, NodeAnswer, Token
from forebay.config.addresses import Address
from forebay.config.settings import ProxySettings, TargetSettings
from forebay.net.connector import IamToken, Md5Hash
from forebay.node.control_logins import control_logins
from forebay.protocol import md5, scram
from forebay.topology.control import ControlLogin

SERVER = Address("db", 5432)


async def no_token(_: MakeToken) -> NodeAnswer:
    raise ValueError("AWS gives no credentials")


async def token(request: MakeToken) -> NodeAnswer:
    return Token(token=f"{request.proxy} {request.user}@{request.host}:{request.port}")


def user(name: str, *passwords: str, **more: Any) -> Credential:
    logins = tuple(DatabaseLogin(name, each) for each in passwords)
    return Credential(username=name, identity=name, logins=logins, **more)


async def found(*users: Credential, control_user: str = "", make: Any = no_token) -> object:
    target = TargetSettings(hosts=["db"], database="home", control_user=control_user)
    try:
        return await control_logins("app", ProxySettings(target=target), users, SERVER, make)
    except LookupError as error:
        return str(error.args[0])


async def test_the_first_user_with_a_password_asks_newest_first() -> None:
    assert await found(user("none"), user("a", "new", "old"), user("b", "x")) == [
        ControlLogin("a", "new", "home"),
        ControlLogin("a", "old", "home"),
    ]


async def test_who_is_named_asks() -> None:
    assert await found(user("a", "x"), user("b", "y"), control_user="b") == [
        ControlLogin("b", "y", "home")
    ]
    assert await found(user("a", "x"), control_user="c") == 'control_user "c" is no user of auth'


async def test_without_a_password_trust_is_hoped_for() -> None:
    assert await found(user("a", "")) == [ControlLogin("a", None, "home")]


async def test_what_the_database_keeps_of_a_password_does_only_as_md5() -> None:
    hashed = "md5" + md5.stored_hash("a", "secret")
    kept = md5.parse_stored(hashed)
    assert kept is not None
    assert await found(user("a", hashed)) == [ControlLogin("a", Md5Hash(kept), "home")]


async def test_a_token_of_our_own_role_is_made_for_the_server() -> None:
    iam = user("a", "", auth_scheme="IAM_AUTH")
    assert await found(iam, make=token) == [ControlLogin("a", IamToken("app a@db:5432"), "home")]
    assert await found(iam) == "AWS gives no credentials"


@pytest.mark.parametrize(("control_user", "whose"), [("", "any user"), ("a", 'control_user "a"')])
async def test_nobody_can_ask(control_user: str, whose: str) -> None:
    verifier = (
        "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$"
        "Zm9yZWJheWZvcmViYXlmb3JlYmF5Zm9yZWJheTEyMzQ=:Zm9yZWJheWZvcmViYXlmb3JlYmF5Zm9yZWJheTEyMzQ="
    )
    assert scram.Verifier.parse(verifier) is not None
    answer = await found(user("a", verifier), control_user=control_user)
    assert str(answer).startswith(f"no password of {whose} is known in clear")
