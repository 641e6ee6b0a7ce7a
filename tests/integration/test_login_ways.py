"""Certificates of all sides, and IAM towards the database, with real drivers."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forebay.embedded.certificates import Authority
from forebay.embedded.surroundings import free_port
from forebay.identity.access_keys import AccessKey
from forebay.identity.tokens import generate_db_auth_token
from tests.harness import Forebay, eventually, start_command
from tests.harness.drivers import DRIVERS, Door, RefusedError, by_psycopg
from tests.harness.login_server import BY_CERTIFICATE, LoginServer, write_pair
from tests.harness.rds import REGION, ROLE, StandInRds

PASSWORD = "päss wörd"
SERVERS, CLIENTS = Authority("servers"), Authority("clients of the proxy")
KEY = AccessKey("AKIAFOREBAYTEST00001", "planted-secret-access-key-1")
AWS = {
    "AWS_ACCESS_KEY_ID": KEY.access_key_id,
    "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key,
    "AWS_REGION": REGION,
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
WANTED = "connection requires a valid client certificate"
LIBPQS = ("psql", "psycopg2", "psycopg")
OTHERS = 'certificate authentication failed for user "{}"'

pytestmark = pytest.mark.tls_server


@pytest.fixture(scope="module")
def server() -> Iterator[LoginServer]:
    with LoginServer() as server:
        server.postgres.create_user("u_scram", PASSWORD)
        for role in (BY_CERTIFICATE, ROLE):
            server.postgres.sql(f"CREATE ROLE u_{role} LOGIN IN ROLE {role}")
        yield server


@pytest.fixture
def start(server: LoginServer, start_forebay: Callable[..., Forebay]) -> Callable[..., Forebay]:
    """Starts a Forebay for one user."""

    def start(user: str = "u_scram", port: int = 0, **settings: Any) -> Forebay:
        database = server.database(user, PASSWORD)
        return start_forebay(port or server.postgres.port, database, **settings)

    return start


def door(forebay: Forebay, user: str = "u_scram", password: str = PASSWORD, **more: Any) -> Door:
    return Door(forebay.port, user, password, forebay.ca_file, **more)


def is_served(at: Door) -> bool:
    try:
        return by_psycopg(at) == at.user
    except RefusedError:
        return False


def refusal(at: Door, by: Callable[[Door], str] = by_psycopg) -> str:
    with pytest.raises(RefusedError) as caught:
        by(at)
    return str(caught.value)


# ---- Certificates of clients ---------------------------------------------------------------------


@pytest.fixture
def certified(start: Callable[..., Forebay], tmp_path: Path) -> Callable[..., Forebay]:
    """Starts a Forebay that looks at clients' certificates."""
    ca_file = tmp_path / "clients-ca.crt"
    ca_file.write_bytes(CLIENTS.certificate_pem)

    def certified(**entry: Any) -> Forebay:
        return start(proxy={"tls_client_ca": str(ca_file)}, auth={"u_scram": entry})

    return certified


def own(directory: Path, *names: str, authority: Authority = CLIENTS) -> tuple[Path, Path]:
    return write_pair(directory, names[0], authority.issue(names))


def test_a_certificate_instead_of_a_password(
    certified: Callable[..., Forebay], tmp_path: Path
) -> None:
    forebay = certified(client_auth="cert", clientcert_names=["svc.test"])
    for by in DRIVERS.values():
        for names in (["u_scram"], ["x", "u_scram"], ["svc.test"]):
            assert by(door(forebay, password="", files=own(tmp_path, *names))) == "u_scram"
        other = own(tmp_path, "other")
        assert OTHERS.format("u_scram") in refusal(door(forebay, password="", files=other), by)
        assert WANTED in refusal(door(forebay), by)
    forebay.wait_for_log('the certificate is issued to \\\\"other')


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_and_a_password(
    certified: Callable[..., Forebay], tmp_path: Path, mode: str
) -> None:
    forebay = certified(clientcert=mode)
    mine, others = own(tmp_path, "u_scram"), own(tmp_path, "other")
    for by in DRIVERS.values():
        assert by(door(forebay, files=mine)) == "u_scram"
        assert "is wrong" in refusal(door(forebay, password="wrong", files=mine), by)
        assert WANTED in refusal(door(forebay), by)
        if mode == "verify-ca":
            assert by(door(forebay, files=others)) == "u_scram"
        else:
            assert OTHERS.format("u_scram") in refusal(door(forebay, files=others), by)


