"""The connector against a real PostgreSQL with TLS, and against servers that are none."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forebay.embedded.errors import SetupError
from forebay.embedded.postgres import Postgres
from forebay.net import connector, conversation
from forebay.net.connector import (
    ConnectError,
    DatabaseConnection,
    Target,
    connect,
    send_cancel,
    simple_query,
)
from forebay.net.stream import Stream
from forebay.net.tls import ClientContexts, self_signed_certificate, server_context
from forebay.protocol import messages, scram
from forebay.protocol.errors import PgError

PASSWORD = "päss wörd"
METHODS = {"u_scram": "scram-sha-256", "u_md5": "md5", "u_plain": "password", "u_trust": "trust"}
HBA = (
    *(f"host all {user} 127.0.0.1/32 {method}" for user, method in METHODS.items()),
    "hostssl all u_tls_only 127.0.0.1/32 scram-sha-256",
    "host all u_tls_only 127.0.0.1/32 reject",
    "hostnossl all u_clear_only 127.0.0.1/32 scram-sha-256",
    "host all u_clear_only 127.0.0.1/32 reject",
)
CONTEXTS = ClientContexts()
CERTIFICATE, KEY = self_signed_certificate()


def prepare(server: Postgres) -> None:
    for user in (*METHODS, "u_tls_only", "u_clear_only"):
        encryption = "md5" if user == "u_md5" else "scram-sha-256"
        server.create_user(user, PASSWORD, encryption=encryption)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    try:
        postgres = Postgres(tls=True, hba=HBA)
    except SetupError as error:
        pytest.skip(str(error))
    with postgres:
        prepare(postgres)
        yield postgres


@pytest.fixture
def target(server: Postgres) -> Target:
    return Target(server.host, server.port, "require")


@pytest.fixture(autouse=True)
async def no_descriptor_is_lost() -> AsyncIterator[None]:
    before = sockets()
    yield
    await asyncio.sleep(0)
    assert sockets() <= before


def sockets() -> set[str]:
    """The sockets this process has open."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(path.readlink()))
    return {name for name in found if name.startswith("socket:")}


@contextlib.asynccontextmanager
async def connected(
    target: Target, user: str = "u_scram", **changes: object
) -> AsyncIterator[DatabaseConnection]:
    arguments = {
        "password": PASSWORD,
        "database": "postgres",
        "parameters": {},
        "connect_timeout_s": 10.0,
        "tls_contexts": CONTEXTS,
    } | changes
    connection = await connect(target, user=user, **arguments)  # type: ignore[arg-type]
    try:
        yield connection
    finally:
        connection.close()


async def refused(target: Target, user: str = "u_scram", **changes: object) -> PgError:
    with pytest.raises(PgError) as caught:
        async with connected(target, user, **changes):
            pass
    assert caught.value.raw is not None
    return caught.value


async def failed(target: Target, user: str = "u_scram", **changes: object) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        async with connected(target, user, **changes):
            pass
    assert PASSWORD not in str(caught.value)
    return caught.value


# ---- Authentication ------------------------------------------------------------------------------


@pytest.mark.tls_server
@pytest.mark.parametrize("sslmode", ["disable", "require"])
@pytest.mark.parametrize("user", list(METHODS))
async def test_every_method(target: Target, user: str, sslmode: str) -> None:
    async with connected(replace(target, sslmode=sslmode), user) as connection:
        assert connection.tls is (sslmode == "require")
        assert connection.parameters["server_version"]
        assert connection.pid > 0
        assert len(connection.cancel_key) == 4
        assert await simple_query(connection.stream, "select current_user") == [[user]]


@pytest.mark.tls_server
@pytest.mark.parametrize("user", ["u_scram", "u_md5", "u_plain"])
async def test_wrong_password(target: Target, user: str) -> None:
    error = await refused(target, user, password="wrong")
    assert (error.severity, error.sqlstate) == ("FATAL", "28P01")


@pytest.mark.tls_server
@pytest.mark.parametrize("password", [None, ""])
async def test_no_password(target: Target, password: str | None) -> None:
    error = await failed(target, password=password)
    assert "no password supplied" in str(error)
    assert not error.transient


