"""Logins with IAM tokens that somebody else verifies: STS, and the database. What each is told,
word for word; and that no secret shows anywhere."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from forebay.embedded.postgres import Postgres
from forebay.identity.access_keys import AccessKey
from forebay.identity.sts import Endpoint
from forebay.identity.tokens import generate_db_auth_token
from tests.harness import Forebay, TestDatabase
from tests.harness.rds import HBA, NAME, ROLE, StandInRds
from tests.harness.rds import REGION as RDS_REGION
from tests.harness.sts import (
    ACCOUNT,
    REGION,
    USER_ARN,
    StandInSts,
    identity,
    response,
    verifying,
)
from tests.harness.sts_tokens import PROXY_ID, sts_token
from tests.integration.test_iam_login import (
    IAM_FAILED,
    IAM_NEEDS_TLS,
    OK,
    TLS_NEEDED,
    WRONG,
    Door,
    of_process,
)

USER_KEY = AccessKey("AKIAPLANTEDUSER00001", "planted-secret-of-a-user/+=")
SESSION_KEY = AccessKey("ASIAPLANTEDROLE00002", "planted-secret-of-a-role", "planted-session-token")
BANNED_KEY = AccessKey("AKIAPLANTEDBAN000003", "planted-secret-of-one-who-is-banned")
STRANGER_KEY = AccessKey("AKIAPLANTEDNOB000004", "planted-secret-of-a-stranger")
FOREIGN_KEY = AccessKey("AKIAPLANTEDFOR000005", "planted-secret-of-another-account")
ARNS = {
    USER_KEY: USER_ARN,
    SESSION_KEY: f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/i-0123",
    BANNED_KEY: f"arn:aws:iam::{ACCOUNT}:user/banned",
    STRANGER_KEY: f"arn:aws:iam::{ACCOUNT}:user/stranger",
    FOREIGN_KEY: "arn:aws:iam::999988887777:user/dev",
}


class Sent(NamedTuple):
    """What a client sends as its password. ``said``: what the log says of it; "": it is right where
    tokens are. ``is_token``: else it is told as a password is."""

    text: str
    said: str
    is_token: bool = True


def policy(user: str) -> str:
    """Everybody of the account may be the user, but for some."""
    place = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{PROXY_ID}"
    connect = {"Action": "rds-db:connect"}
    allowed = [USER_ARN, f"arn:aws:iam::{ACCOUNT}:role/publisher", ARNS[BANNED_KEY]]
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Users",
                    "Effect": "Allow",
                    "Principal": {"AWS": [*allowed, ARNS[FOREIGN_KEY]]},
                    "Resource": f"{place}/{user}",
                    **connect,
                },
                {
                    "Sid": "Banned",
                    "Effect": "Deny",
                    "Principal": {"AWS": ARNS[BANNED_KEY]},
                    "Resource": "*",
                    **connect,
                },
            ],
        }
    )


def for_sts(sts: Endpoint, user: str, password: str) -> dict[str, Sent]:
    """By its kind."""

    def token(key: AccessKey = USER_KEY, late_s: float = 0, **changes: Any) -> str:
        return sts_token(sts, key, time.time() + late_s, **changes)

    good = token()
    elsewhere = Endpoint.parse("https://sts.us-west-2.amazonaws.com", "us-west-2")
    place = {"host": "db", "port": 5432, "region": REGION, "now_s": time.time()}
    for_rds = generate_db_auth_token(user=user, key=USER_KEY, **place)  # type: ignore[arg-type]
    refused = "STS refuses the token with"
    return {
        "token": Sent(good, ""),
        "the same again": Sent(good, ""),
        "token of a role": Sent(token(SESSION_KEY), ""),
        "password": Sent(password, "it is no token for iam.verifier = sts", is_token=False),
        "wrong password": Sent("planted-wrong", "it is no token", is_token=False),
        "denied": Sent(token(BANNED_KEY), f"Banned.*{ARNS[BANNED_KEY]}"),
        "not allowed": Sent(token(STRANGER_KEY), f"{ARNS[STRANGER_KEY]}.*{user}"),
        "of another account": Sent(token(FOREIGN_KEY), "is of another account than the proxy"),
        "expired": Sent(token(late_s=-901), "the token has expired"),
        "future": Sent(token(late_s=400), "the token is from the future"),
        "for too long": Sent(token(expires_s=3600), "valid for longer than 900 s"),
        "wrong region": Sent(token(region="us-west-2"), "it was signed for us-west-2"),
        "wrong host": Sent(sts_token(elsewhere, USER_KEY, time.time()), "STS is asked only at"),
        "wrong action": Sent(token(action="GetSessionToken"), "its Action is GetSessionToken"),
        "wrong proxy": Sent(
            token(header=("x-forebay-proxy-id", "prx-others")), f"{refused} SignatureDoesNotMatch"
        ),
        "unbound": Sent(token(header=None), "it is bound to no proxy"),
        "for EKS": Sent(token(header=("x-k8s-aws-id", "eks")), "it was made for an EKS cluster"),
        "as for EKS": Sent("k8s-aws-v1.aHR0cHM6Ly9zdHMu", "it was made for an EKS cluster"),
        "for Vault": Sent(
            token(header=("x-vault-aws-iam-server-id", "vault")), "it was made for a Vault"
        ),
        "for RDS": Sent(for_rds, "it is a token for RDS"),
        "twice the action": Sent(f"{good}&action=GetCallerIdentity", "a parameter is repeated"),
        "truncated": Sent(good[:-1], "its X-Amz-Signature is not of the form"),
        "cut off": Sent(good[:250], "it has no X-Amz-|is not of the form"),
        "unknown key": Sent(
            token(USER_KEY._replace(access_key_id="AKIAPLANTEDUNK000006")),
            f"{refused} InvalidClientTokenId",
        ),
        "other secret": Sent(
            token(USER_KEY._replace(secret_access_key="x")), f"{refused} SignatureDoesNotMatch"
        ),
    }


def for_database(port: int, user: str) -> dict[str, Sent]:
    """By its kind."""

    def token(key: AccessKey = USER_KEY, late_s: float = 0, **changes: Any) -> str:
        place = {"host": NAME, "port": port, "region": RDS_REGION, "user": user} | changes
        return generate_db_auth_token(key=key, now_s=time.time() + late_s, **place)

    def for_another(header: str) -> str:
        endpoint = Endpoint.of_region(REGION)
        return sts_token(endpoint, USER_KEY, time.time(), header=(header, "x"))

    good = token()
    not_taken = "the database says: PAM authentication failed"
    return {
        "token": Sent(good, ""),
        "the same again": Sent(good, ""),
        "wrong password": Sent("planted-wrong", "it is no IAM token"),
        "expired": Sent(token(late_s=-901), "the token has expired"),
        "future": Sent(token(late_s=400), "the token is from the future"),
        "wrong region": Sent(token(region="us-west-2"), not_taken),
        "wrong user": Sent(token(user="somebody"), "for another user than the one who logs in"),
        "wrong host": Sent(token(host="db"), "for another host than target.hosts has"),
        "wrong port": Sent(token(port=1), "for another host than target.hosts has"),
        "truncated": Sent(good[:-1], "its X-Amz-Signature is not of the form"),
        "cut off": Sent(good[:250], "it has no X-Amz-|is not of the form"),
        "unknown key": Sent(token(USER_KEY._replace(access_key_id="AKIAPLANTEDUNK0")), not_taken),
        "other secret": Sent(token(USER_KEY._replace(secret_access_key="x")), not_taken),
        "for EKS": Sent(for_another("x-k8s-aws-id"), "does not begin with host:port"),
        "for Vault": Sent(
            for_another("x-vault-aws-iam-server-id"), "does not begin with host:port"
        ),
    }


def expected(mode: str, encrypted: bool, kind: str, sent: Sent) -> tuple[str, str]:
    """SQLSTATE and text."""
    if mode == "REQUIRED":
        if not encrypted:
            return IAM_NEEDS_TLS
        return OK if sent.said == "" else IAM_FAILED
    if kind == "password":
        return OK
    if mode == "ENABLED" and encrypted and sent.is_token:
        return OK if sent.said == "" else IAM_FAILED
    return WRONG


@pytest.fixture
def sts() -> Iterator[StandInSts]:
    answer = verifying(
        {key.access_key_id: key.secret_access_key for key in ARNS},
        {key.access_key_id: arn for key, arn in ARNS.items()},
    )
    with StandInSts(answer) as stand_in:
        yield stand_in


LOGGING = {"FOREBAY_LOG_LEVEL": "debug", "FOREBAY_LOG_FORMAT": "json"}


@pytest.fixture
def open_door(
    sts: StandInSts,
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
) -> Iterator[Callable[..., Door]]:
    """Starts a Forebay with the verifier ``sts``: ``open_door(iam_auth)``."""
    user, password = f"{database.name}_sts", "planted-password-" + secrets.token_hex(4)
    postgres.create_user(user, password)

    def open_it(iam_auth: str, **proxy: Any) -> Door:
        iam = {
            "verifier": "sts",
            "region": REGION,
            "proxy_id": PROXY_ID,
            "account": ACCOUNT,
            "policies": [policy(user)],
            "sts_endpoint": sts.endpoint.url,
        }
        forebay = start_forebay(
            postgres.port,
            database,
            users={user: password},
            auth={user: {"iam_auth": iam_auth}},
            proxy={"iam": iam, "require_tls": False, **proxy},
            environ=LOGGING,
        )
        return Door(forebay, database.name, user, password)

    yield open_it
    postgres.sql(f'DROP OWNED BY "{user}"; DROP ROLE "{user}"')


async def try_all(door: Door, mode: str, tries: dict[str, Sent], right: str) -> None:
    """Each, with TLS and without, has what is `expected`; and the log has why."""
    seen, wanted = {}, {}
    for encrypted in (True, False):
        for kind, sent in tries.items():
            sqlstate, text = expected(mode, encrypted, kind, sent)
            wanted[encrypted, kind] = sqlstate, text.format(door.user)
            seen[encrypted, kind] = await door.try_in(sent.text, encrypted)
            # A right one, so that the next wrong one is not answered more slowly.
            assert await door.try_in(right) == OK
    assert seen == wanted
    for encrypted, kind in wanted:
        if expected(mode, encrypted, kind, tries[kind]) == IAM_FAILED:
            door.forebay.wait_for_log(rf"The IAM authentication failed.*{tries[kind].said}")
    await asyncio.to_thread(door.forebay.reload, proxy={"require_tls": True})
    for sent in tries.values():
        assert await door.try_in(sent.text, encrypted=False) == TLS_NEEDED


@pytest.mark.parametrize("mode", ["DISABLED", "REQUIRED", "ENABLED"])
async def test_sts(open_door: Callable[..., Door], sts: StandInSts, mode: str) -> None:
    door = open_door(mode)
    tries = for_sts(sts.endpoint, door.user, door.password)
    if mode == "DISABLED":  # tokens are passwords that are wrong
        tries = {kind: tries[kind] for kind in ("token", "password", "wrong password", "for RDS")}
    right = tries["token" if mode == "REQUIRED" else "password"].text
    await try_all(door, mode, tries, right)
    assert_hidden(door.forebay, tries)


async def test_sts_can_not_be_asked(open_door: Callable[..., Door], sts: StandInSts) -> None:
    """Who is known already is let in; nobody else is, whatever is answered, until STS is back."""
    door, right = open_door("REQUIRED"), sts.answer
    failed = IAM_FAILED[0], IAM_FAILED[1].format(door.user)
    now_s = time.time()
    known = sts_token(sts.endpoint, USER_KEY, now_s)
    assert await door.try_in(known) == OK
    for number, (answer, said) in enumerate(
        [
            (None, "answered with something that is not HTTP, or cut"),
            (response("planted-garbage"), "STS answered 200 with something that is not XML"),
            (response("<planted/>"), "STS answered 200 without a GetCallerIdentityResult"),
            (
                response(identity("arn:aws:iam::111122223333:root")),
                "STS says that the token is of .*:root",
            ),
            (response("<planted/>", "500 Oops"), "STS answered 500"),
        ],
        1,
    ):
        sts.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        new = sts_token(sts.endpoint, USER_KEY, now_s - number)
        assert await door.try_in(new) == failed
        door.forebay.wait_for_log(f"The IAM authentication failed.*{said}")
        assert await door.try_in(known) == OK
    sts.answer = right
    assert await door.try_in(sts_token(sts.endpoint, USER_KEY, now_s - number - 1)) == OK
    assert "planted" not in door.forebay.text


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Lets members of `ROLE` in, who have been let in before."""
    with Postgres(hba=(HBA,)) as server:
        server.sql(f"CREATE ROLE {ROLE}")
        yield server


