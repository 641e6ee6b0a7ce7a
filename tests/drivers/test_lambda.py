"""A function as the decision for RDS Proxy with IAM has it, before Forebay: it has the access key
of its role, makes tokens with boto3, and keeps its connection for as long as it is warm."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from forebay.identity.access_keys import AccessKey
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.ministack import ROOT_KEY, MiniStack
from tests.harness.rds import HBA, NAME, ROLE, StandInRds
from tests.harness.rds import REGION as RDS_REGION
from tests.harness.sts import ACCOUNT, REGION, StandInSts, verifying

PROXY_ID = "prx-orders"
IAM_FAILED = "The IAM authentication failed for the role"
HANDLER = """
import json, os
from functools import lru_cache
import boto3, psycopg2

{make_token}

@lru_cache(maxsize=1)
def get_connection():
    return psycopg2.connect(
        host=os.environ["RDS_PROXY_HOST"],
        port=os.environ["RDS_PROXY_PORT"],
        database=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=make_token(),
        sslmode="require",
    )

def handler(event, context):
    with get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user, %s", (event["number"],))
        return cursor.fetchone()

print(json.dumps([handler({{"number": number}}, None) for number in range(3)]))
"""
FOR_STS = f"""
def make_token():
    sts = boto3.client("sts", region_name=os.environ["AWS_REGION"])
    sts.meta.events.register(
        "before-sign.sts.GetCallerIdentity",
        lambda request, **_: request.headers.add_header("x-forebay-proxy-id", "{PROXY_ID}"),
    )
    return sts.generate_presigned_url("get_caller_identity", ExpiresIn=900, HttpMethod="GET")
"""
FOR_DATABASE = """
def make_token():  # for the database itself
    return boto3.client("rds").generate_db_auth_token(
        DBHostname=os.environ["DATABASE_HOST"],
        Port=int(os.environ["DATABASE_PORT"]),
        DBUsername=os.environ["DATABASE_USER"],
    )
"""


def invoke(forebay: Forebay, make_token: str, key: AccessKey, **environ: str) -> Any:
    """Runs a function three times. Returns what it returns, or its last words."""
    credentials = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        **({"AWS_SESSION_TOKEN": key.session_token} if key.session_token else {}),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    done = subprocess.run(
        [sys.executable, "-c", HANDLER.format(make_token=make_token)],
        env=forebay.environment() | credentials | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


@dataclass(frozen=True)
class Sts:
    """Where STS is, and the access keys of principals there, by ARN."""

    url: str
    region: str
    account: str
    user: tuple[str, AccessKey]
    session: tuple[str, AccessKey]
    role: str
    stranger: tuple[str, AccessKey]


@pytest.fixture(params=["stand-in", "MiniStack"])
def sts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sts]:
    if request.param == "MiniStack":
        with MiniStack(tmp_path) as server:
            yield _in_ministack(server)
        return
    role = f"arn:aws:iam::{ACCOUNT}:role/publisher"
    principals = {
        f"arn:aws:iam::{ACCOUNT}:user/dev": AccessKey("AKIAFOREBAYTEST00001", "user/+="),
        f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/i-0123": AccessKey(
            "ASIAFOREBAYTEST00002", "role/+=", "session/+=" * 100
        ),
        f"arn:aws:iam::{ACCOUNT}:user/stranger": AccessKey("AKIAFOREBAYTEST00003", "stranger"),
    }
    by_id = {key.access_key_id: (arn, key) for arn, key in principals.items()}
    answer = verifying(
        {name: key.secret_access_key for name, (_, key) in by_id.items()},
        {name: arn for name, (arn, _) in by_id.items()},
    )
    user, session, stranger = principals.items()
    with StandInSts(answer) as server:
        yield Sts(server.endpoint.url.rstrip("/"), REGION, ACCOUNT, user, session, role, stranger)


def _in_ministack(server: MiniStack) -> Sts:
    """Principals as an administrator makes them, by boto3."""
    region, account = "us-east-1", "000000000000"

    def client(service: str, key: AccessKey) -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=server.url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
        )

    iam = client("iam", ROOT_KEY)

    def new_user(name: str) -> tuple[str, AccessKey]:
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return arn, AccessKey(made["AccessKeyId"], made["SecretAccessKey"])

    user, stranger = new_user("dev"), new_user("stranger")
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    iam.put_user_policy(
        UserName="dev",
        PolicyName="assume",
        PolicyDocument=_document({**assume, "Resource": "*"}),
    )
    trust = _document({**assume, "Principal": {"AWS": f"arn:aws:iam::{account}:root"}})
    role = iam.create_role(RoleName="publisher", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    made = client("sts", user[1]).assume_role(RoleArn=role, RoleSessionName="i-0123")
    found = made["Credentials"]
    key = AccessKey(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    session = made["AssumedRoleUser"]["Arn"], key
    return Sts(server.url, region, account, user, session, role, stranger)


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def test_sts(
    sts: Sts, start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """The policy lets the user and the role in, and then denies the role."""

    def iam(*more: dict[str, Any]) -> dict[str, Any]:
        user = f"dbuser:{PROXY_ID}/{database.user}"
        resource = f"arn:aws:rds-db:{sts.region}:{sts.account}:{user}"
        connect = {"Action": "rds-db:connect", "Resource": resource}
        allow = {"Effect": "Allow", "Principal": {"AWS": [sts.user[0], sts.role]}, **connect}
        return {
            "verifier": "sts",
            "region": sts.region,
            "account": sts.account,
            "proxy_id": PROXY_ID,
            "policies": [_document(allow, *({**connect, **each} for each in more))],
            "sts_endpoint": sts.url,
        }

    forebay = start_forebay(
        postgres.port,
        database,
        auth={database.user: {"iam_auth": "REQUIRED"}},
        proxy={"iam": iam()},
    )
    aws = {"AWS_ENDPOINT_URL_STS": sts.url, "AWS_REGION": sts.region}
    rows = [[database.user, number] for number in range(3)]
    for _, key in (sts.user, sts.session):
        assert invoke(forebay, FOR_STS, key, **aws) == rows
    assert f"{IAM_FAILED} {database.user}." in invoke(forebay, FOR_STS, sts.stranger[1], **aws)
    said = forebay.wait_for_log(IAM_FAILED)
    assert sts.stranger[0] in said
    assert f"/{database.user}" in said
    denied = {"Sid": "Closed", "Effect": "Deny", "Principal": {"AWS": sts.role}}
    forebay.reload(proxy={"iam": iam(denied)})
    assert IAM_FAILED in invoke(forebay, FOR_STS, sts.session[1], **aws)
    said = forebay.wait_for_log(f"{IAM_FAILED}.*Closed")
    assert sts.session[0] in said
    assert invoke(forebay, FOR_STS, sts.user[1], **aws) == rows
    assert sts.session[1].secret_access_key not in forebay.text


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Lets members of `ROLE` in, who have been let in before."""
    with Postgres(hba=(HBA,)) as server:
        server.sql(f"CREATE ROLE {ROLE}")
        yield server


