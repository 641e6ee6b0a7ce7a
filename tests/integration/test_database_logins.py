"""Logging in to a real PostgreSQL with what stands in for a password, and reading users from it."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from forebay.embedded.certificates import Authority
from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    DatabaseLogin,
    IamToken,
    Md5Hash,
    Target,
    connect,
    parameterized_query,
    simple_query,
)
from forebay.net.login import Credentials, LoginPolicy, Throttle, UserEntry, derive_user
from forebay.net.login.auth_query import STARTUP_PARAMETERS, entry_of
from forebay.net.tls import ClientContexts, self_signed_certificate, server_context
from forebay.protocol import md5, scram
from forebay.protocol.errors import PgError
from tests.harness.clients import psql
from tests.harness.front import Front, listening

PASSWORD = "päss wörd"
CLIENTS = Authority("clients")
HBA = (
    "hostssl all u_cert 127.0.0.1/32 cert",
    "hostssl all u_both 127.0.0.1/32 scram-sha-256 clientcert=verify-full",
    "host all u_md5 127.0.0.1/32 md5",
    "host all u_token 127.0.0.1/32 password",
)
AUTH_QUERY = (
    "SELECT rolname, rolpassword, rolvaliduntil FROM pg_catalog.pg_authid"
    " WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin"
)
CONTEXTS = ClientContexts()


def prepare(server: Postgres) -> None:
    for user in ("u_scram", "u_cert", "u_both", "u_token"):
        server.create_user(user, PASSWORD)
    server.create_user("u_md5", PASSWORD, encryption="md5")
    server.create_user("u_past", PASSWORD, options="VALID UNTIL '2020-01-01 00:00:00+00'")
    server.create_user("u_future", PASSWORD, options="VALID UNTIL '2990-01-01 00:00:00+05:30'")
    server.create_user("u_ever", PASSWORD, options="VALID UNTIL 'infinity'")
    server.sql("CREATE ROLE u_none LOGIN; CREATE ROLE u_group")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    try:
        postgres = Postgres(tls=True, hba=HBA)
        with postgres:
            authority = postgres.directory / "clients.crt"
            postgres.home.write(authority, CLIENTS.certificate_pem.decode(), 0o644)
            postgres.configure(ssl_ca_file=str(authority))
            postgres.restart()
            prepare(postgres)
            yield postgres
    except SetupError as error:
        pytest.skip(str(error))


pytestmark = pytest.mark.tls_server


@pytest.fixture
def target(server: Postgres) -> Target:
    return Target(server.host, server.port, "verify-full", str(server.ca_file))


@contextlib.asynccontextmanager
async def connected(
    target: Target, user: str, login: DatabaseLogin, **parameters: str
) -> AsyncIterator[DatabaseConnection]:
    connection = await connect(
        target,
        user=user,
        password=login,
        database="postgres",
        parameters=parameters,
        connect_timeout_s=10.0,
        tls_contexts=CONTEXTS,
    )
    try:
        yield connection
    finally:
        connection.close()


async def name_of(target: Target, user: str, login: DatabaseLogin) -> str | None:
    async with connected(target, user, login) as connection:
        ((name,),) = await simple_query(connection.stream, "SELECT current_user")
        return name


async def found(server: Postgres, target: Target, user: str) -> UserEntry | None:
    """The user as auth_query has it."""
    superuser = server.superuser, server.password
    async with connected(target, *superuser, **STARTUP_PARAMETERS) as connection:
        rows = await parameterized_query(connection.stream, AUTH_QUERY, [user])
    return entry_of(rows, user, dt.datetime.now(dt.UTC))


async def reason(target: Target, user: str, login: DatabaseLogin) -> str:
    with pytest.raises(ConnectError) as caught:
        await name_of(target, user, login)
    assert not caught.value.transient
    return str(caught.value)


# ---- Users of the database -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "form", "method"),
    [
        ("u_scram", "SCRAM-SHA-256$", "scram-sha-256"),
        ("u_future", "SCRAM-SHA-256$", "scram-sha-256"),
        ("u_ever", "SCRAM-SHA-256$", "scram-sha-256"),
        ("u_md5", "md5", "md5"),
        ("u_past", None, "scram-sha-256"),
        ("u_none", None, "scram-sha-256"),
    ],
)
async def test_users_are_read_from_the_database(
    server: Postgres, target: Target, user: str, form: str | None, method: str
) -> None:
    entry = await found(server, target, user)
    assert entry is not None
    assert (entry.user, entry.method) == (user, method)
    if form is None:
        assert entry.passwords == ()
    else:
        assert entry.passwords[0].startswith(form)


@pytest.mark.parametrize("user", ["u_group", "nobody", "", "' OR true --", '"u_scram"', "ä" * 200])
async def test_names_are_names_and_nothing_else(
    server: Postgres, target: Target, user: str
) -> None:
    assert await found(server, target, user) is None


async def test_statements_with_parameters(server: Postgres, target: Target) -> None:
    async with connected(target, server.superuser, server.password) as connection:
        stream = connection.stream
        sql = "SELECT v, $1::text FROM generate_series(1, $2::int) AS v"
        assert await parameterized_query(stream, sql, ["a'b\\", "2"]) == [
            ["1", "a'b\\"],
            ["2", "a'b\\"],
        ]
        assert await parameterized_query(stream, "SELECT $1::text", [None]) == [[None]]
        assert await parameterized_query(stream, "", []) == []
        for sql, values, sqlstate in (
            ("SELECT 1; SELECT 2", [], "42601"),
            ("SELECT 1 / $1::int", ["0"], "22012"),
            ("SELECT $1::int", [], "08P01"),
            ("COPY (SELECT 1) TO STDOUT", [], None),
            ("CREATE TEMP TABLE t (a int)", [], None),
            ("COPY t FROM STDIN", [], "57014"),
        ):
            if sqlstate is None:
                assert await parameterized_query(stream, sql, values) == []
                continue
            with pytest.raises(PgError) as caught:
                await parameterized_query(stream, sql, values)
            assert caught.value.sqlstate == sqlstate
        assert await parameterized_query(stream, "SELECT 'still there'", []) == [["still there"]]


# ---- What stands in for a password ---------------------------------------------------------------


@contextlib.asynccontextmanager
async def front_for(server: Postgres, target: Target, *users: str) -> AsyncIterator[Front]:
    """A proxy's front that knows no more than what the database stores."""
    entries = [await found(server, target, user) for user in users]
    credentials = await Credentials.derive(entry for entry in entries if entry is not None)
    context = server_context(*self_signed_certificate())
    async with listening(LoginPolicy(credentials, True, context, Throttle(0, 0), 30)) as front:
        yield front