def test_a_certificate_that_nobody_vouches_for(
    certified: Callable[..., Forebay], tmp_path: Path
) -> None:
    forebay = certified(client_auth="cert")
    files = own(tmp_path, "u_scram", authority=Authority("stranger"))
    assert refusal(door(forebay, password="", files=files))
    forebay.wait_for_log("certificate verify failed")


def test_authorities_are_replaced_while_clients_are_there(
    certified: Callable[..., Forebay], tmp_path: Path
) -> None:
    """Who is there stays; who comes needs a certificate of the new one."""
    forebay, newer = certified(client_auth="cert"), Authority("newer clients")
    before = door(forebay, password="", files=own(tmp_path, "u_scram"))
    (tmp_path / "newer").mkdir()
    files = own(tmp_path / "newer", "u_scram", authority=newer)
    after = door(forebay, password="", files=files)
    with psycopg.connect(**before.settings, autocommit=True) as connection:
        assert not is_served(after)
        (tmp_path / "clients-ca.crt").write_bytes(newer.certificate_pem)
        forebay.wait_for_log("the authorities for client certificates are others")
        assert by_psycopg(after) == "u_scram"
        assert not is_served(before)
        assert connection.execute("SELECT current_user").fetchone() == ("u_scram",)


def test_trust(start: Callable[..., Forebay]) -> None:
    proxy = {"require_tls": False}
    forebay = start(auth={"u_scram": {"client_auth": "trust"}}, proxy=proxy)
    for by in DRIVERS.values():
        for ca_file in (forebay.ca_file, None):
            assert by(Door(forebay.port, "u_scram", ca_file=ca_file)) == "u_scram"


# ---- Forebay's own certificates ------------------------------------------------------------------


@pytest.fixture
def own_files(server: LoginServer, tmp_path: Path) -> dict[str, str]:
    """Keys of the target: a certificate for its database."""
    names = [f"u_{BY_CERTIFICATE}"]
    certificate, key = write_pair(tmp_path, "own", server.clients.issue(names))
    return {
        "sslmode": "verify-full",
        "sslrootcert": str(server.postgres.ca_file),
        "sslcert": str(certificate),
        "sslkey": str(key),
    }


def test_a_certificate_towards_the_database(
    start: Callable[..., Forebay], own_files: dict[str, str]
) -> None:
    user = f"u_{BY_CERTIFICATE}"
    entry = {"username": user, "client_auth": "trust"}
    forebay = start(user, entries=[entry], target=own_files)
    for by in DRIVERS.values():
        assert by(door(forebay, user, "")) == user


def test_another_ones_certificate_towards_the_database(
    start: Callable[..., Forebay], server: LoginServer, own_files: dict[str, str], tmp_path: Path
) -> None:
    """Whoever waits for a connection is told what the database says; a better file helps."""
    user = f"u_{BY_CERTIFICATE}"
    right = [Path(own_files[name]).read_bytes() for name in ("sslcert", "sslkey")]
    write_pair(tmp_path, "own", server.clients.issue(["somebody"]))
    entry = {"username": user, "client_auth": "trust"}
    forebay = start(user, entries=[entry], target=own_files)
    assert OTHERS.format(user) in refusal(door(forebay, user, ""))
    write_pair(tmp_path, "own", (right[0], right[1]))
    eventually(lambda: is_served(door(forebay, user, "")), "the files that were corrected are used")


