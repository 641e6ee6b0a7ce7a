"""Clients' certificates, and several of our own, with real clients: psql, psycopg, asyncpg."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import psycopg
import pytest

from forebay.embedded.certificates import Authority
from forebay.net.login import Credentials, LoginPolicy, Throttle, UserEntry
from forebay.net.tls import server_context
from forebay.protocol import messages
from tests.harness.clients import client, run
from tests.harness.front import Front, listening

SERVERS = Authority("servers")
CLIENTS = Authority("clients")
FIRST, SECOND = SERVERS.issue(["localhost"]), SERVERS.issue(["127.0.0.1", "second.test"])
CONTEXT = server_context(*FIRST, SECOND, client_ca_pem=CLIENTS.certificate_pem)
ENTRIES = [
    UserEntry("app", ("secret",), "scram-sha-256", "verify-full", ("svc@test",)),
    UserEntry("any", ("secret",), "md5", "verify-ca"),
    UserEntry("machine", (), "cert", cert_names=("machine.test",)),
]
WANTED = "FATAL:  connection requires a valid client certificate"


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    credentials = await Credentials.derive(ENTRIES)
    async with listening(LoginPolicy(credentials, True, CONTEXT, Throttle(0, 0), 30)) as front:
        yield front


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root.crt"
    path.write_bytes(SERVERS.certificate_pem)
    return path


def own(directory: Path, name: str, authority: Authority = CLIENTS) -> tuple[Path, Path]:
    """The files of a client's certificate; libpq wants the key to be its owner's alone."""
    paths = directory / f"{name}.crt", directory / f"{name}.key"
    for path, pem in zip(paths, authority.issue([name]), strict=True):
        path.write_bytes(pem)
        path.chmod(0o600)
    return paths


async def psql(front: Front, user: str, files: tuple[Path, Path] | None, settings: str = "") -> str:
    """psql's output, or its error."""
    conninfo = (
        f"host=localhost port={front.port} user={user} dbname=shop sslmode=require {settings}"
    )
    conninfo += " sslcert={} sslkey={}".format(*(files or ("/nonexistent", "/nonexistent")))
    finished = await asyncio.to_thread(
        run, client("psql"), ["-XAtqw", "-c", "select 1", conninfo], None, {"PGPASSWORD": "secret"}
    )
    return (finished.out if finished.code == 0 else finished.err).strip()


@pytest.mark.parametrize(
    ("user", "name", "said"),
    [
        ("machine", "machine", "1"),
        ("machine", "machine.test", "1"),
        ("machine", "app", 'FATAL:  certificate authentication failed for user "machine"'),
        ("machine", None, WANTED),
        ("app", "app", "1"),
        ("app", "svc@test", "1"),
        ("app", "other", 'FATAL:  certificate authentication failed for user "app"'),
        ("app", None, WANTED),
        ("any", "other", "1"),
        ("any", None, WANTED),
    ],
)
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_psql(
    front: Front, tmp_path: Path, user: str, name: str | None, said: str, version: str
) -> None:
    files = None if name is None else own(tmp_path, name)
    settings = f"ssl_max_protocol_version={version}"
    assert said in await psql(front, user, files, settings)
    assert [each.user for each in front.accepted] == [user] * (said == "1")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
async def test_a_certificate_that_nobody_vouches_for(
    front: Front, tmp_path: Path, version: str
) -> None:
    files = own(tmp_path, "machine", Authority("stranger"))
    settings = f"ssl_max_protocol_version={version}"
    assert "alert unknown ca" in await psql(front, "machine", files, settings)
    (failure,) = front.failures
    assert "certificate verify failed: unable to get local issuer certificate" in failure.reason


async def test_psycopg(front: Front, tmp_path: Path, root: Path) -> None:
    certificate, key = own(tmp_path, "app")

    def visit() -> int:
        with psycopg.connect(
            host="localhost",
            port=front.port,
            user="app",
            password="secret",
            dbname="shop",
            sslmode="verify-full",
            sslrootcert=str(root),
            sslcert=str(certificate),
            sslkey=str(key),
            channel_binding="require",
        ) as connection:
            return connection.info.backend_pid

    assert await asyncio.to_thread(visit) == 4711


async def test_asyncpg(front: Front, tmp_path: Path, root: Path) -> None:
    context = ssl.create_default_context(cafile=root)
    context.load_cert_chain(*own(tmp_path, "machine"))
    connection = await asyncpg.connect(
        host="localhost", port=front.port, user="machine", database="shop", ssl=context
    )
    connection.terminate()
    assert front.accepted[0].user == "machine"


@pytest.mark.parametrize(("name", "shown"), [("localhost", 0), ("second.test", 1)])
async def test_the_certificate_for_the_name_is_shown_and_bound_to(
    front: Front, tmp_path: Path, root: Path, name: str, shown: int
) -> None:
    settings = f"sslrootcert={root} sslmode=verify-full channel_binding=require"
    said = await psql(
        front, "app", own(tmp_path, "app"), f"host={name} hostaddr=127.0.0.1 {settings}"
    )
    assert said == "1"
    tls = front.accepted[0].stream.tls
    assert tls is not None
    assert tls.context.host_names == {["localhost", "second.test"][shown]}  # type: ignore[attr-defined]


async def test_a_resumed_session_is_still_the_certificates(
    front: Front, tmp_path: Path, root: Path
) -> None:
    context = ssl.create_default_context(cafile=root)
    context.load_cert_chain(*own(tmp_path, "machine"))

    def visit(session: ssl.SSLSession | None) -> tuple[bool, bytes, ssl.SSLSession]:
        with socket.create_connection(("localhost", front.port), 10) as sock:
            sock.sendall(messages.ssl_request())
            assert sock.recv(1) == b"S"
            with context.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
                tls.sendall(messages.startup_message({"user": "machine"}))
                said = tls.recv(1000)[:9]
                assert tls.session is not None
                return bool(tls.session_reused), said, tls.session

    first, said, session = await asyncio.to_thread(visit, None)
    second, said_again, _ = await asyncio.to_thread(visit, session)
    assert (first, second) == (False, True)
    assert said == said_again == messages.authentication_ok()
    # What another context has let in does not hold in a newer one: its authorities are others.
    newer = server_context(*FIRST, SECOND, client_ca_pem=Authority("newer").certificate_pem)
    front.policy = replace(front.policy, tls_context=newer)
    with pytest.raises((ssl.SSLError, OSError)):
        await asyncio.to_thread(visit, session)
    assert len(front.accepted) == 2