@pytest.mark.parametrize("channel_binding", ["disable", "require"])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
async def test_keys_are_passed_through(
    server: Postgres, target: Target, channel_binding: str, sslmode: str
) -> None:
    """A client's proof for the proxy lets the proxy in to the database, with no password known."""
    async with front_for(server, target, "u_scram") as front:
        url = f"postgresql://u_scram@localhost:{front.port}/x?channel_binding={channel_binding}"
        environment = {"PGPASSWORD": PASSWORD, "PGSSLMODE": "require"}
        finished = await asyncio.to_thread(psql, url, "select 1", environment=environment)
        assert finished.ok().out == "1\n"
        keys = front.accepted[0].client_keys
        wrong = {"PGPASSWORD": "wrong", "PGSSLMODE": "require"}
        refused = await asyncio.to_thread(psql, url, "select 1", environment=wrong)
        assert "is wrong" in refused.err
    assert isinstance(keys, scram.ClientKeys)
    assert await name_of(replace(target, sslmode=sslmode), "u_scram", keys) == "u_scram"


async def test_keys_of_a_password_that_was_changed(server: Postgres, target: Target) -> None:
    entry = await found(server, target, "u_scram")
    assert entry is not None
    verifier = scram.Verifier.parse(entry.passwords[0])
    assert verifier is not None
    keys = scram.ClientKeys.derive(PASSWORD, *verifier.question)
    assert await name_of(target, "u_scram", keys) == "u_scram"
    other = scram.ClientKeys.derive(PASSWORD, b"another salt", 4096)
    assert "another SCRAM verifier" in await reason(target, "u_scram", other)
    wrong = scram.ClientKeys.derive("wrong", *verifier.question)
    with pytest.raises(PgError) as caught:
        await name_of(target, "u_scram", wrong)
    assert caught.value.sqlstate == "28P01"
    assert "no more than the SCRAM keys" in await reason(target, "u_md5", keys)


