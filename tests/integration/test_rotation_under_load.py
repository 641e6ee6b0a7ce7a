"""Secrets in Secrets Manager rotate while clients are at work: no statement and no login with a
password that holds fails. And what is wrong with Secrets Manager does not concern them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.load import Load, logins, statements, under_load
from tests.harness.ministack import ROOT_KEY, MiniStack
from tests.harness.moto import REGION, MotoServer, client
from tests.harness.rotation import STEPS, Login, RotatingSecret

ROUNDS = 2
# Connections to the database come and go all the time, so that each step meets logins of Forebay's.
RESTLESS = {"max_connection_age": 0.3}


def variables(url: str, access_key_id: str = "planted-key", secret: str = "x") -> dict[str, str]:
    """What tells AWS's tools where Secrets Manager is, and who asks."""
    return {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    with MiniStack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(params=["moto", "ministack"])
def aws(request: pytest.FixtureRequest) -> tuple[Any, dict[str, str]]:
    """Secrets Manager as its owner uses it, and the variables with which Forebay finds it."""
    if request.param == "moto":
        moto: MotoServer = request.getfixturevalue("moto")
        return moto.client("secretsmanager"), variables(moto.url)
    server: MiniStack = request.getfixturevalue("ministack")
    owner = ROOT_KEY.access_key_id, ROOT_KEY.secret_access_key
    return client("secretsmanager", server.url, *owner), variables(server.url, *owner)


@pytest.fixture
def rotating(postgres: Postgres, database: TestDatabase) -> Iterator[Callable[..., RotatingSecret]]:
    """Makes a secret of the database's user."""
    made: list[RotatingSecret] = []

    def make(manager: Any, *, alternating: bool = False) -> RotatingSecret:
        made.append(RotatingSecret(manager, postgres, database, alternating=alternating))
        return made[-1]

    yield make
    for each in made:
        each.remove()


def connect(
    forebay: Forebay, secret: RotatingSecret, choose: Callable[[], Login]
) -> "psycopg.Connection[Any]":
    """Logs in as a client does that has read the secret just now, or before; one whose password
    has become invalid meanwhile reads it again."""
    while True:
        login = choose()
        url = forebay.dsn(login.user, login.password, connect_timeout="30")
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            if login in secret.valid:
                raise


def by_turns(secret: RotatingSecret, number: int) -> Login:
    """Every other client still has the password before."""
    return (secret.previous if number % 2 else None) or secret.current


def clients_of(forebay: Forebay, secret: RotatingSecret) -> list[Load]:
    def log_in(number: int) -> "psycopg.Connection[Any]":
        return connect(forebay, secret, lambda: by_turns(secret, number))

    return [statements(3, log_in), logins(4, log_in)]


@pytest.mark.parametrize(
    ("alternating", "auth"),
    [(False, {}), (True, {}), (True, {"pool_identity": "shared"})],
    ids=["one user", "alternating users", "alternating users, one pool"],
)
def test_no_client_notices(
    aws: tuple[Any, dict[str, str]],
    rotating: Callable[..., RotatingSecret],
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    alternating: bool,
    auth: dict[str, Any],
) -> None:
    manager, environ = aws
    secret = rotating(manager, alternating=alternating)
    forebay = start_forebay(
        postgres.port,
        database,
        auth={database.user: {"secret": secret.arn, **auth}},
        pool=RESTLESS,
        target={"database": database.name},
        environ=environ,
    )
    loads = clients_of(forebay, secret)
    with under_load(*loads):
        for _ in range(ROUNDS):
            for step in STEPS:
                secret.step(step)
                for load in loads:
                    load.go_on()


def test_a_user_of_many(
    moto: MotoServer,
    rotating: Callable[..., RotatingSecret],
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
) -> None:
    """A clone that nobody has heard of yet is found, however many secrets there are."""
    manager = moto.client("secretsmanager")
    secret = rotating(manager, alternating=True)
    others = {f"{database.user}_{number}": "x" for number in range(30)}
    forebay = start_forebay(
        postgres.port,
        database,
        users=others,
        auth={database.user: {"secret": secret.arn}}
        | {
            user: {"secret": manager.create_secret(Name=user, SecretString=content(user))["ARN"]}
            for user in others
        },
        environ=variables(moto.url),
    )
    loads = clients_of(forebay, secret)
    with under_load(*loads):
        for _ in range(ROUNDS):
            for step in STEPS:
                secret.step(step)
            for load in loads:
                load.go_on()


def test_who_is_connected_stays_when_the_overlap_is_over(
    moto: MotoServer,
    rotating: Callable[..., RotatingSecret],
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
) -> None:
    """The name before is nobody's to log in with by then, but whoever did so is at work still."""
    secret = rotating(moto.client("secretsmanager"), alternating=True)
    forebay = start_forebay(
        postgres.port,
        database,
        auth={database.user: {"secret": secret.arn, "rotation_overlap": 0.5}},
        pool=RESTLESS,
        environ=variables(moto.url),
    )
    former = secret.current
    load = statements(3, lambda _: connect(forebay, secret, lambda: former))
    with under_load(load):
        load.go_on()
        for step in STEPS:
            secret.step(step)
        connect(forebay, secret, lambda: secret.current).close()

        def told() -> str:
            try:
                psycopg.connect(forebay.dsn(former.user, former.password)).close()
            except psycopg.OperationalError as error:
                return str(error)
            return ""

        refusal = eventually(told, "the overlap is over")
        assert "The password that was provided for the role" in refusal
        load.go_on(20)


def content(user: str, password: str = "x") -> str:
    return json.dumps({"username": user, "password": password})