def test_the_certificate_of_the_name_that_is_asked_for(
    start: Callable[..., Forebay], tmp_path: Path
) -> None:
    """Each with channel binding, which is to what the client has seen."""
    pairs = [
        write_pair(tmp_path, str(number), SERVERS.issue(names))
        for number, names in enumerate((["first.test"], ["second.test"], ["*.wild.test"]))
    ]
    root = tmp_path / "root.crt"
    root.write_bytes(SERVERS.certificate_pem)
    forebay = start(
        proxy={
            "tls_certificate": [str(certificate) for certificate, _ in pairs],
            "tls_private_key": [str(key) for _, key in pairs],
        }
    )
    bound = {"channel_binding": "require"}
    for by in (DRIVERS[driver] for driver in LIBPQS):
        for name in ("first.test", "second.test", "a.wild.test"):
            at = Door(forebay.port, "u_scram", PASSWORD, root, host=name, libpq=bound)
            assert by(at) == "u_scram"
        third = Door(forebay.port, "u_scram", PASSWORD, root, host="third.test")
        assert 'server certificate for "first.test"' in refusal(third, by)


def test_certificates_are_replaced_while_clients_are_there(
    start: Callable[..., Forebay], tmp_path: Path
) -> None:
    """Without a reload: who is there stays, and who comes sees the new one."""
    certificate, key = write_pair(tmp_path, "server", SERVERS.issue())
    before, after = tmp_path / "before.crt", tmp_path / "after.crt"
    newer = Authority("newer servers")
    before.write_bytes(SERVERS.certificate_pem)
    after.write_bytes(newer.certificate_pem)
    forebay = start(proxy={"tls_certificate": str(certificate), "tls_private_key": str(key)})
    old = Door(forebay.port, "u_scram", PASSWORD, before)
    new = Door(forebay.port, "u_scram", PASSWORD, after)
    with psycopg.connect(**old.settings, autocommit=True) as connection:
        assert "certificate verify failed" in refusal(new)
        certificate.write_bytes(newer.issue()[0])  # of which this key is not the key
        forebay.wait_for_log("the one before serves on")
        assert by_psycopg(old) == "u_scram"
        write_pair(tmp_path, "server", newer.issue())
        forebay.wait_for_log("the TLS certificate is another")
        assert by_psycopg(new) == "u_scram"
        assert "certificate verify failed" in refusal(old)
        assert connection.execute("SELECT current_user").fetchone() == ("u_scram",)


# ---- IAM towards the database --------------------------------------------------------------------


@pytest.fixture
def rds(server: LoginServer, tmp_path: Path) -> Iterator[StandInRds]:
    with StandInRds(tmp_path, server.postgres.port, KEY) as rds:
        yield rds


def target(rds: StandInRds) -> dict[str, Any]:
    return {
        "hosts": [f"localhost:{rds.port}"],
        "sslmode": "verify-full",
        "sslrootcert": str(rds.ca_file),
        "region": REGION,
    }


def test_tokens_of_its_own_role(start: Callable[..., Forebay], rds: StandInRds) -> None:
    """The password is what clients show, and the database knows none."""
    user = f"u_{ROLE}"
    scheme = {user: {"auth_scheme": "IAM_AUTH"}}
    forebay = start(user, target=target(rds), auth=scheme, environ=AWS)
    for by in DRIVERS.values():
        assert by(door(forebay, user)) == user
        assert "is wrong" in refusal(door(forebay, user, "wrong"), by)
    assert {each for each, _ in rds.let_in} == {user}
    assert not rds.refused
    planted = [KEY.secret_access_key, *(token[-64:] for _, token in rds.let_in)]
    assert not [each for each in planted if each in forebay.text]


