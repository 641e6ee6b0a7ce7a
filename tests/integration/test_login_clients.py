"""The login against real clients: psql, psycopg2, psycopg, asyncpg."""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest

from forebay.net.login import (
    Credentials,
    LoginPolicy,
    Throttle,
    UserEntry,
)
from forebay.net.tls import self_signed_certificate, server_context
from forebay.protocol import messages
from forebay.protocol.startup import CancelRequest
from tests.harness.clients import client, run
from tests.harness.front import Front, listening

CERTIFICATE, KEY = self_signed_certificate()


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    credentials = await Credentials.derive(
        [UserEntry("app", ("secret",), "scram-sha-256"), UserEntry("old", ("secret",), "md5")]
    )
    context = server_context(CERTIFICATE, KEY)
    async with listening(LoginPolicy(credentials, True, context, Throttle(0, 0), 30)) as front:
        yield front


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root.crt"
    path.write_text(CERTIFICATE)
    return path


async def psql(front: Front, settings: str = "", password: str = "secret") -> str:
    """psql's output, or its error."""
    conninfo = f"host=localhost port={front.port} user=app dbname=shop {settings}"
    finished = await asyncio.to_thread(
        run,
        client("psql"),
        ["-XAtq", "-w", "-c", "select 1", conninfo],
        None,
        {"PGPASSWORD": password} if password else {},
    )
    return (finished.out if finished.code == 0 else finished.err).strip()


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "sslmode=require",
        "sslmode=require channel_binding=require",
        "sslmode=require channel_binding=disable",
        "sslmode=require ssl_max_protocol_version=TLSv1.2",
        "sslmode=require ssl_max_protocol_version=TLSv1.2 channel_binding=require",
        "sslmode=verify-full sslrootcert={root} channel_binding=require",
        "sslmode=require user=old",
        "options='-c geqo=off --work-mem=1MB'",
    ],
)
async def test_psql(front: Front, root: Path, settings: str) -> None:
    assert await psql(front, settings.format(root=root)) == "1"
    (accepted,) = front.accepted
    assert (accepted.database, accepted.application_name) == ("shop", "psql")
    if "options" in settings:
        expected = (("application_name", "psql"), ("geqo", "off"), ("work_mem", "1MB"))
        assert accepted.settings == expected


@pytest.mark.parametrize(
    ("settings", "password", "text"),
    [
        ("sslmode=disable", "secret", "FATAL:  This RDS Proxy requires TLS connections."),
        (
            "",
            "wrong",
            "FATAL:  The password that was provided for the role app is wrong.",
        ),
        (
            "user=ghost",
            "secret",
            "FATAL:  This RDS proxy has no credentials for the role ghost. Check the credentials",
        ),
        ("user=old", "wrong", "FATAL:  The password that was provided for the role old is wrong."),
        ("options=-e", "secret", "doesn't support the option -e"),
        (
            "replication=database",
            "secret",
            "RDS Proxy currently doesn't support streaming replication mode.",
        ),
        ("", "", "no password supplied"),
    ],
)
async def test_psql_is_told_why(front: Front, settings: str, password: str, text: str) -> None:
    assert text in await psql(front, settings, password)
    assert not front.accepted


async def test_a_client_without_a_password_just_leaves(front: Front) -> None:
    await psql(front, "sslmode=require", "")
    assert (front.left, front.failures) == (1, [])


