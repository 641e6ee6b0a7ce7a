"""What is wrong with Secrets Manager, or with a secret there, while clients are at work: the values
before serve on, and log and status say since when."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.aws_front import HTML, Answer, AwsFront, refusal
from tests.harness.load import logins, statements, under_load
from tests.harness.moto import MotoServer
from tests.harness.rotation import STEPS, RotatingSecret
from tests.integration.test_rotation_under_load import variables

ROLE = "arn:aws:sts::111122223333:assumed-role/forebay/i-0123"
DENIED = refusal(
    "AccessDeniedException",
    f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on resource: it",
)
# What is answered instead, by what is wrong with the secret.
SPOILT: dict[str, Answer] = {
    "denied": DENIED,
    "garbage": HTML,
    "nonsense": Answer(200, b'{"planted": "planted-nonsense"'),
    "throttled": refusal("ThrottlingException", "Rate exceeded"),
    "broken": Answer(500, b"planted-broken"),
}
# What log and status say, by what is wrong with the secret.
SAID = {
    "denied": f"AWS denies it to {ROLE}: allow secretsmanager:GetSecretValue on it",
    "garbage": "what answered is not Secrets Manager: see AWS_ENDPOINT_URL",
    "nonsense": "what answered is not Secrets Manager: see AWS_ENDPOINT_URL",
    "throttled": "AWS takes no more requests for now: throttled",
    "broken": "Secrets Manager answered with an error",
    "deleted": "is deleted, or will be: bring it back with aws secretsmanager restore-secret",
    "no JSON": 'is not JSON; it must be {"username": "…", "password": "…"}',
    "out of reach": "Secrets Manager can't be reached: no connection",
}


class Users:
    """One for each of SAID, and its secret."""

    def __init__(self, manager: Any, postgres: Postgres, database: TestDatabase) -> None:
        self.manager, self._postgres, self._database = manager, postgres, database
        self.names = {kind: f"{database.user} {kind}" for kind in SAID}
        for name in self.names.values():
            postgres.create_user(name, f"planted-{name}")
        self.secrets = {
            kind: RotatingSecret(
                manager,
                postgres,
                TestDatabase(database.name, name, f"planted-{name}"),
                alternating=False,
            )
            for kind, name in self.names.items()
        }
        self._kinds = {secret.arn: kind for kind, secret in self.secrets.items()}

    def spoil(self, request: dict[str, Any]) -> Answer | None:
        """See AwsFront."""
        return SPOILT.get(self._kinds.get(request["SecretId"], ""))

    def break_others(self) -> None:
        """What is wrong with the secrets themselves."""
        self.manager.delete_secret(SecretId=self.secrets["deleted"].arn)
        self.manager.put_secret_value(
            SecretId=self.secrets["no JSON"].arn, SecretString="planted-no-JSON"
        )

    def mend(self) -> None:
        self.manager.restore_secret(SecretId=self.secrets["deleted"].arn)
        current = self.secrets["no JSON"].current
        self.manager.put_secret_value(
            SecretId=self.secrets["no JSON"].arn,
            SecretString=json.dumps({"username": current.user, "password": current.password}),
        )

    def drop(self) -> None:
        for name in self.names.values():
            self._postgres.sql(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


@pytest.fixture
def front(moto: MotoServer) -> Iterator[AwsFront]:
    with AwsFront(moto.url) as front:
        yield front


@pytest.fixture
def users(moto: MotoServer, postgres: Postgres, database: TestDatabase) -> Iterator[Users]:
    users = Users(moto.client("secretsmanager"), postgres, database)
    yield users
    users.drop()


def be_refused(forebay: Forebay, users: Users, *kinds: str) -> None:
    """Each of them shows a wrong password: their secrets are looked into."""

    def try_in(kind: str) -> str:
        with pytest.raises(psycopg.OperationalError) as caught:
            psycopg.connect(forebay.dsn(users.names[kind], "planted-wrong"))
        return str(caught.value)

    with ThreadPoolExecutor(len(kinds)) as pool:
        for kind, told in zip(kinds, pool.map(try_in, kinds), strict=True):
            name = users.names[kind]
            assert f"The password that was provided for the role {name} is wrong." in told


def failing(forebay: Forebay) -> list[str]:
    """What the status says of secrets that can't be read."""
    (proxy,) = json.loads(forebay.command("status", "--json").ok().out)["proxies"]
    return [each for each in proxy["warnings"] if "can't be read" in each]


