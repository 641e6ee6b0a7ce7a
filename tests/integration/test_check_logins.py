"""``forebay check`` with all the ways in which a proxy logs in, against a real PostgreSQL."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.cli import run
from forebay.embedded.certificates import Authority
from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres
from forebay.identity.database_tokens import DatabaseTokens
from tests.harness import TestDatabase
from tests.harness.moto import MotoServer
from tests.integration.test_check import check, write


def entries(path: str, *auth: str, settings: str = "") -> Path:
    """The configuration with other users than app.json's."""
    file = Path(path)
    lines = "".join(f"[[proxies.app.auth]]\n{each}\n" for each in auth)
    old = '[[proxies.app.auth]]\nsecret = "file:app.json"\n'
    text = file.read_text().replace(old, lines)
    file.write_text(text.replace("[proxies.app]", f"[proxies.app]\n{settings}", 1))
    return file


def test_users_of_whom_only_stored_forms_are_known(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sql = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{database.user}'"
    ((verifier,),) = postgres.sql(sql)
    assert verifier is not None
    listed = tmp_path / "users.txt"
    listed.write_text(f'"{database.user}" "{verifier}"\n')
    listed.chmod(0o600)
    path = entries(write(tmp_path, postgres, database), f'secret = "userlist:{listed}"')
    code, report = check(str(path), capsys)
    (user,) = report["proxies"][0]["users"]
    assert (code, user["error"], user["facts"]) == (0, None, None)
    assert "only the SCRAM verifier of its password is known" in user["untried"]
    assert verifier not in json.dumps(report)
    listed.write_text(f'"{database.user}" "md5{"0" * 32}"\n')
    code, report = check(str(path), capsys)
    assert code == 1
    assert "no more than the MD5 hash" in report["proxies"][0]["users"][0]["error"]


def test_auth_query_is_tried(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    query = "SELECT usename, passwd FROM {} WHERE usename = $1"

    def problems(number: int, sql: str, user: str = database.user) -> list[str]:
        folder = tmp_path / str(number)
        folder.mkdir()
        settings = f'auth_query = "{sql}"\nauth_user = "{user}"'
        secret = 'secret = "file:app.json"'
        path = entries(write(folder, postgres, database), secret, settings=settings)
        code, report = check(str(path), capsys)
        found: list[str] = report["proxies"][0]["problems"]
        assert code == (1 if found else 0)
        return found

    assert problems(1, query.format("pg_catalog.pg_user")) == []
    (denied,) = problems(2, query.format("pg_catalog.pg_shadow"))
    assert denied.startswith("auth_query: the database says: permission denied")
    (everybody,) = problems(3, "SELECT $1, 'md5x'")
    assert "returns a row for a user who does not exist" in everybody
    (nobody,) = problems(4, query.format("pg_catalog.pg_user"), "nobody")
    assert nobody.startswith('auth_user "nobody" is none of the users of auth')


def test_the_decision_records_own_trap(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """IAM is disabled on the only secret, and a policy grants a user who has none."""
    (tmp_path / "key.json").write_text('{"AccessKeyId": "AKIA1", "SecretAccessKey": "hunter2"}')
    (tmp_path / "key.json").chmod(0o600)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/publisher"},
        "Action": "rds-db:connect",
        "Resource": "arn:aws:rds-db:us-east-1:111122223333:dbuser:prx-1/app_user",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    path = Path(write(tmp_path, postgres, database))
    path.write_text(
        path.read_text()
        + """
[proxies.app.iam]
verifier = "keys"
region = "us-east-1"
hosts = ["localhost:6432"]
access_keys = ["file:key.json"]
proxy_id = "prx-1"
policies = ["file:policy.json"]
"""
    )
    code, report = check(str(path), capsys)
    assert code == 0
    warnings = "\n".join(report["proxies"][0]["warnings"])
    assert f'iam_auth is "DISABLED" for every user ("{database.user}")' in warnings
    assert 'lets principals be user "app_user", and nobody is called so' in warnings
    assert "hunter2" not in json.dumps(report)


def test_when_certificates_expire(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, postgres, database)
    _, report = check(path, capsys)
    (certificate,) = report["proxies"][0]["certificates"]
    assert certificate["what"] == "tls_certificate self-made (CN=localhost)"
    run(["check", path])
    day = certificate["expires"][:10]
    assert f"  certificate  {certificate['what']} expires on {day}\n" in capsys.readouterr().out


def test_a_rotation_that_is_under_way(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    moto: MotoServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL", moto.url),
        ("AWS_ACCESS_KEY_ID", "moto"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(name, value)

    def content(password: str) -> str:
        return json.dumps({"username": database.user, "password": password})

    manager = moto.client("secretsmanager")
    name = f"check-{secrets.token_hex(6)}"
    arn = manager.create_secret(Name=name, SecretString=content(database.password))["ARN"]
    monkeypatch.setenv("AWS_REGION", arn.split(":")[3])
    path = str(entries(write(tmp_path, postgres, database), f'secret = "{arn}"'))
    assert check(path, capsys)[0] == 0
    stages = {"VersionStages": ["AWSPENDING"]}
    manager.put_secret_value(SecretId=name, SecretString=content("hunter2"), **stages)
    code, report = check(path, capsys)
    (said,) = (each for each in report["proxies"][0]["warnings"] if "rotation" in each)
    assert code == 0
    assert f'does not take 1 newer of the passwords of user "{database.user}"' in said
    assert "hunter2" not in json.dumps(report)
    postgres.sql(f"ALTER ROLE \"{database.user}\" PASSWORD 'hunter2'")
    code, report = check(path, capsys)
    assert code == 0
    assert not [each for each in report["proxies"][0]["warnings"] if "rotation" in each]
    postgres.sql(f"ALTER ROLE \"{database.user}\" PASSWORD 'neither'")
    code, report = check(path, capsys)
    assert code == 1
    assert "28P01" in report["proxies"][0]["users"][0]["error"]


CLIENTS = Authority("clients")
TOKEN = "db.example.com:5432/?Action=connect&DBUser=u_token&X-Amz-Signature=hunter2"


@pytest.fixture(scope="module")
def strict() -> Iterator[Postgres]:
    """Asks one user for a certificate, and another for a password in clear, as RDS does."""
    hba = (
        "hostssl all u_cert 127.0.0.1/32 cert",
        "hostssl all u_token 127.0.0.1/32 password",
    )
    try:
        server = Postgres(tls=True, hba=hba)
    except SetupError as error:
        pytest.skip(str(error))
    with server:
        authority = server.directory / "clients.crt"
        server.home.write(authority, CLIENTS.certificate_pem.decode(), 0o644)
        server.configure(ssl_ca_file=str(authority))
        server.restart()
        for user in ("u_cert", "u_token"):
            server.create_user(user, TOKEN)
        yield server


NOBODY = TestDatabase("postgres", "nobody", "x")


@pytest.mark.tls_server
def test_a_certificate_of_our_own(
    tmp_path: Path, strict: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = CLIENTS.issue(["u_cert"])
    (tmp_path / "own.crt").write_bytes(certificate)
    (tmp_path / "own.key").write_bytes(key)
    (tmp_path / "own.key").chmod(0o600)
    (tmp_path / "ca.crt").write_bytes(CLIENTS.certificate_pem)
    target = 'sslmode = "require"\nsslcert = "own.crt"\nsslkey = "own.key"'
    user = 'username = "u_cert"\nclient_auth = "cert"'
    path = entries(
        write(tmp_path, strict, NOBODY, target=target), user, settings='tls_client_ca = "ca.crt"'
    )
    code, report = check(str(path), capsys)
    (proxy,) = report["proxies"]
    assert (code, proxy["users"][0]["error"]) == (0, None)
    assert proxy["users"][0]["facts"]["tls"].startswith("TLSv1.")
    whats = [each["what"] for each in proxy["certificates"]]
    assert [what.split()[0] for what in whats] == [
        *("tls_certificate", "tls_client_ca", "target.sslcert")
    ]
    assert not [each for each in proxy["warnings"] if "needs no password" in each]
    other, key = CLIENTS.issue(["somebody"])
    (tmp_path / "own.crt").write_bytes(other)
    (tmp_path / "own.key").write_bytes(key)
    code, report = check(str(path), capsys)
    assert code == 1
    assert "certificate authentication failed" in report["proxies"][0]["users"][0]["error"]


@pytest.mark.tls_server
def test_a_token_of_our_own_role(
    tmp_path: Path,
    strict: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[tuple[object, ...]] = []

    async def token(self: DatabaseTokens, *wanted: object) -> str:
        asked.append(wanted)
        return TOKEN

    monkeypatch.setattr(DatabaseTokens, "token", token)
    user = 'username = "u_token"\nauth_scheme = "IAM_AUTH"\nclient_auth = "trust"'
    target = 'sslmode = "require"\nregion = "eu-west-1"'
    path = str(entries(write(tmp_path, strict, NOBODY, target=target), user))
    code, report = check(path, capsys)
    assert (code, report["proxies"][0]["users"][0]["error"]) == (0, None)
    assert asked == [("127.0.0.1", strict.port, "u_token", "eu-west-1")]
    strict.sql("ALTER ROLE u_token PASSWORD 'x'")
    try:
        code, report = check(path, capsys)
    finally:
        strict.sql(f"ALTER ROLE u_token PASSWORD '{TOKEN}'")
    assert code == 1
    assert "password authentication failed" in report["proxies"][0]["users"][0]["error"]
    assert "hunter2" not in json.dumps(report)


def test_without_credentials_of_aws_there_is_no_token(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    user = f'username = "{database.user}"\nauth_scheme = "IAM_AUTH"\nclient_auth = "trust"'
    path = str(entries(write(tmp_path, postgres, database), user))
    code, report = check(path, capsys)
    assert code == 1
    error = report["proxies"][0]["users"][0]["error"]
    assert "127.0.0.1 does not tell its region" in error
