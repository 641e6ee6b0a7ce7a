"""Drivers that log in with IAM tokens of the real boto3, as functions on AWS do."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import psycopg
import psycopg2
import pytest

from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.clients import psql

REGION = "us-east-1"
AWS = {
    "AWS_ACCESS_KEY_ID": "ASIAFOREBAYTEST00001",
    "AWS_SECRET_ACCESS_KEY": "wJalr/XUtnFEMI+K7MDENG",
    "AWS_SESSION_TOKEN": "session/+=" * 100,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
# A function as the decision record has it, its connection kept for as long as it is warm.
HANDLER = """
import json, os, sys
from functools import lru_cache
import boto3, psycopg2

rds_client = boto3.client("rds")

@lru_cache(maxsize=1)
def get_connection():
    token = rds_client.generate_db_auth_token(
        DBHostname=os.environ["RDS_PROXY_HOST"],
        Port=int(os.environ["RDS_PROXY_PORT"]),
        DBUsername=os.environ["DATABASE_USER"],
    )
    return psycopg2.connect(
        host=os.environ["RDS_PROXY_HOST"],
        port=os.environ["RDS_PROXY_PORT"],
        database=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=token,
        sslmode="require",
    )

def handler(event, context):
    with get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user, %s", (event["number"],))
        return cursor.fetchone()

print(json.dumps([handler({"number": number}, None) for number in range(3)]))
"""


@dataclass
class Function:
    """What a function knows of its database."""

    forebay: Forebay
    database: TestDatabase

    @property
    def token(self) -> str:
        client = boto3.client(
            "rds",
            region_name=REGION,
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=AWS["AWS_SESSION_TOKEN"],
        )
        token = client.generate_db_auth_token(
            DBHostname=self.forebay.host,
            Port=self.forebay.port,
            DBUsername=self.database.user,
        )
        assert isinstance(token, str)
        return token

    def arguments(self, **more: Any) -> dict[str, Any]:
        """For connect functions of drivers."""
        return {
            "host": self.forebay.host,
            "port": self.forebay.port,
            "user": self.database.user,
            "password": self.token,
            **more,
        }


@pytest.fixture
def function(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    tmp_path: Path,
) -> Function:
    key = tmp_path / "key.json"
    value = {
        "AccessKeyId": AWS["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": AWS["AWS_SECRET_ACCESS_KEY"],
        "SessionToken": AWS["AWS_SESSION_TOKEN"],
        "Expiration": "2999-01-01T00:00:00+00:00",
    }
    role = {"Arn": "arn:aws:sts::111122223333:assumed-role/publisher/i-0123"}
    key.write_text(json.dumps({"Credentials": value, "AssumedRoleUser": role}))
    key.chmod(0o600)
    iam = {
        "verifier": "keys",
        "region": REGION,
        "hosts": ["not.known.yet:1"],
        "access_keys": [f"file:{key}"],
    }
    forebay = start_forebay(
        postgres.port, database, auth={database.user: {"iam_auth": "REQUIRED"}}, proxy={"iam": iam}
    )
    forebay.reload(proxy={"iam": iam | {"hosts": [f"{forebay.host}:{forebay.port}"]}})
    return Function(forebay, database)


def test_a_lambda_function(function: Function) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANDLER],
        env=function.forebay.environment() | AWS,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[function.database.user, number] for number in range(3)]


def test_psql(function: Function) -> None:
    forebay, token = function.forebay, function.token
    url = forebay.dsn(password="")
    done = psql(url, "SELECT current_user", environment={"PGPASSWORD": token}).ok()
    assert done.out.strip() == function.database.user
    done = psql(url, "SELECT 1", environment={"PGPASSWORD": token.replace("900", "901")})
    assert "FATAL:  The IAM authentication failed for the role" in done.err
    done = psql(forebay.dsn(password=token), "SELECT current_user").ok()  # quoted in the URL
    assert done.out.strip() == function.database.user


@pytest.mark.parametrize("driver", [psycopg2, psycopg], ids=["psycopg2", "psycopg"])
@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
def test_libpq_drivers(function: Function, driver: Any, sslmode: str) -> None:
    more = {"sslmode": sslmode, "sslrootcert": str(function.forebay.ca_file)}
    if sslmode == "require":
        more.pop("sslrootcert")
    arguments = function.arguments(dbname=function.database.name, **more)
    with contextlib.closing(driver.connect(**arguments)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (function.database.user,)
    arguments["password"] = function.database.password
    with pytest.raises(driver.OperationalError, match="The IAM authentication failed"):
        driver.connect(**arguments)


async def test_asyncpg(function: Function) -> None:
    arguments = function.arguments(database=function.database.name, ssl="require")
    connection = await asyncpg.connect(**arguments)
    assert await connection.fetchval("SELECT current_user") == function.database.user
    await connection.close()


def test_a_tool_that_makes_tokens(function: Function) -> None:
    """``forebay token`` with the same variables, for a shell without boto3."""
    command = [sys.executable, "-c", "from forebay.cli import main; main()", "token"]
    place = ["--host", function.forebay.host, "--port", str(function.forebay.port)]
    made = subprocess.run(
        [*command, *place, "--user", function.database.user],
        env=function.forebay.environment() | AWS,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    url = function.forebay.dsn(password="", sslmode="require")
    done = psql(url, "SELECT current_user", environment={"PGPASSWORD": made.stdout.strip()})
    assert done.ok().out.strip() == function.database.user