def test_the_values_before_serve_on(
    users: Users,
    front: AwsFront,
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
) -> None:
    forebay = start_forebay(
        postgres.port,
        database,
        users=dict.fromkeys(users.names.values(), ""),
        auth={users.names[kind]: {"secret": secret.arn} for kind, secret in users.secrets.items()},
        pool={"max_connection_age": 0.3},
        environ=variables(front.url),
    )
    kinds = list(SAID)

    def connect(number: int) -> "psycopg.Connection[Any]":
        login = users.secrets[kinds[number % len(kinds)]].current
        return psycopg.connect(forebay.dsn(login.user, login.password), autocommit=True)

    loads = [statements(len(kinds), connect), logins(len(kinds), connect)]
    with under_load(*loads):
        front.spoil = users.spoil
        users.break_others()
        be_refused(forebay, users, *(kind for kind in kinds if kind != "out of reach"))
        told = failing(forebay)
        assert len(told) == len(kinds) - 1
        front.stop()  # and what is tried again meanwhile is out of reach, too
        be_refused(forebay, users, "out of reach")
        for kind, secret in users.secrets.items():
            forebay.wait_for_log(f"{secret.arn}: ")
            first, *more = forebay.logged(f"{secret.arn}: ")
            assert more == []  # once, however often it is tried
            assert json.dumps(SAID[kind], ensure_ascii=False)[1:-1] in first
            assert "serves on" in first
        assert len(failing(forebay)) == len(kinds)
        told += (each for each in failing(forebay) if users.secrets["out of reach"].arn in each)
        for kind, secret in users.secrets.items():
            (warning,) = (each for each in told if each.startswith(f"{secret.arn} "))
            assert re.search(r"can't be read since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", warning)
            assert SAID[kind] in warning
        assert forebay.command("status").ok().out.count("can't be read since") == len(kinds)
        for load in loads:
            load.go_on()
        front.spoil = lambda _: None
        users.mend()
        front.start()
        eventually(lambda: not failing(forebay), "all can be read again", timeout_s=60)
        for secret in users.secrets.values():
            assert forebay.logged(f"{secret.arn} is read again; since .*Z it could not be")
            for step in STEPS[:3]:
                secret.step(step)
        with ThreadPoolExecutor(len(kinds)) as pool:  # what is left: AWSCURRENT moves
            list(pool.map(lambda secret: secret.step(STEPS[3]), users.secrets.values()))
        for load in loads:
            load.go_on()
    assert "planted-" not in forebay.text
    assert "hunter2" not in forebay.text


def test_at_the_start_and_at_a_reload_everything_must_be_readable(
    users: Users,
    front: AwsFront,
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
) -> None:
    settings: dict[str, Any] = {
        "auth": {database.user: {"secret": users.secrets["denied"].arn}},
        "environ": variables(front.url),
    }
    forebay = start_forebay(postgres.port, database, **settings)
    login = users.secrets["denied"].current
    with contextlib.closing(psycopg.connect(forebay.dsn(login.user, login.password))) as client:
        front.spoil = users.spoil
        reloaded = forebay.command("reload", "--json")
        assert reloaded.code == 1
        (problem,) = json.loads(reloaded.out)["problems"]
        arn = users.secrets["denied"].arn
        assert problem == f"proxies.app.auth: {arn}: {SAID['denied']}"
        client.execute("SELECT 1")
        forebay.psql("SELECT 1", user=login.user, password=login.password).ok()
    forebay.stop()
    with pytest.raises(AssertionError, match="forebay serve ended"):
        forebay.start()
    assert SAID["denied"] in forebay.text
    assert "planted-" not in forebay.text
    front.spoil = lambda _: None
    forebay.start()
    forebay.psql("SELECT 1", user=login.user, password=login.password).ok()