@pytest.fixture
def rds(tmp_path: Path, server: Postgres) -> Iterator[StandInRds]:
    with StandInRds(tmp_path, server.port, USER_KEY) as rds:
        yield rds


async def test_database(
    start_forebay: Callable[..., Forebay], server: Postgres, rds: StandInRds
) -> None:
    user = f"iam_{secrets.token_hex(4)}"
    server.create_user(user, "planted-password-of-nobody", options=f"IN ROLE {ROLE}")
    forebay = start_forebay(
        rds.port,
        TestDatabase("postgres", user, ""),
        auth={user: {"iam_auth": "REQUIRED", "secret": "env:FOREBAY_USER"}},
        proxy={"iam": {"verifier": "database"}, "require_tls": False},
        target={
            "hosts": [f"{NAME}:{rds.port}"],
            "sslmode": "verify-full",
            "sslrootcert": str(rds.ca_file),
        },
        environ=LOGGING | {"FOREBAY_USER": json.dumps({"username": user})},
    )
    door = Door(forebay, "postgres", user, "")
    tries = for_database(rds.port, user)
    await try_all(door, "REQUIRED", tries, tries["token"].text)
    # Each other one was refused before the database was asked, or by it; the right one was taken.
    assert {token for _, token in rds.let_in} == {tries["token"].text}
    assert_hidden(forebay, tries)


def assert_hidden(forebay: Forebay, tries: dict[str, Sent]) -> None:
    """Nothing that was sent, and no key, is to be seen anywhere."""
    status = forebay.command("status", "--json").ok().out
    shown = [forebay.text, status, *(of_process(pid, "cmdline") for pid in forebay.pids)]
    shown += [of_process(pid, "environ") for pid in forebay.worker_pids]
    signatures = [sent.text[-64:] for sent in tries.values() if "X-Amz-Signature=" in sent.text]
    assert signatures
    planted = ["planted-", "PLANTED", "X-Amz-Signature=", "X-Amz-Security-Token=", *signatures]
    assert not [each for each in planted if each in "".join(shown)]
