"""Secrets in servers that speak Secrets Manager's API: moto, and MiniStack, which verifies who
asks. They are filled and rotated by the real boto3, as AWS's rotation functions do it."""

import asyncio
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from forebay.identity import keeper as keeping
from forebay.identity.keeper import Keeper
from forebay.identity.rotation import Plan, plans
from forebay.identity.secrets import SecretError
from forebay.identity.sources import aws
from forebay.identity.sources.making import Sources
from forebay.identity.sources.source import SourceError, Versions
from tests.harness import FaultProxy, Postgres, TestDatabase
from tests.harness.ministack import ROOT_KEY, MiniStack
from tests.harness.moto import REGION, MotoServer, client

OWNER = (ROOT_KEY.access_key_id, ROOT_KEY.secret_access_key)
OVERLAP_S = 300.0
TIMEOUT_S = 30.0
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    with MiniStack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@dataclass(frozen=True)
class Aws:
    """A server, and boto3 as its owner uses it."""

    url: str
    manager: Any


@pytest.fixture(params=["moto", "ministack", "ministack, GetSecretValue only"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """One of them, for which this process has credentials, as a user has set it up."""
    if request.param == "moto":
        moto: MotoServer = request.getfixturevalue("moto")
        use(monkeypatch, moto.url, "moto", "not-a-secret")
        return Aws(moto.url, moto.client("secretsmanager"))
    found: Aws = request.getfixturevalue("authenticating")
    if request.param.endswith("only"):
        name, key = new_user(found)
        use(monkeypatch, found.url, *key)
        allow(found, name, "secretsmanager:GetSecretValue")
    return found


@pytest.fixture
def authenticating(ministack: MiniStack, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The one that verifies who asks; this process has its owner's credentials."""
    use(monkeypatch, ministack.url, *OWNER)
    return Aws(ministack.url, client("secretsmanager", ministack.url, *OWNER))


def use(monkeypatch: pytest.MonkeyPatch, url: str, access_key_id: str, secret_key: str) -> None:
    """The variables of AWS's tools, and none that the tests were started with."""
    for name in ("AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_CONFIG_FILE": "/nowhere",
        "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


def new_user(server: Aws) -> tuple[str, tuple[str, str]]:
    """An IAM user who may do nothing, and the access key."""
    iam, name = client("iam", server.url, *OWNER), f"forebay-{secrets.token_hex(6)}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return name, (key["AccessKeyId"], key["SecretAccessKey"])


def allow(server: Aws, name: str, action: str) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client("iam", server.url, *OWNER).put_user_policy(
        UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy)
    )


@pytest.fixture
def sources() -> Iterator[Sources]:
    sources = Sources({"AWS_REGION": REGION}, {})
    yield sources
    sources.close()


@pytest.fixture
async def start_keeper() -> AsyncIterator[Callable[..., Keeper]]:
    started: list[Keeper] = []

    def start(**options: Any) -> Keeper:
        options.setdefault("on_change", lambda _: None)
        started.append(Keeper(Sources({"AWS_REGION": REGION}, {}), **options))
        return started[-1]

    yield start
    for keeper in started:
        await keeper.close()


def new_name() -> str:
    return f"forebay/{secrets.token_hex(6)}"


def content(username: str, password: str) -> str:
    return json.dumps({"username": username, "password": password, "engine": "postgres"})


def create(server: Aws, username: str = "app", password: str = "p1") -> str:
    found: str = server.manager.create_secret(
        Name=new_name(), SecretString=content(username, password)
    )["ARN"]
    return found


def rotate(server: Aws, arn: str, step: str, token: str, *, alternating: bool) -> None:
    """One step of AWS's rotation function, but for what it does at the database."""
    manager = server.manager
    current = manager.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")
    if step == "createSecret":
        username = json.loads(current["SecretString"])["username"]
        if alternating:
            is_clone = username.endswith("_clone")
            username = username.removesuffix("_clone") if is_clone else f"{username}_clone"
        manager.put_secret_value(
            SecretId=arn,
            ClientRequestToken=token,
            SecretString=content(username, f"p-{token}"),
            VersionStages=["AWSPENDING"],
        )
        # AWS moves a label; MiniStack leaves this one on the version of the last rotation, too.
        if "AWSPENDING" in _labels(server, arn, current["VersionId"]):
            manager.update_secret_version_stage(
                SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=current["VersionId"]
            )
    elif step == "finishSecret":
        manager.update_secret_version_stage(
            SecretId=arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=token,
            RemoveFromVersionId=current["VersionId"],
        )


def _labels(server: Aws, arn: str, version_id: str) -> list[str]:
    found: list[str] = server.manager.describe_secret(SecretId=arn)["VersionIdsToStages"].get(
        version_id, []
    )
    return found


def accepted(plan: Plan) -> dict[str, list[str]]:
    return {name: [each.reveal() for each in found] for name, found in plan.passwords.items()}


async def test_by_arn_and_by_name(server: Aws, sources: Sources) -> None:
    name = new_name()
    made = server.manager.create_secret(Name=name, SecretString=content("app", "hunter2"))
    for source in (made["ARN"], f"secretsmanager:{name}"):
        found = await sources.make(source).fetch()
        assert json.loads(found.current)["password"] == "hunter2"
        assert (found.previous, found.pending, found.version_id) == (None, None, made["VersionId"])
        assert found.age_s is not None


async def test_bytes(server: Aws, sources: Sources) -> None:
    made = server.manager.create_secret(Name=new_name(), SecretBinary=b'{"username": "app"}')
    assert (await sources.make(made["ARN"]).fetch()).current == b'{"username": "app"}'


@pytest.mark.parametrize("alternating", [False, True], ids=["one user", "alternating users"])
async def test_two_rotations(
    server: Aws,
    monkeypatch: pytest.MonkeyPatch,
    start_keeper: Callable[..., Keeper],
    alternating: bool,
) -> None:
    """At each step the keeper knows what AWS says; at no step is a password refused that a client
    has read as AWSCURRENT, or that was set at the database."""
    monkeypatch.setattr(keeping, "MIN_INTERVAL_S", 0.0)
    arn, changes = create(server), 0

    def count(source: str) -> None:
        nonlocal changes
        assert source == arn
        changes += 1

    keeper = start_keeper(on_change=count)
    await keeper.open([arn])
    (plan,) = plans(keeper.versions(arn), keeper._clock(), OVERLAP_S)
    assert accepted(plan) == {"app": ["p1"]}
    credentials = [("app", "p1")]
    for _ in range(2):
        token = str(uuid.uuid4())
        former = credentials[-1]
        username = "app_clone" if alternating and former[0] == "app" else "app"
        credentials.append((username, f"p-{token}"))
        for step in STEPS:
            rotate(server, arn, step, token, alternating=alternating)
            assert await keeper.refresh(arn) == (step in ("createSecret", "finishSecret"))
            (plan,) = plans(keeper.versions(arn), keeper._clock(), OVERLAP_S)
            for user, password in (former, credentials[-1]):
                assert password in accepted(plan)[user]
            tried = [
                (each.username, each.password.reveal()) for each in plan.logins if each.password
            ]
            assert tried[:2] == [credentials[-1], former]
            assert plan.identity == "app"
        held = keeper.versions(arn)
        assert held.pending is None
    assert changes == 4


@pytest.mark.parametrize("alternating", [False, True], ids=["one user", "alternating users"])
async def test_a_real_database_takes_what_is_planned(
    server: Aws,
    monkeypatch: pytest.MonkeyPatch,
    start_keeper: Callable[..., Keeper],
    postgres: Postgres,
    database: TestDatabase,
    alternating: bool,
) -> None:
    """The rotation is broken off before setSecret, and gone on with; what the database takes at
    each step, clients may show, and it is among what is tried."""
    monkeypatch.setattr(keeping, "MIN_INTERVAL_S", 0.0)
    user, clone = database.user, f"{database.user}_clone"
    known = [(user, database.password)]
    arn = create(server, *known[0])
    keeper = start_keeper()
    await keeper.open([arn])
    try:
        for _ in range(2):
            token = str(uuid.uuid4())
            name = clone if alternating and known[-1][0] == user else user
            known.append((name, f"p-{token}"))
            for step in ("createSecret", "", "setSecret", "testSecret", "finishSecret"):
                rotate(server, arn, step, token, alternating=alternating)
                if step == "setSecret":
                    _set_secret(postgres, *known[-1])
                await keeper.refresh(arn)
                (plan,) = plans(keeper.versions(arn), keeper._clock(), OVERLAP_S)
                taken = [each for each in known if _can_log_in(postgres, database.name, *each)]
                assert set(taken) <= {
                    (each, password) for each, found in accepted(plan).items() for password in found
                }
                tried = [(each.username, each.password) for each in plan.logins]
                assert set(taken) & {(each, word.reveal()) for each, word in tried if word}
    finally:
        postgres.sql(f'DROP ROLE IF EXISTS "{clone}"')


def _set_secret(postgres: Postgres, user: str, password: str) -> None:
    """What the rotation function does at the database."""
    found = postgres.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{user}'")
    verb = "ALTER" if found == [("1",)] else "CREATE"
    postgres.sql(f"{verb} ROLE \"{user}\" LOGIN PASSWORD '{password}'")


def _can_log_in(postgres: Postgres, name: str, user: str, password: str) -> bool:
    try:
        with psycopg.connect(
            host="127.0.0.1", port=postgres.port, dbname=name, user=user, password=password
        ):
            return True
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False


async def problem(sources: Sources, source: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await sources.make(source).fetch()
    return caught.value


async def test_deleted_and_brought_back(server: Aws, sources: Sources) -> None:
    arn = create(server)
    source = sources.make(arn)
    await source.fetch()
    server.manager.delete_secret(SecretId=arn)
    assert "restore-secret" in (await problem(sources, arn)).sentence
    with pytest.raises(SourceError, match="restore-secret"):
        await source.fetch()
    server.manager.restore_secret(SecretId=arn)
    assert isinstance(await source.fetch(), Versions)


async def test_no_such_secret(server: Aws, sources: Sources) -> None:
    error = await problem(sources, f"secretsmanager:{new_name()}")
    assert "has no such secret in this region" in error.sentence
    arn = create(server).replace(REGION, "us-west-2")
    assert "has no such secret in this region" in (await problem(sources, arn)).sentence


async def test_a_secret_without_a_value(server: Aws, sources: Sources) -> None:
    arn = server.manager.create_secret(Name=new_name())["ARN"]
    assert "value" in (await problem(sources, arn)).sentence


async def test_all_that_is_wrong_at_the_start(
    server: Aws, start_keeper: Callable[..., Keeper]
) -> None:
    good, missing = create(server), f"secretsmanager:{new_name()}"
    bad = server.manager.create_secret(Name=new_name(), SecretString="hunter2")["ARN"]
    with pytest.raises(SecretError) as caught:
        await start_keeper().open([good, bad, missing])
    problems = sorted(caught.value.problems)
    assert [each.split(": ")[0] for each in problems] == sorted([bad, missing])
    assert "hunter2" not in str(caught.value)


async def test_aws_is_gone_for_a_while(
    server: Aws, start_keeper: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIN_INTERVAL_S", "FIRST_RETRY_S"):
        monkeypatch.setattr(keeping, name, 0.0)
    monkeypatch.setattr(aws, "ATTEMPTS", 1)
    with FaultProxy(int(server.url.rpartition(":")[2])) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{proxy.port}")
        changed = asyncio.Event()
        keeper = start_keeper(on_change=lambda _: changed.set())
        arn = create(server)
        await keeper.open([arn])
        proxy.refuse()
        proxy.cut()
        assert not await keeper.refresh(arn)
        held = keeper.versions(arn)
        assert held.failing_since_s is not None
        assert held.error is not None
        assert held.current[0].password is not None
        server.manager.put_secret_value(SecretId=arn, SecretString=content("app", "p2"))
        proxy.heal()
        await asyncio.wait_for(changed.wait(), TIMEOUT_S)  # by itself
        held = keeper.versions(arn)
        assert (held.failing_since_s, held.error) == (None, None)
        (plan,) = plans(held, keeper._clock(), OVERLAP_S)
        assert accepted(plan) == {"app": ["p2", "p1"]}


async def test_a_user_who_may_do_nothing_yet(
    authenticating: Aws, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = create(authenticating)
    name, key = new_user(authenticating)
    use(monkeypatch, authenticating.url, *key)
    source = sources.make(arn)
    with pytest.raises(SourceError) as caught:
        await source.fetch()
    assert caught.value.sentence == (
        f"AWS denies it to arn:aws:iam::000000000000:user/{name}: allow"
        " secretsmanager:GetSecretValue on it"
    )
    allow(authenticating, name, "secretsmanager:GetSecretValue")
    assert json.loads((await source.fetch()).current)["username"] == "app"


async def test_credentials_that_aws_does_not_take(
    authenticating: Aws, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next attempt is made with those that are there by then."""
    arn = create(authenticating)
    _, (access_key_id, secret_access_key) = new_user(authenticating)
    for wrong in ((access_key_id, "another"), ("AKIASTRANGER", secret_access_key)):
        use(monkeypatch, authenticating.url, *wrong)
        error = await problem(sources, arn)
        assert "AWS does not take the credentials" in error.sentence
        assert secret_access_key not in error.sentence
    use(monkeypatch, authenticating.url, *OWNER)
    assert (await sources.make(arn).fetch()).version_id
