"""What docs/authentication.md tells to type, typed word by word; only places differ."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.embedded.certificates import Authority
from forebay.identity.access_keys import AccessKey
from tests.harness.login_server import LINES, LoginServer, configure_hba, write_pair
from tests.harness.moto import REGION as MOTO_REGION
from tests.harness.moto import MotoServer
from tests.harness.rds import REGION, ROLE, StandInRds
from tests.harness.sts import USER_ARN, StandInSts, verifying
from tests.harness.typist import Typist, blocks, section

pytestmark = pytest.mark.tls_server

PAGE = Path(__file__).parents[2] / "docs" / "authentication.md"
USER, PASSWORD = "app_user", "app-secret"
KEY = AccessKey("AKIAFOREBAYDEV000001", "not-for-production-8b1f0a77c2d94e53")
CALL = "\nprint('it is ' + handler({}, None))\n"
# What AWS's tools find on the machine of the page's reader.
AWS = {
    "AWS_ACCESS_KEY_ID": KEY.access_key_id,
    "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
RDS = "app.cluster-abc.eu-west-1.rds.amazonaws.com"
IT_IS = f" {USER}\n(1 row)"


@pytest.fixture(scope="module")
def server() -> Iterator[LoginServer]:
    with LoginServer() as server:
        yield server


@pytest.fixture
def user(server: LoginServer) -> Iterator[str]:
    server.postgres.create_user(USER, PASSWORD)
    yield USER
    server.postgres.sql(f"DROP ROLE IF EXISTS {USER}_clone; DROP ROLE {USER}")


@pytest.fixture
def reader(tmp_path: Path, server: LoginServer, user: str) -> Iterator[Callable[..., Typist]]:
    """Somebody at a machine of their own: ``reader(places={…}, environ={…})``."""
    started: list[Typist] = []

    def start(**settings: Any) -> Typist:
        started.append(Typist(tmp_path, server.postgres, **settings))
        return started[-1].__enter__()

    yield start
    for each in started:
        each.__exit__()


@pytest.fixture
def rds(tmp_path: Path, server: LoginServer, user: str) -> Iterator[StandInRds]:
    """The file that the page calls rds-ca.pem is there."""
    with StandInRds(tmp_path, server.postgres.port, KEY) as rds:
        yield rds


@pytest.fixture
def with_rds(reader: Callable[..., Typist], rds: StandInRds) -> Typist:
    """A reader who has a database at RDS."""
    places = {
        f"{RDS}:5432": f"localhost:{rds.port}",
        f"{RDS} --port 5432": f"localhost --port {rds.port}",
    }
    return reader(places=places, environ=AWS | {"AWS_REGION": REGION})


def part(heading: str) -> str:
    return section(PAGE, heading)


def test_iam_tokens(reader: Callable[..., Typist]) -> None:
    typist = reader()
    text = part("Set it up")
    commands = [block for _, language, block in blocks(text) if language != "python"]
    typist.type(text.split("The function has these variables")[0])
    assert len(commands) == 4
    assert "would work" in typist.said
    assert IT_IS in typist.said
    assert "FAILED" not in typist.said
    assert "every user here" not in typist.said
    ((_, _, handler),) = [each for each in blocks(text) if each[1] == "python"]
    function = AWS | {
        "RDS_PROXY_HOST": "localhost",
        "RDS_PROXY_PORT": str(typist.port),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    typist.python(typist.as_here(handler) + CALL, **function)
    assert f"it is {USER}" in typist.said


@pytest.mark.parametrize(
    "heading", ["A directory, as Kubernetes mounts it", "PgBouncer's userlist"]
)
def test_secrets(reader: Callable[..., Typist], heading: str) -> None:
    assert IT_IS in reader().type(part(heading))


@pytest.fixture
def with_secrets_manager(reader: Callable[..., Typist], moto: MotoServer) -> Iterator[Typist]:
    environ = AWS | {
        "AWS_REGION": MOTO_REGION,
        "AWS_DEFAULT_REGION": MOTO_REGION,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": moto.url,
    }
    yield reader(environ=environ)
    for name in ("app/app_user", "app/alternating"):
        moto.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def test_secrets_manager(with_secrets_manager: Typist) -> None:
    assert IT_IS in with_secrets_manager.type(part("AWS Secrets Manager"))


def test_rotation(with_secrets_manager: Typist) -> None:
    said = with_secrets_manager.type(part("Rotation"))
    assert " new\n" in said
    assert " former\n" in said


def test_tokens_that_aws_verifies(reader: Callable[..., Typist]) -> None:
    arns = {KEY.access_key_id: USER_ARN}
    with StandInSts(verifying({KEY.access_key_id: KEY.secret_access_key}, arns)) as sts:
        url = sts.endpoint.url.rstrip("/")
        places = {'"https://sts.eu-west-1.amazonaws.com"': f'"{url}"'}
        typist = reader(places=places, environ=AWS | {"AWS_ENDPOINT_URL_STS": url})
        said = typist.type(part("Tokens that AWS verifies"))
        # Two that are made within a second are one and the same token.
        assert 1 <= len(sts.asked) <= 2
    assert f"{USER} is in" in said
    assert IT_IS in said


def test_tokens_that_the_database_verifies(with_rds: Typist, rds: StandInRds) -> None:
    assert IT_IS in with_rds.type(part("Tokens that the database verifies"))
    assert {user for user, _ in rds.let_in} == {USER}


def test_policies(reader: Callable[..., Typist]) -> None:
    typist = reader()
    assert IT_IS in typist.type(part("Who may connect as whom: policies"))
    # What the statements do not allow, or deny, is refused.
    policy = typist.directory / "policies/app.json"
    for effect, reason in (
        (policy.read_text().replace("dbuser:prx-orders/", "dbuser:prx-others/"), "no statement"),
        (policy.read_text().replace("*admin*", "*"), 'Sid "NoAdministrators"'),
    ):
        policy.write_text(effect)
        typist.shell("venv/bin/forebay serve forebay.toml")
        *_, (_, _, log_in) = blocks(part("Who may connect as whom: policies"))
        typist.shell(f"! {{ {typist.as_here(log_in)}\n}} 2>told")
        assert "The IAM authentication failed" in (typist.directory / "told").read_text()
        typist.wait_for_log(reason)


def test_to_the_database_with_iam(with_rds: Typist, rds: StandInRds) -> None:
    said = with_rds.type(part("To the database with IAM"))
    assert IT_IS in said
    assert {user for user, _ in rds.let_in} == {USER}


def test_the_sidecar(with_rds: Typist, rds: StandInRds, server: LoginServer) -> None:
    server.postgres.sql(f"GRANT {ROLE} TO {USER}")
    assert IT_IS in with_rds.type(part("The sidecar"))
    assert {user for user, _ in rds.let_in} == {USER}


def test_client_certificates(reader: Callable[..., Typist]) -> None:
    typist, authority = reader(), Authority("clients")
    (typist.directory / "clients-ca.crt").write_bytes(authority.certificate_pem)
    write_pair(typist.directory, "app", authority.issue(["app.internal"]))
    assert IT_IS in typist.type(part("Client certificates"))


def test_a_certificate_towards_the_database(
    reader: Callable[..., Typist], server: LoginServer
) -> None:
    typist = reader()
    (typist.directory / "database-ca.crt").write_bytes(server.postgres.ca_file.read_bytes())
    write_pair(typist.directory, "app", server.clients.issue([USER]))
    server.postgres.sql(f"ALTER ROLE {USER} PASSWORD NULL")
    try:
        assert IT_IS in typist.type(part("A certificate towards the database"))
    finally:
        configure_hba(server.postgres, *LINES)


def test_users_without_secrets(reader: Callable[..., Typist], server: LoginServer) -> None:
    try:
        assert IT_IS in reader().type(part("Users without secrets"))
    finally:
        server.postgres.sql("DROP SCHEMA forebay CASCADE; DROP ROLE forebay_lookup")


def test_certificates(reader: Callable[..., Typist]) -> None:
    typist, authority = reader(), Authority("servers")
    (typist.directory / "server-ca.crt").write_bytes(authority.certificate_pem)
    write_pair(typist.directory, "internal", authority.issue(["db.internal"]))
    write_pair(typist.directory, "public", authority.issue(["db.example.com"]))
    assert IT_IS in typist.type(part("Certificates"))


def test_each_example_is_typed() -> None:
    """So that none is added here that nobody has tried."""
    headings = re.findall(r"^#+ (.+)$", PAGE.read_text(), re.MULTILINE)
    with_examples = [
        heading
        for heading in headings
        if any(language == "toml" for _, language, _ in blocks(part(heading)))
    ]
    assert len(with_examples) > 10
    typed = Path(__file__).read_text()
    assert not [heading for heading in with_examples if f'"{heading}"' not in typed]
