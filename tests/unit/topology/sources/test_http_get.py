"""HTTP by servers that do everything wrong."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from forebay.embedded.certificates import Authority
from forebay.topology.sources.http_get import MAX_BODY_BYTES, HttpError, get
from forebay.topology.sources.resolver import Resolver

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Web:
    """Answers each request with the same bytes; or as ``serve`` does."""

    def __init__(self) -> None:
        self.said = b""
        self.serve: Serve | None = None
        self.requests: list[bytes] = []
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.serve is not None:
                await self.serve(writer)
            else:
                writer.write(self.said)
                await writer.drain()
        writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web()
    server = await asyncio.start_server(web.answer, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    yield web
    server.close()
    for writer in web.writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def body(web: Web, said: bytes) -> bytes:
    web.said = said
    return await get(web.url, "/cluster", Resolver(), timeout_s=10.0)


async def test_what_is_asked(web: Web) -> None:
    web.said = OK + b"\r\n"
    await get(f"{web.url}/prefix/", "/cluster", Resolver(), timeout_s=10.0)
    assert web.requests[0].startswith(b"GET /prefix/cluster HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 5\r\n\r\nhello and more",
        b"\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
    ],
)
async def test_bodies(web: Web, answer: bytes) -> None:
    assert await body(web, OK + answer) == b"hello"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 503 no\r\n\r\n", "status 503"),
        (b"HTTP/1.1 \xff\xff\r\n\r\n", r"status \?"),
        (OK + b"Content-Length: -1\r\n\r\n", "no HTTP"),
        (OK + b"Content-Length: 1e3\r\n\r\n", "no HTTP"),
        (OK + b"Content-Length: 1073741824\r\n\r\n", "longer than"),
        (OK + b"Content-Length: 5\r\n\r\nhell", "cut"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "no HTTP"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc", "no HTTP"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n40000000\r\n", "longer than"),
        (OK + b"X: " + b"y" * 20_000 + b"\r\n\r\n", "too long a head"),
        (OK + b"X: y\r\n" * 200 + b"\r\n", "no HTTP"),
        (b"", "cut"),
    ],
)
async def test_what_is_no_use(web: Web, answer: bytes, reason: str) -> None:
    with pytest.raises(HttpError, match=reason):
        await body(web, answer)


async def test_a_gigabyte(web: Web) -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    web.serve = endless
    with pytest.raises(HttpError, match="longer than"):
        await get(web.url, "/cluster", Resolver(), timeout_s=60.0)
    assert sent < 64 * MAX_BODY_BYTES


async def test_chunks_without_an_end(web: Web) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            await writer.drain()

    web.serve = endless
    with pytest.raises(HttpError, match="longer than"):
        await get(web.url, "/cluster", Resolver(), timeout_s=60.0)


async def test_drops_from_time_to_time(web: Web) -> None:
    """The time is that of all."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    web.serve = drip
    with pytest.raises(TimeoutError):
        await get(web.url, "/cluster", Resolver(), timeout_s=0.2)


async def test_https(tmp_path: Path) -> None:
    """The name is verified, whatever address it has."""
    authority, web = Authority("those who answer"), Web()
    web.said = OK + b"\r\nhello"
    certificate, key = authority.issue(("localhost",))
    (tmp_path / "pair").write_bytes(certificate + key)
    (tmp_path / "ca").write_bytes(authority.certificate_pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "pair")
    trusting = ssl.create_default_context(cafile=tmp_path / "ca")
    server = await asyncio.start_server(web.answer, "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    resolver = Resolver(lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 0))])

    async def ask(host: str, context: ssl.SSLContext) -> bytes:
        url = f"https://{host}:{port}"
        return await get(url, "/cluster", resolver, tls_context=context, timeout_s=10.0)

    assert await ask("localhost", trusting) == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask("elsewhere.test", trusting)
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask("localhost", ssl.create_default_context())
    server.close()
    for writer in web.writers:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_nobody_there(web: Web) -> None:
    with pytest.raises(OSError, match=r"refused|111"):
        await get("http://127.0.0.1:1", "/cluster", Resolver(), timeout_s=10.0)