def test_database(start_forebay: Callable[..., Forebay], server: Postgres, tmp_path: Path) -> None:
    """Connections that verify tokens serve the pool; one that AWS does not let in is refused."""
    key = AccessKey("ASIAFOREBAYTEST00002", "role/+=", "session/+=" * 100)
    user = f"iam_{secrets.token_hex(4)}"
    server.create_user(user, "nobody knows it", options=f"IN ROLE {ROLE}")
    with StandInRds(tmp_path, server.port, key) as rds:
        forebay = start_forebay(
            rds.port,
            TestDatabase("postgres", user, ""),
            auth={user: {"iam_auth": "REQUIRED", "secret": "env:FOREBAY_USER"}},
            proxy={"iam": {"verifier": "database"}},
            target={
                "hosts": [f"{NAME}:{rds.port}"],
                "sslmode": "verify-full",
                "sslrootcert": str(rds.ca_file),
            },
            environ={"FOREBAY_USER": json.dumps({"username": user})},
        )
        place = {"DATABASE_HOST": NAME, "DATABASE_PORT": str(rds.port)}
        aws = {"AWS_DEFAULT_REGION": RDS_REGION, **place}
        rows = [[user, number] for number in range(3)]
        for _ in range(2):
            assert invoke(forebay, FOR_DATABASE, key, **aws) == rows
        opened = forebay.command("status", "--json").ok()
        (proxy,) = json.loads(opened.out)["proxies"]
        assert proxy["database_connections"] >= 1
        assert {each for each, _ in rds.let_in} == {user}
        wrong = key._replace(secret_access_key="another")
        assert f"{IAM_FAILED} {user}." in invoke(forebay, FOR_DATABASE, wrong, **aws)
        assert rds.refused
        forebay.wait_for_log(f"{IAM_FAILED} {user}.*the database says: PAM")
        elsewhere = aws | {"DATABASE_HOST": forebay.host, "DATABASE_PORT": str(forebay.port)}
        assert IAM_FAILED in invoke(forebay, FOR_DATABASE, key, **elsewhere)
        forebay.wait_for_log(f"{IAM_FAILED} {user}.*another host than target.hosts has")
        forebay.stop()