@pytest.mark.tls_server
async def test_unknown_database_and_user(target: Target) -> None:
    assert (await refused(target, database="nonesuch")).sqlstate == "3D000"
    assert (await refused(target, "nobody_knows")).sqlstate == "28P01"


@pytest.mark.tls_server
async def test_parameters_are_settings_of_the_session(target: Target) -> None:
    parameters = {"application_name": "wire", "search_path": "a, b"}
    async with connected(target, parameters=parameters) as connection:
        assert connection.parameters["application_name"] == "wire"
        assert await simple_query(connection.stream, "show search_path") == [["a, b"]]
    assert (await refused(target, parameters={"nonesuch": "1"})).sqlstate == "42704"


@pytest.mark.parametrize("name", ["user", "replication", "options", "_pq_.x", ""])
async def test_reserved_parameters(name: str) -> None:
    error = await failed(Target("127.0.0.1", 1), parameters={name: "x"})
    assert "cannot be a startup parameter" in str(error)


@pytest.mark.tls_server
async def test_keys_are_derived_once(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation._kept_keys.clear()
    derived: list[bytes] = []
    derive = scram.ClientKeys.derive

    def counted(password: str, salt: bytes, iterations: int) -> scram.ClientKeys:
        derived.append(salt)
        return derive(password, salt, iterations)

    monkeypatch.setattr(scram.ClientKeys, "derive", counted)
    for _ in range(3):
        async with connected(target):
            pass
    assert len(derived) == 1


# ---- Encryption ----------------------------------------------------------------------------------


@pytest.mark.tls_server
@pytest.mark.parametrize(
    ("sslmode", "root", "user", "tls"),
    [
        ("disable", False, "u_scram", False),
        ("allow", False, "u_scram", False),
        ("allow", False, "u_tls_only", True),
        ("prefer", False, "u_scram", True),
        ("prefer", False, "u_clear_only", False),
        ("require", False, "u_scram", True),
        ("require", True, "u_scram", True),
        ("verify-ca", True, "u_scram", True),
        ("verify-full", True, "u_scram", True),
    ],
)
async def test_sslmodes(server: Postgres, sslmode: str, root: bool, user: str, tls: bool) -> None:
    rootcert = str(server.ca_file) if root else None
    async with connected(Target("localhost", server.port, sslmode, rootcert), user) as connection:
        assert connection.tls is tls
        rows = await simple_query(
            connection.stream, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        )
        assert rows == [["t" if tls else "f"]]


@pytest.mark.tls_server
@pytest.mark.parametrize(
    ("sslmode", "user"), [("disable", "u_tls_only"), ("require", "u_clear_only")]
)
async def test_what_pg_hba_refuses(target: Target, sslmode: str, user: str) -> None:
    assert (await refused(replace(target, sslmode=sslmode), user)).sqlstate == "28000"


@pytest.mark.tls_server
@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_the_wrong_root(target: Target, sslmode: str, tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.write_text(CERTIFICATE)
    error = await failed(replace(target, sslmode=sslmode, sslrootcert=str(root)))
    assert "certificate verify failed" in str(error)
    assert not error.transient
    missing = await failed(replace(target, sslmode=sslmode, sslrootcert=str(tmp_path / "none")))
    assert "does not exist" in str(missing)


@pytest.mark.tls_server
async def test_prefer_falls_back_when_the_handshake_fails(target: Target, tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.write_text(CERTIFICATE)
    async with connected(replace(target, sslmode="prefer", sslrootcert=str(root))) as connection:
        assert not connection.tls


@pytest.mark.tls_server
async def test_unix_sockets_are_never_encrypted(server: Postgres) -> None:
    target = Target(str(server.socket_directory), server.port, "require")
    async with connected(target) as connection:
        assert not connection.tls


# ---- Queries and cancels -------------------------------------------------------------------------


@pytest.mark.tls_server
async def test_simple_query(target: Target) -> None:
    async with connected(target) as connection:
        parameters: dict[str, str] = {}
        sql = "set datestyle = 'SQL, DMY'; select 1, null, ''; select 'ä'"
        rows = await simple_query(connection.stream, sql, parameters)
        assert rows == [["1", None, ""], ["ä"]]
        assert parameters == {"DateStyle": "SQL, DMY"}
        with pytest.raises(PgError) as caught:
            await simple_query(connection.stream, "select 1/0")
        assert caught.value.sqlstate == "22012"
        assert await simple_query(connection.stream, "") == []
        with pytest.raises(PgError) as caught:
            await simple_query(connection.stream, "create temp table t(a int); copy t from stdin")
        assert caught.value.sqlstate == "57014"
        assert await simple_query(connection.stream, "copy (select 1) to stdout") == []
        with pytest.raises(ConnectError, match=r"message length|longer than"):
            await simple_query(
                connection.stream, "select repeat('x', 100000) from generate_series(1, 20)"
            )


@pytest.mark.tls_server
async def test_a_terminated_connection(target: Target) -> None:
    async with connected(target) as connection:
        with pytest.raises(PgError) as caught:
            await simple_query(connection.stream, "select pg_terminate_backend(pg_backend_pid())")
        assert caught.value.sqlstate == "57P01"
        with pytest.raises(ConnectError) as lost:
            await simple_query(connection.stream, "select 1")
        assert lost.value.transient


async def cancel_a_query(target: Target, cancelled_at: Target | None = None) -> None:
    """Cancels a running query; fails if it does not end."""
    async with connected(target) as connection:
        query = asyncio.ensure_future(simple_query(connection.stream, "select pg_sleep(60)"))
        async with connected(target, "u_trust") as other:
            watched = f"""do $$ begin while not exists (
                select from pg_locks where pid = {connection.pid}
            ) loop perform pg_sleep(0.01); end loop; end $$"""
            await simple_query(other.stream, watched)
        pid, key, place = connection.pid, connection.cancel_key, connection.place
        await send_cancel(cancelled_at or target, pid, key, 10, CONTEXTS, place=place)
        with pytest.raises(PgError) as caught:
            await query
        assert caught.value.sqlstate == "57014"


@pytest.mark.tls_server
@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer", "require"])
async def test_cancel(target: Target, sslmode: str) -> None:
    await cancel_a_query(replace(target, sslmode=sslmode))


@pytest.mark.tls_server
async def test_cancel_over_a_unix_socket(server: Postgres) -> None:
    target = Target(str(server.socket_directory), server.port)
    await cancel_a_query(target, cancelled_at=replace(target, host="/nowhere"))


@pytest.mark.tls_server
async def test_cancel_goes_to_the_address_and_verifies_the_name(server: Postgres) -> None:
    target = Target("localhost", server.port, "verify-full", str(server.ca_file))
    await cancel_a_query(target)
    async with connected(target) as connection:
        pid, key, place = connection.pid, connection.cancel_key, connection.place
        assert place[1] != ("localhost", server.port)
        with pytest.raises(ConnectError, match="certificate"):
            other = replace(target, host="other.test")
            await send_cancel(other, pid, key, 10, CONTEXTS, place=place)


@pytest.mark.tls_server
async def test_hand_over(target: Target) -> None:
    connection = await connect(
        target,
        user="u_scram",
        password=PASSWORD,
        database="postgres",
        parameters={},
        connect_timeout_s=10,
        tls_contexts=CONTEXTS,
    )
    detached = connection.detach()
    assert detached.leftover == b""
    assert detached.sslobj is not None
    os.close(detached.fd)


# ---- Servers that are none -----------------------------------------------------------------------

Handler = Callable[[Stream], Awaitable[None]]


@contextlib.asynccontextmanager
async def fake(handler: Handler, sslmode: str = "disable") -> AsyncIterator[Target]:
    """A server whose every connection is `handler`'s."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    tasks: list[asyncio.Task[None]] = []

    streams: list[Stream] = []

    async def serve(stream: Stream) -> None:
        with contextlib.suppress(OSError):
            await handler(stream)
        stream.close()

    async def accept() -> None:
        while True:
            sock, _ = await loop.sock_accept(listener)
            streams.append(Stream(sock))
            tasks.append(asyncio.ensure_future(serve(streams[-1])))

    tasks.append(asyncio.ensure_future(accept()))
    try:
        yield Target("127.0.0.1", listener.getsockname()[1], sslmode)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in streams:
            stream.close()
        listener.close()


def says(data: bytes, after_startup: bool = True) -> Handler:
    async def handler(stream: Stream) -> None:
        if after_startup:
            await stream.read_startup(10_000)
        stream.write(data)
        await stream.drain()
        await stream.read_exactly(100_000)

    return handler


async def start_tls(stream: Stream, context: ssl.SSLContext) -> None:
    """As a server: agree to TLS, and read the start-up packet within it."""
    await stream.read_startup(10_000)
    stream.write(b"S")
    await stream.drain()
    await stream.start_tls(context, server_side=True)
    await stream.read_startup(10_000)


OK = messages.authentication_ok()
READY = messages.ready_for_query(b"I")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0" * 100,
        b"\xff" * 100,
        messages.message(b"R", b"\0"),
        messages.message(b"R", struct.pack("!I", 7)),
        messages.message(b"R", struct.pack("!I", 99)),
        messages.authentication_sasl(["SCRAM-SHA-1"]),
        messages.authentication_sasl(["SCRAM-SHA-256-PLUS"]),
        messages.message(b"R", struct.pack("!I", 10)),
        messages.message(b"R", struct.pack("!I", 5) + b"abc"),
        messages.message(b"N", b"\0") * 101 + OK,
        OK + messages.message(b"K", b"abc"),
        OK + messages.message(b"K", b"abcd" + b"x" * 257),
        OK + messages.message(b"S", b"no end"),
        OK + messages.ready_for_query(b"T"),
        OK + messages.message(b"D", b"\0\0"),
        OK + messages.parameter_status("a", "b") * 1001 + READY,
        OK + b"S\x7f\xff\xff\xff",
        b"Eold protocol error\n\0",
    ],
)
async def test_nonsense(data: bytes) -> None:
    async with fake(says(data)) as target:
        error = await failed(target)
        assert not error.transient


async def test_an_error_without_sqlstate() -> None:
    async with fake(says(messages.message(b"E", b"Mfull\0\0"))) as target:
        with pytest.raises(PgError) as caught:
            async with connected(target):
                pass
        assert (caught.value.sqlstate, caught.value.message) == ("XX000", "full")


@pytest.mark.parametrize("length", [0, 4, 8, 256])
async def test_cancel_keys_of_any_length(length: int) -> None:
    key = messages.backend_key_data(7, b"k" * length) if length else b""
    greeting = OK + messages.parameter_status("a", "b") + key + READY
    async with fake(says(greeting)) as target, connected(target) as connection:
        assert connection.cancel_key == b"k" * length
        assert connection.parameters == {"a": "b"}


async def test_a_server_whose_machine_is_gone_is_noticed() -> None:
    """As libpq does: nothing else would tell, where only an answer is awaited."""
    async with fake(says(OK + READY)) as target, connected(target) as connection:
        with socket.socket(fileno=os.dup(connection.stream.fileno())) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_server_that_lets_in_without_its_own_proof() -> None:
    async def handler(stream: Stream) -> None:
        await stream.read_startup(10_000)
        stream.write(messages.authentication_sasl([scram.MECHANISM]))
        await stream.drain()
        await stream.read_message(10_000)
        stream.write(OK + READY)
        await stream.drain()
        await stream.read_exactly(1)

    async with fake(handler) as target:
        assert "did not finish the SCRAM exchange" in str(await failed(target))


async def test_a_server_that_does_not_know_the_password() -> None:
    async def handler(stream: Stream) -> None:
        await stream.read_startup(10_000)
        stream.write(messages.authentication_sasl([scram.MECHANISM]))
        await stream.drain()
        _, body = await stream.read_message(10_000)
        _, first = messages.parse_sasl_initial_response(body)
        exchange = scram.ServerExchange(scram.MECHANISM, (scram.make_verifier("x"),))
        stream.write(messages.authentication_sasl_continue(exchange.first(first)))
        await stream.drain()
        await stream.read_message(10_000)
        final = b"v=" + b"A" * 43 + b"="
        stream.write(messages.authentication_sasl_final(final) + OK + READY)
        await stream.drain()
        await stream.read_exactly(1)

    async with fake(handler) as target:
        assert "incorrect server signature" in str(await failed(target))


@pytest.mark.parametrize(
    ("answer", "sslmode", "text"),
    [
        (b"N", "require", "server does not support SSL"),
        (b"E", "require", "neither S nor N"),
        (b"X", "prefer", "neither S nor N"),
        (b"NR", "prefer", "spoke before it was asked"),
        (b"S" + OK, "require", "received unencrypted data after SSL request"),
    ],
)
async def test_answers_to_the_request_for_tls(answer: bytes, sslmode: str, text: str) -> None:
    async with fake(says(answer), sslmode) as target:
        assert text in str(await failed(target))


async def test_prefer_goes_on_without_tls_where_there_is_none() -> None:
    async def handler(stream: Stream) -> None:
        await stream.read_startup(10_000)
        stream.write(b"N")
        await stream.drain()
        await stream.read_startup(10_000)
        stream.write(OK + READY)
        await stream.drain()
        await stream.read_exactly(100)

    async with fake(handler, "prefer") as target, connected(target) as connection:
        assert not connection.tls


@pytest.mark.parametrize("names", [("localhost",), ("other.test",), ("127.0.0.1",)])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_verify_full_checks_the_name(
    names: tuple[str, ...], host: str, tmp_path: Path
) -> None:
    certificate, key = self_signed_certificate(names)
    root = tmp_path / "root.crt"
    root.write_text(certificate)
    context = server_context(certificate, key)

    async def handler(stream: Stream) -> None:
        await start_tls(stream, context)
        stream.write(OK + READY)
        await stream.drain()
        await stream.read_exactly(100)

    async with fake(handler) as server:
        target = Target(host, server.port, "verify-full", str(root))
        if host in names:
            async with connected(target) as connection:
                assert connection.tls
        else:
            assert "certificate verify failed" in str(await failed(target))
            async with connected(replace(target, sslmode="verify-ca")) as connection:
                assert connection.tls


async def test_a_certificate_that_cannot_be_bound_to(tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(CERTIFICATE)
    version = der.index(b"\xa0\x03\x02\x01\x02") + 4
    unknown = ssl.DER_cert_to_PEM_cert(der[:version] + b"\x01" + der[version + 1 :])
    chain = tmp_path / "server.pem"
    chain.write_text(KEY + unknown)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)

    async def handler(stream: Stream) -> None:
        await start_tls(stream, context)
        stream.write(messages.authentication_sasl([scram.MECHANISM_PLUS, scram.MECHANISM]))
        await stream.drain()
        _, body = await stream.read_message(10_000)
        mechanism, first = messages.parse_sasl_initial_response(body)
        exchange = scram.ServerExchange(mechanism, (scram.make_verifier(PASSWORD),))
        stream.write(messages.authentication_sasl_continue(exchange.first(first)))
        await stream.drain()
        _, body = await stream.read_message(10_000)
        stream.write(messages.authentication_sasl_final(exchange.final(body)) + OK + READY)
        await stream.drain()
        await stream.read_exactly(100)

    async with fake(handler, "require") as target, connected(target) as connection:
        assert connection.tls


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
async def test_a_server_that_says_nothing(sslmode: str) -> None:
    async with fake(says(b""), sslmode) as target:
        error = await failed(target, connect_timeout_s=0.05)
        assert "timeout expired" in str(error)
        assert error.transient
        place = (socket.AF_INET, (target.host, target.port))
        with pytest.raises(ConnectError):
            await send_cancel(target, 1, b"1234", 0.05, place=place)


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
async def test_a_server_that_hangs_up(sslmode: str) -> None:
    async def handler(stream: Stream) -> None:
        await stream.peek()

    async with fake(handler, sslmode) as target:
        assert (await failed(target)).transient


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await failed(Target("127.0.0.1", port))
    assert error.transient
    assert f"127.0.0.1:{port}: Connection refused" in str(error)
    assert (await failed(Target("/nonexistent", port))).transient


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64 + ".invalid", "bad..name"])
async def test_unknown_hosts(host: str) -> None:
    assert host in str(await failed(Target(host, 5432)))


async def test_a_later_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fake(says(OK + READY)) as target:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closed = listener.getsockname()
        addresses = [(socket.AF_INET, closed), (socket.AF_INET, ("127.0.0.1", target.port))]

        async def resolve(_: Target) -> list[tuple[int, object]]:
            return addresses

        monkeypatch.setattr(connector, "resolve", resolve)
        async with connected(replace(target, host="two.test")):
            pass


async def test_cancelled_while_connecting() -> None:
    async with fake(says(b"")) as target:
        task = asyncio.ensure_future(failed(target))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
