"""Logins with IAM tokens through ``forebay serve``: what each is told, word for word, and that no
secret shows anywhere."""

import asyncio
import dataclasses
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import generate_db_auth_token
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.waiting import eventually
from tests.unit.cli.test_commands import forebay as command

HOST, PORT, REGION = "db.example.com", 6432, "us-east-1"
KEY = AccessKey("AKIAFOREBAYTEST00001", "planted-secret-access-key-1")
TEMPORARY = AccessKey(
    "ASIAFOREBAYTEST00002", "planted-secret-access-key-2", "planted-session-token/+="
)
PRESIGNED_FOR_EKS = (
    "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAFOREBAYTEST00001%2F20261128%2Fus-east-1%2Fsts%2Faws4_request"
    "&X-Amz-Date=20261128T103000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"
    "&X-Amz-Signature=" + "0" * 64
)
OK = ("00000", "")
IAM_FAILED_TEXT = (
    "The IAM authentication failed for the role {}."
    " Check the IAM token for this role and try again."
)
IAM_FAILED = ("28P01", IAM_FAILED_TEXT)
WRONG = ("28P01", "The password that was provided for the role {} is wrong.")
IAM_NEEDS_TLS = ("28000", "IAM authentication is allowed only with SSL connections.")
TLS_NEEDED = ("28000", "This RDS Proxy requires TLS connections.")


def token(user: str, key: AccessKey = KEY, *, late_s: float = 0, **changes: Any) -> str:
    place = {"host": HOST, "port": PORT, "region": REGION} | changes
    return generate_db_auth_token(user=user, key=key, now_s=time.time() + late_s, **place)


def sent(user: str, password: str) -> dict[str, tuple[str, str]]:
    """What clients send as the password, by its kind, and what the log says of it."""
    good = token(user)
    return {
        "token": (good, ""),
        "the same again": (good, ""),
        "token of a temporary key": (token(user, TEMPORARY), ""),
        "password": (password, "it is no IAM token"),
        "wrong password": ("planted-wrong-password", "it is no IAM token"),
        "expired": (token(user, late_s=-901), "the token has expired"),
        "future": (token(user, late_s=400), "the token is from the future"),
        "wrong region": (token(user, region="eu-west-1"), "for another region than us-east-1"),
        "wrong user": (token("somebody"), "for another user than the one who logs in"),
        "wrong host": (token(user, host="db"), "for another host than iam.hosts has"),
        "wrong port": (token(user, port=5432), "it was signed for .* at host db.example.com:5432"),
        "truncated": (good[:-1], "its X-Amz-Signature is not of the form"),
        "cut off": (good[:250], "it has no X-Amz-|is not of the form"),
        "unknown key": (
            token(user, KEY._replace(access_key_id="AKIAOTHER")),
            "the access key is not among",
        ),
        "other secret": (
            token(user, KEY._replace(secret_access_key="x")),
            "its signature is wrong",
        ),
        "no session token": (
            token(user, TEMPORARY._replace(session_token=None)),
            "session token is not that of",
        ),
        "for EKS": (PRESIGNED_FOR_EKS, "does not begin with host:port"),
        "for Vault": (
            PRESIGNED_FOR_EKS.replace("x-k8s-aws-id", "x-vault-aws-iam-server-id"),
            "does not begin with host:port",
        ),
    }


RIGHT_TOKENS = {"token", "the same again", "token of a temporary key"}
NO_TOKENS = {"password", "wrong password"}


def expected(mode: str, encrypted: bool, kind: str) -> tuple[str, str]:
    """SQLSTATE and text: the table that docs/authentication.md has."""
    if mode == "REQUIRED":
        if not encrypted:
            return IAM_NEEDS_TLS
        return OK if kind in RIGHT_TOKENS else IAM_FAILED
    if mode == "ENABLED" and encrypted:
        if kind in RIGHT_TOKENS or kind == "password":
            return OK
        return WRONG if kind in NO_TOKENS else IAM_FAILED
    return OK if kind == "password" else WRONG


@dataclasses.dataclass
class Door:
    """A Forebay, and one user of it."""

    forebay: Forebay
    database: str
    user: str
    password: str

    async def try_in(self, password: str, encrypted: bool = True) -> tuple[str, str]:
        """SQLSTATE and text of the refusal, or OK."""
        context = ssl.create_default_context(cafile=self.forebay.ca_file) if encrypted else False
        try:
            connection = await asyncpg.connect(
                host=self.forebay.host,
                port=self.forebay.port,
                user=self.user,
                password=password,
                database=self.database,
                ssl=context,
            )
        except asyncpg.PostgresError as error:
            return error.sqlstate or "", str(error)
        try:
            assert await connection.fetchval("SELECT current_user::text") == self.user
        finally:
            await connection.close()
        return OK


@pytest.fixture
def keys(tmp_path: Path) -> list[str]:
    """Sources: one key in a file, the other in the environment."""
    path = tmp_path / "key.json"
    value = {"AccessKeyId": KEY.access_key_id, "SecretAccessKey": KEY.secret_access_key}
    path.write_text(json.dumps({"AccessKey": value}))
    path.chmod(0o600)
    return [f"file:{path}", "env:FOREBAY_KEY"]


def write_key(keys: list[str], value: Any) -> None:
    """Puts another one in the file."""
    Path(keys[0].removeprefix("file:")).write_text(json.dumps(value))


def of_process(pid: int, name: str) -> str:
    """What anybody with the same user may read of a process."""
    return Path(f"/proc/{pid}/{name}").read_text(errors="replace")