async def test_an_md5_hash(server: Postgres, target: Target) -> None:
    entry = await found(server, target, "u_md5")
    assert entry is not None
    stored = md5.parse_stored(entry.passwords[0])
    assert stored is not None
    assert await name_of(target, "u_md5", Md5Hash(stored)) == "u_md5"
    assert "no more than the MD5 hash" in await reason(target, "u_scram", Md5Hash(stored))
    with pytest.raises(PgError) as caught:
        await name_of(target, "u_md5", Md5Hash("0" * 32))
    assert caught.value.sqlstate == "28P01"
    async with front_for(server, target, "u_md5") as front:
        url = f"postgresql://u_md5@localhost:{front.port}/x"
        environment = {"PGPASSWORD": PASSWORD, "PGSSLMODE": "require"}
        finished = await asyncio.to_thread(psql, url, "select 1", environment=environment)
        assert finished.ok().out == "1\n"


async def test_a_token(target: Target) -> None:
    token = IamToken(PASSWORD)
    assert await name_of(target, "u_token", token) == "u_token"
    plain = replace(target, sslmode="disable", sslrootcert=None)
    assert "over TLS only" in await reason(plain, "u_token", token)
    assert "not for the IAM token" in await reason(target, "u_scram", token)
    assert "not for the IAM token" in await reason(target, "u_md5", token)
    # What the database says over TLS is not hidden by an attempt without.
    with pytest.raises(PgError, match="requires a valid client certificate"):
        await name_of(replace(target, sslmode="prefer"), "u_cert", token)


async def test_a_verifier_that_the_database_stores_lets_nobody_in_as_a_password(
    server: Postgres, target: Target
) -> None:
    entry = await found(server, target, "u_scram")
    assert entry is not None
    auth = await derive_user(replace(entry, method="iam-or-md5"))
    assert auth.kept.clear is not None
    assert await auth.kept.clear.find_verifier(entry.passwords[0].encode()) is None
    proof = await auth.kept.clear.find_verifier(PASSWORD.encode())
    assert proof is not None
    assert proof.client_keys is not None
    assert await name_of(target, "u_scram", proof.client_keys) == "u_scram"


# ---- A certificate of our own --------------------------------------------------------------------


async def test_our_own_certificate(
    target: Target, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("own")
    for user in ("u_cert", "u_both"):
        for path, pem in zip(("crt", "key"), CLIENTS.issue([user]), strict=True):
            (directory / f"{user}.{path}").write_bytes(pem)

    def shows(user: str) -> Target:
        files = {"sslcert": f"{directory / user}.crt", "sslkey": f"{directory / user}.key"}
        return replace(target, **files)

    assert await name_of(shows("u_cert"), "u_cert", None) == "u_cert"
    assert await name_of(shows("u_both"), "u_both", PASSWORD) == "u_both"
    for shown, user, text in (
        (target, "u_cert", "connection requires a valid client certificate"),
        (shows("u_both"), "u_cert", 'certificate authentication failed for user "u_cert"'),
        (target, "u_both", "connection requires a valid client certificate"),
    ):
        with pytest.raises(PgError) as caught:
            await name_of(shown, user, PASSWORD)
        assert (caught.value.sqlstate, caught.value.message) == ("28000", text)
