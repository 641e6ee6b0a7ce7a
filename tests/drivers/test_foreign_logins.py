"""pgjdbc and node-postgres log in, by SCRAM, with channel binding, by MD5, and by a certificate."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from forebay.embedded.certificates import Authority
from tests.drivers.foreign.steps import MAIN, query
from tests.drivers.test_foreign import carry_out
from tests.harness import Forebay
from tests.harness.login_server import BY_MD5, LoginServer, write_pair

pytestmark = [
    pytest.mark.timeout(900),  # the first builds the program
    pytest.mark.tls_server,
]

PASSWORD = "päss wörd"
CLIENTS = Authority("clients")
FIND_USER = "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1"
# By what the proxy knows of each.
SCRAM, MD5, CERTIFICATE, LOOKED_UP = "u_verifier", "u_hash", "u_certificate", "u_looked_up"
WAYS = {
    "scram": SCRAM,
    "scram with channel binding": SCRAM,
    "md5": MD5,
    "certificate": CERTIFICATE,
    "auth_query": LOOKED_UP,
}


@pytest.fixture(scope="module")
def server() -> Iterator[LoginServer]:
    with LoginServer() as server:
        for user in (SCRAM, CERTIFICATE, LOOKED_UP):
            server.postgres.create_user(user, PASSWORD)
        server.postgres.create_user(MD5, PASSWORD, encryption="md5")
        server.postgres.sql(f"GRANT {BY_MD5} TO {MD5}")
        yield server


@pytest.fixture
def forebay(server: LoginServer, start_forebay: Callable[..., Forebay], tmp_path: Path) -> Forebay:
    """A Forebay that knows no plain password but that of who shows a certificate."""
    userlist, secret = tmp_path / "userlist.txt", tmp_path / "certificate.json"
    lines = [f'"{user}" "{server.stored(user)}"' for user in (SCRAM, MD5)]
    userlist.write_text("\n".join(lines))
    secret.write_text(json.dumps({"username": CERTIFICATE, "password": PASSWORD}))
    superuser = tmp_path / "superuser.json"
    login = {"username": server.postgres.superuser, "password": server.postgres.password}
    superuser.write_text(json.dumps(login))
    (tmp_path / "clients-ca.crt").write_bytes(CLIENTS.certificate_pem)
    entries = [
        {"secret": f"userlist:{userlist}", "client_password_auth_type": "POSTGRES_MD5"},
        {"secret": f"file:{secret}", "client_auth": "cert"},
        {"secret": f"file:{superuser}"},
    ]
    proxy = {
        "tls_client_ca": str(tmp_path / "clients-ca.crt"),
        "auth_query": FIND_USER,
        "auth_user": server.postgres.superuser,
    }
    database = server.database(SCRAM, PASSWORD)
    return start_forebay(server.postgres.port, database, entries=entries, proxy=proxy)


def pgjdbc(forebay: Forebay, way: str, files: tuple[Path, Path]) -> dict[str, str]:
    """pgjdbc's properties; of the key it wants DER."""
    more = {"sslmode": "verify-full", "sslrootcert": str(forebay.ca_file)}
    if way == "scram with channel binding":
        more["channelBinding"] = "require"
    if way == "certificate":
        key = serialization.load_pem_private_key(files[1].read_bytes(), None)
        der = files[1].with_suffix(".pk8")
        der.touch(0o600)  # it refuses one that others can read
        der.write_bytes(
            key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        more |= {"sslcert": str(files[0]), "sslkey": str(der)}
    return more


def node_postgres(forebay: Forebay, way: str, files: tuple[Path, Path]) -> dict[str, Any]:
    """What pg.Client takes; TLS is Node's own."""
    ssl = {"ca": forebay.ca_file.read_text()}
    if way == "certificate":
        ssl |= {"cert": files[0].read_text(), "key": files[1].read_text()}
    return {"ssl": ssl, "enableChannelBinding": way == "scram with channel binding"}


WORDS = {"pgjdbc": pgjdbc, "node-postgres": node_postgres}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("driver", WORDS)
def test_logins(forebay: Forebay, tmp_path: Path, driver: str, way: str) -> None:
    files = write_pair(tmp_path, "client", CLIENTS.issue([CERTIFICATE]))
    door = {
        "host": "localhost",
        "port": forebay.port,
        "user": WAYS[way],
        "password": "" if way == "certificate" else PASSWORD,
        "database": "postgres",
        "tls": True,
        "more": WORDS[driver](forebay, way, files),
    }
    scenes = {"login": [query("SELECT current_user::text", who=MAIN)]}
    (record,) = carry_out(driver, scenes, door, door)["login"]
    assert record.get("rows") == [[f"{'String' if driver == 'pgjdbc' else 'string'}:{WAYS[way]}"]]
    if way == "certificate":
        return
    (refused,) = carry_out(driver, scenes, {**door, "password": "wrong"}, door)["login"]
    assert refused["error"] == "28P01"
    assert "is wrong" in refused["message"]