async def test_a_wrong_root(front: Front, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    other.write_text(self_signed_certificate()[0])
    assert "certificate verify failed" in await psql(
        front, f"sslmode=verify-full sslrootcert={other}"
    )
    # TLS 1.3 clients look at the certificate when the server believes to be done.
    assert all("TLS" in failure.reason for failure in front.failures)


@pytest.mark.parametrize("require_tls", [False, True])
async def test_no_tls_at_all(front: Front, require_tls: bool) -> None:
    front.policy = replace(front.policy, tls_context=None, require_tls=require_tls)
    assert "server does not support SSL" in await psql(front, "sslmode=require")
    expected = "This RDS Proxy requires TLS connections." if require_tls else "1"
    assert expected in await psql(front, "sslmode=prefer")
    if not require_tls:
        assert await psql(front, "sslmode=disable") == "1"


async def test_rotation(front: Front) -> None:
    credentials = await Credentials.derive([UserEntry("app", ("new", "secret"), "scram-sha-256")])
    front.policy = replace(front.policy, credentials=credentials)
    assert await psql(front, password="new") == "1"
    assert await psql(front, password="secret") == "1"
    assert "is wrong" in await psql(front, password="wrong")


def dsn(front: Front, **settings: str) -> dict[str, Any]:
    return {
        "host": "localhost",
        "port": front.port,
        "user": "app",
        "password": "secret",
        "dbname": "shop",
        "sslmode": "require",
        **settings,
    }


def fetch(connect: Callable[..., Any], settings: dict[str, Any]) -> tuple[Any, ...]:
    connection = connect(**settings)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        if connect is psycopg2.connect:
            cursor.execute("select 1")
            return tuple(cursor.fetchone())
        return (connection.info.backend_pid,)
    finally:
        connection.close()


@pytest.mark.parametrize("connect", [psycopg2.connect, psycopg.connect])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"channel_binding": "require"},
        {"user": "old"},
        {"gssencmode": "disable"},
        {"options": "-c statement_timeout=5s"},
    ],
)
async def test_libpq_drivers(
    front: Front, connect: Callable[..., Any], settings: dict[str, str]
) -> None:
    row = await asyncio.to_thread(fetch, connect, dsn(front, **settings))
    assert row in ((1,), (4711,))
    assert front.accepted[0].stream is not None


async def test_direct_tls(front: Front) -> None:
    if psycopg.pq.version() < 170000:
        pytest.skip("this libpq does not know direct TLS")
    settings = dsn(front, sslnegotiation="direct")
    assert await asyncio.to_thread(fetch, psycopg.connect, settings) == (4711,)


@pytest.mark.parametrize("minimum", ["3.0", "3.2", "latest"])
async def test_protocol_versions(front: Front, minimum: str) -> None:
    if psycopg.pq.version() < 180000:
        pytest.skip("this libpq does not know protocol 3.2")
    settings = dsn(front, max_protocol_version=minimum)
    await asyncio.to_thread(fetch, psycopg.connect, settings)
    assert front.accepted[0].protocol_minor == (0 if minimum == "3.0" else 2)


async def test_cancel(front: Front) -> None:
    # In a process of its own: psycopg2 holds the interpreter's lock while it cancels.
    script = f"import psycopg2; psycopg2.connect(**{dsn(front)!r}).cancel()"
    finished = await asyncio.to_thread(run, Path(sys.executable), ["-c", script])
    finished.ok()
    assert front.cancels == [CancelRequest(4711, b"KEYS")]


@pytest.mark.parametrize("direct", [False, True])
async def test_asyncpg(front: Front, root: Path, direct: bool) -> None:
    context = ssl.create_default_context(cafile=root)
    settings: dict[str, Any] = {"direct_tls": True} if direct else {}
    if direct:
        context.set_alpn_protocols(["postgresql"])
    connection = await asyncpg.connect(
        host="localhost",
        port=front.port,
        user="app",
        password="secret",
        database="shop",
        ssl=context,
        server_settings={"search_path": "a"},
        **settings,
    )
    assert connection.get_settings().TimeZone == "UTC"
    connection.terminate()
    assert ("search_path", "a") in front.accepted[0].settings


async def test_asyncpg_with_a_wrong_password(front: Front) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError, match="is wrong"):
        await asyncpg.connect(
            host="localhost", port=front.port, user="app", password="x", ssl="require"
        )


async def test_sessions_are_resumed(front: Front, root: Path) -> None:
    """A client that keeps its session ticket comes back without a full handshake."""
    context = ssl.create_default_context(cafile=root)

    def visit(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        with socket.create_connection(("localhost", front.port), 10) as plain:
            plain.sendall(messages.ssl_request())
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
                sock.sendall(messages.startup_message({"user": "app"}))
                assert sock.recv(1000)[:1] == b"R"
                resumed = bool(sock.session_reused)
                assert sock.session is not None
                return resumed, sock.session

    first, session = await asyncio.to_thread(visit, None)
    second, _ = await asyncio.to_thread(visit, session)
    assert (first, second) == (False, True)