@pytest.fixture
def open_door(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    keys: list[str],
) -> Iterator[Callable[..., Door]]:
    """Starts a Forebay: ``open_door(iam_auth, client_password_auth_type)``."""
    user, password = f"{database.name}/ü x", "planted-password-" + secrets.token_hex(4)
    temporary = {
        "AccessKeyId": TEMPORARY.access_key_id,
        "SecretAccessKey": TEMPORARY.secret_access_key,
        "SessionToken": TEMPORARY.session_token,
        "Expiration": "2999-01-01T00:00:00Z",
    }
    postgres.create_user(user, password)

    def open_it(iam_auth: str, method: str = "POSTGRES_SCRAM_SHA_256", **proxy: Any) -> Door:
        iam = {
            "verifier": "keys",
            "region": REGION,
            "hosts": [f"{HOST}:{PORT}"],
            "access_keys": keys,
        }
        forebay = start_forebay(
            postgres.port,
            database,
            users={user: password},
            auth={user: {"iam_auth": iam_auth, "client_password_auth_type": method}},
            proxy={"iam": iam, "require_tls": False, **proxy},
            environ={
                "FOREBAY_KEY": json.dumps({"Credentials": temporary}),
                "FOREBAY_LOG_LEVEL": "debug",
                "FOREBAY_LOG_FORMAT": "json",
            },
        )
        return Door(forebay, database.name, user, password)

    yield open_it
    postgres.sql(f'DROP OWNED BY "{user}"; DROP ROLE "{user}"')


@pytest.mark.parametrize(
    ("mode", "method"),
    [
        ("DISABLED", "POSTGRES_SCRAM_SHA_256"),
        ("REQUIRED", "POSTGRES_SCRAM_SHA_256"),
        ("ENABLED", "POSTGRES_SCRAM_SHA_256"),
        ("ENABLED", "POSTGRES_MD5"),
    ],
)
async def test_what_each_is_told(open_door: Callable[..., Door], mode: str, method: str) -> None:
    door = open_door(mode, method)
    tries = sent(door.user, door.password)
    right = tries["token" if mode == "REQUIRED" else "password"][0]
    seen, wanted = {}, {}
    for encrypted in (True, False):
        for kind, (password, said) in tries.items():
            sqlstate, text = expected(mode, encrypted, kind)
            wanted[encrypted, kind] = sqlstate, text.format(door.user)
            seen[encrypted, kind] = await door.try_in(password, encrypted)
            if text == IAM_FAILED_TEXT:
                door.forebay.wait_for_log(rf"The IAM authentication failed.*{said}")
            # A right one, so that the next wrong one is not answered more slowly.
            assert await door.try_in(right) == OK
    assert seen == wanted
    await asyncio.to_thread(door.forebay.reload, proxy={"require_tls": True})
    for password, _ in tries.values():
        assert await door.try_in(password, encrypted=False) == TLS_NEEDED


async def test_other_keys_after_a_reload(open_door: Callable[..., Door], keys: list[str]) -> None:
    door = open_door("REQUIRED")
    other = AccessKey("AKIAFOREBAYTEST00003", "planted-secret-access-key-3")
    assert await door.try_in(token(door.user)) == OK
    write_key(keys, {"AccessKeyId": other[0], "SecretAccessKey": other[1]})
    await asyncio.to_thread(door.forebay.reload)
    assert door.forebay.logged("the access keys for IAM tokens are others")
    assert (await door.try_in(token(door.user)))[0] == "28P01"
    assert await door.try_in(token(door.user, other)) == OK


async def test_no_secret_shows(open_door: Callable[..., Door], keys: list[str]) -> None:
    door = open_door("ENABLED", debug_logging=True)
    forebay = door.forebay
    tries = sent(door.user, door.password)
    for password, _ in tries.values():
        await door.try_in(password)
        assert await door.try_in(door.password) == OK
    environ = {"FOREBAY_KEY": json.dumps({"Credentials": TEMPORARY._asdict()})}  # misspelt keys
    checked = command("check", str(forebay.config), **environ)
    assert checked.returncode == 2
    assert 'env:FOREBAY_KEY: has no key "AccessKeyId"' in checked.stderr
    write_key(keys, "planted-secret-access-key-4")
    failing = len(forebay.logged("must be a JSON object"))
    await asyncio.to_thread(forebay.reload)
    assert len(forebay.logged("must be a JSON object")) == failing + 1
    signatures = [text[-64:] for text, _ in tries.values()]
    planted = ["planted-", KEY.access_key_id, TEMPORARY.access_key_id, "AKIAOTHER", *signatures]
    shown = [checked.stdout, checked.stderr, forebay.text]
    shown += [of_process(pid, "cmdline") for pid in forebay.pids]
    environments = [of_process(pid, "environ") for pid in forebay.worker_pids]
    assert environments
    assert "FOREBAY_KEY" not in "".join(environments)
    shown += environments
    assert "X-Amz-Signature=" not in "".join(shown)
    assert not [each for each in planted if each in "".join(shown)]


async def test_how_long_a_password_may_be(open_door: Callable[..., Door]) -> None:
    """The longest password message that is taken, and one that is longer."""
    door = open_door("REQUIRED")
    good = token(door.user)
    for length, sqlstate in ((65_534, "28P01"), (65_535, "08P01")):
        text = good + "x" * (length - len(good))
        assert (await door.try_in(text))[0] == sqlstate
    eventually(lambda: door.forebay.logged("longer than tokens of"), "a word on the long one")
    assert await door.try_in(good) == OK
