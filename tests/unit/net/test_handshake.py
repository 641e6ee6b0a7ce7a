"""TLS handshake steps beside the loop, with and without Python in the thread."""

import asyncio
import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from forebay.embedded.certificates import Authority
from forebay.net import handshake
from forebay.net.handshake import HandshakeError, step_aside, step_here
from forebay.net.tls import client_context, self_signed_certificate, server_context
from forebay.relay import openssl
from forebay.relay.handshakes import Handshakes

SERVER = server_context(*self_signed_certificate())


@pytest.fixture(params=["native", "python"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which kind of thread takes the steps."""
    if request.param == "python":
        monkeypatch.setattr(handshake, "available", lambda: False)
    elif not openssl.available():
        pytest.skip("OpenSSL cannot be reached below this Python's ssl module")
    return str(request.param)


@dataclass
class End:
    """One end of a handshake, in memory."""

    context: ssl.SSLContext
    server_side: bool
    name: str | None = None
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    sslobj: ssl.SSLObject = field(init=False)

    def __post_init__(self) -> None:
        self.sslobj = self.context.wrap_bio(
            self.incoming, self.outgoing, self.server_side, self.name
        )


def ends(server: ssl.SSLContext = SERVER, name: str | None = None, **own: str) -> tuple[End, End]:
    context = client_context("require", **own)
    assert context is not None
    return End(server, True), End(context, False, name)


async def shake_hands(
    at: ssl.SSLContext = SERVER, name: str | None = None, **own: str
) -> tuple[End, End]:
    server, client = ends(at, name, **own)
    loop = asyncio.get_running_loop()
    server_done = client_done = False
    while not (server_done and client_done):
        client_done = client_done or step_here(client.sslobj)
        server.incoming.write(client.outgoing.read())
        server_done = server_done or await step_aside(server.sslobj, loop)
        client.incoming.write(server.outgoing.read())
    return server, client


def test_this_python_is_known() -> None:
    """Where it is not, everything works, slower: CPython with a shared OpenSSL is no such place."""
    if "_ssl" in sys.builtin_module_names:
        pytest.skip("OpenSSL is linked into this Python")
    assert openssl.available()


async def test_whole_handshakes_at_once(threads: str) -> None:
    for server, client in await asyncio.gather(*(shake_hands() for _ in range(40))):
        client.sslobj.write(b"hello")
        server.incoming.write(client.outgoing.read())
        assert server.sslobj.read() == b"hello"
        assert server.sslobj.version() == "TLSv1.3"


async def test_certificates_are_chosen_by_name(threads: str) -> None:
    pairs = [self_signed_certificate((name,)) for name in ("one.test", "two.test")]
    both = server_context(*pairs[0], pairs[1])
    names = ["one.test", "two.test", "other.test"] * 10
    done = await asyncio.gather(*(shake_hands(both, name) for name in names))
    for name, (_, client) in zip(names, done, strict=True):
        expected = pairs[name == "two.test"][0]
        assert client.sslobj.getpeercert(True) == ssl.PEM_cert_to_DER_cert(expected)


async def test_why_a_clients_certificate_is_refused(threads: str, tmp_path: Path) -> None:
    certificate, key = Authority("other").issue(["app"])
    (tmp_path / "crt").write_bytes(certificate)
    (tmp_path / "key").write_bytes(key)
    trusted = Authority().certificate_pem
    asking = server_context(*self_signed_certificate(), client_ca_pem=trusted)
    files = {"sslcert": str(tmp_path / "crt"), "sslkey": str(tmp_path / "key")}
    reason = "certificate verify failed: unable to get local issuer certificate"
    with pytest.raises(HandshakeError, match=reason):
        await shake_hands(asking, **files)
    await shake_hands(asking)


async def test_why_a_handshake_failed(threads: str) -> None:
    loop = asyncio.get_running_loop()
    for nonsense, reason in ((b"GET / HTTP/1.0\r\n\r\n", "http request"), (b"\x80" * 99, None)):
        server, _ = ends()
        server.incoming.write(nonsense)
        with pytest.raises(HandshakeError, match=reason):
            await step_aside(server.sslobj, loop)
    # A failure is that handshake's alone, in whatever thread the next one is.
    await asyncio.gather(*(shake_hands() for _ in range(8)))


async def test_an_alert_is_left_for_the_peer(threads: str) -> None:
    _, client = ends()
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    old = End(client.context, False)
    newer = server_context(*self_signed_certificate())
    newer.minimum_version = ssl.TLSVersion.TLSv1_3
    server = End(newer, True)
    assert not step_here(old.sslobj)
    server.incoming.write(old.outgoing.read())
    with pytest.raises(HandshakeError, match="unsupported protocol"):
        await step_aside(server.sslobj, asyncio.get_running_loop())
    assert server.outgoing.read()[:1] == b"\x15"


async def test_a_client_checks_certificates_in_a_python_thread(threads: str) -> None:
    server, client = ends()
    strict = ssl.create_default_context()
    strict.check_hostname = False
    client = End(strict, False)
    loop = asyncio.get_running_loop()
    assert not await step_aside(client.sslobj, loop)
    server.incoming.write(client.outgoing.read())
    assert not await step_aside(server.sslobj, loop)
    client.incoming.write(server.outgoing.read())
    with pytest.raises(HandshakeError, match="certificate verify failed: self-signed"):
        await step_aside(client.sslobj, loop)


async def test_whoever_waits_may_be_cancelled(threads: str) -> None:
    server, client = ends()
    step_here(client.sslobj)
    server.incoming.write(client.outgoing.read())
    step = asyncio.ensure_future(step_aside(server.sslobj, asyncio.get_running_loop()))
    await asyncio.sleep(0)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    # The step was taken to its end all the same: nothing else is disturbed, and it can be seen.
    await asyncio.gather(*(shake_hands() for _ in range(4)))
    for _ in range(10_000):
        if server.outgoing.pending:
            break
        await asyncio.sleep(0.001)
    assert server.outgoing.pending


def test_a_loop_may_end_with_steps_under_way(threads: str) -> None:
    async def begin() -> None:
        for _ in range(20):
            server, client = ends()
            step_here(client.sslobj)
            server.incoming.write(client.outgoing.read())
            task = asyncio.ensure_future(step_aside(server.sslobj, asyncio.get_running_loop()))
            await asyncio.sleep(0)
            task.cancel()

    for _ in range(3):
        asyncio.run(begin())
    asyncio.run(shake_hands_once())


async def shake_hands_once() -> None:
    await shake_hands()


def test_only_connections_of_the_ssl_module_are_taken() -> None:
    if not openssl.available():
        pytest.skip("OpenSSL cannot be reached below this Python's ssl module")
    with pytest.raises(TypeError):
        Handshakes(1).take_step(object(), None)  # type: ignore[arg-type]