def test_a_role_that_rds_does_not_take(start: Callable[..., Forebay], rds: StandInRds) -> None:
    user = f"u_{ROLE}"
    scheme = {user: {"auth_scheme": "IAM_AUTH"}}
    environ = AWS | {"AWS_SECRET_ACCESS_KEY": "another"}
    forebay = start(user, target=target(rds), auth=scheme, environ=environ)
    assert f'PAM authentication failed for user "{user}"' in refusal(door(forebay, user))
    assert rds.refused
    assert not rds.let_in


def test_tokens_that_the_database_verifies(start: Callable[..., Forebay], rds: StandInRds) -> None:
    """And which opens connections from then on; no other way in is known."""
    user = f"u_{ROLE}"
    entry = {"username": user, "iam_auth": "REQUIRED"}
    proxy = {"iam": {"verifier": "database"}}
    forebay = start(user, entries=[entry], target=target(rds), proxy=proxy)
    token, late = (
        generate_db_auth_token("localhost", rds.port, user, REGION, KEY, time.time() - late_s)
        for late_s in (0, 901)
    )
    for by in DRIVERS.values():
        assert by(door(forebay, user, token)) == user
    assert set(rds.let_in) == {(user, token)}
    other = KEY._replace(secret_access_key="another")
    wrong = generate_db_auth_token("localhost", rds.port, user, REGION, other, time.time())
    for shown, by in itertools.product((late, PASSWORD, wrong), DRIVERS.values()):
        said = refusal(door(forebay, user, shown), by)
        assert f"The IAM authentication failed for the role {user}." in said
        assert (shown == wrong) is bool(rds.refused)  # of the others nothing need be asked
        assert by(door(forebay, user, token)) == user  # or the next would be answered more slowly
    forebay.wait_for_log("the database says: PAM authentication failed")
    assert token[-64:] not in forebay.text


def test_tokens_are_not_sent_in_clear(start: Callable[..., Forebay], server: LoginServer) -> None:
    user = f"u_{ROLE}"
    scheme = {user: {"auth_scheme": "IAM_AUTH"}}
    plain = {"sslmode": "disable", "region": REGION}
    forebay = start(user, target=plain, auth=scheme, environ=AWS)
    with psycopg.connect(**door(forebay, user).settings) as connection:
        # The stand-in is not between them: the database asks for nothing.
        assert connection.execute("SELECT current_user").fetchone() == (user,)
    server.postgres.sql(f"REVOKE {ROLE} FROM {user}; ALTER ROLE {user} PASSWORD '{PASSWORD}'")
    try:
        forebay.stop()
        forebay.start()
        assert "IAM token" in refusal(door(forebay, user))
    finally:
        server.postgres.sql(f"GRANT {ROLE} TO {user}; ALTER ROLE {user} PASSWORD NULL")


@pytest.fixture
def sidecar(rds: StandInRds, tmp_path: Path) -> Iterator[int]:
    """A Forebay that was told no more than a URL; the port on which it listens."""
    url = (
        f"postgresql://u_{ROLE}@localhost:{rds.port}/postgres"
        f"?auth_scheme=IAM_AUTH&sslmode=verify-full&sslrootcert={rds.ca_file}"
    )
    port = free_port()
    listen = f"127.0.0.1:{port},{tmp_path}:{port}"
    log = tmp_path / "log"
    with log.open("w") as file:
        process = start_command("serve", url, stderr=file, FOREBAY_LISTEN=listen, **AWS)
    try:
        eventually(lambda: "Serving" in log.read_text(), "it serves", timeout_s=30)
        yield port
        assert "Traceback" not in log.read_text()
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_sidecar(sidecar: int, rds: StandInRds, tmp_path: Path) -> None:
    user = f"u_{ROLE}"
    for by in DRIVERS.values():
        assert by(Door(sidecar, user)) == user
    for driver in LIBPQS:
        for libpq in ({"host": str(tmp_path), "hostaddr": ""}, {"sslmode": "prefer"}):
            assert DRIVERS[driver](Door(sidecar, user, libpq=libpq)) == user
    assert {each for each, _ in rds.let_in} == {user}
