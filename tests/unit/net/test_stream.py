"""Streams: reading, writing, bounds, TLS and hand-over, over socket pairs."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from forebay.net import stream as stream_module
from forebay.net.stream import PeerGoneError, Stream, TLSError
from forebay.net.tls import client_context, self_signed_certificate, server_context
from forebay.protocol.messages import MalformedMessageError, message
from forebay.protocol.startup import StartupLengthError

SERVER = server_context(*self_signed_certificate())


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Stream, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    stream = Stream(ours)
    yield stream, theirs
    stream.close()
    theirs.close()


@pytest.fixture
async def streams() -> AsyncIterator[tuple[Stream, Stream]]:
    one, other = (Stream(sock) for sock in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def client() -> ssl.SSLContext:
    context = client_context("require")
    assert context is not None
    return context


async def secure(server: Stream, peer: Stream) -> None:
    await asyncio.gather(
        server.start_tls(SERVER, server_side=True), peer.start_tls(client(), server_side=False)
    )


async def test_messages_come_in_any_pieces(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    for byte in message(b"Q", b"abc") + b"\0\0\0\x09hello" + b"rest":
        peer.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await stream.read_message(10) == (ord("Q"), b"abc")
    assert await stream.read_startup(10) == b"hello"
    assert (await stream.peek(4)).startswith(b"rest")
    assert await stream.read_exactly(4) == b"rest"
    assert stream.buffered == 0


async def test_lengths_are_checked(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"Q\0\0\0\x09")
    with pytest.raises(MalformedMessageError):
        await stream.read_message(4)
    stream.take_buffered()
    peer.send(b"Q\0\0\0\x03")
    with pytest.raises(MalformedMessageError):
        await stream.read_message(4)
    stream.take_buffered()
    for length in (b"\0\0\0\x07", b"\0\0\0\x0f", b"\xff\xff\xff\xff"):
        peer.send(length)
        with pytest.raises(StartupLengthError):
            await stream.read_startup(10)
        stream.take_buffered()


async def test_what_came_before_the_end_is_read(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"last")
    peer.close()
    await asyncio.sleep(0.01)
    assert await stream.read_exactly(4) == b"last"
    for _ in range(2):
        with pytest.raises(PeerGoneError):
            await stream.read_exactly(1)


async def test_no_more_is_kept_than_the_bound(
    pair: tuple[Stream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MAX_BUFFERED_BYTES", 1000)
    monkeypatch.setattr(stream_module, "RECEIVE_BYTES", 100)
    stream, peer = pair
    sent = peer.send(b"x" * 20_000)
    for _ in range(100):
        await asyncio.sleep(0)
    assert stream.buffered <= 1000
    assert await stream.read_exactly(sent - 10) == b"x" * (sent - 10)
    peer.send(message(b"Q", b"y" * 5000))
    await stream.read_exactly(10)
    assert await stream.read_message(5000) == (ord("Q"), b"y" * 5000)


async def test_writing_waits_for_a_slow_reader(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    data = bytes(range(256)) * 8192
    one.write(data[:10])
    one.write(data[10:])
    _, received = await asyncio.gather(one.drain(), other.read_exactly(len(data)))
    assert received == data


async def test_writing_to_a_peer_that_has_gone(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.close()
    stream.write(b"x")
    with pytest.raises(OSError):
        await stream.drain()


async def test_tls_both_ways(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    await secure(one, other)
    assert one.tls is not None
    assert one.incoming is not None
    assert one.outgoing is not None
    assert one.tls.version() == "TLSv1.3"
    data = b"0123456789" * 20_000
    one.write(data)
    _, received = await asyncio.gather(one.drain(), other.read_exactly(len(data)))
    assert received == data
    other.write(b"back")
    await other.drain()
    assert await one.read_exactly(4) == b"back"
    other.close()
    with pytest.raises(PeerGoneError):
        await one.read_exactly(1)


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_versions_and_retries(
    streams: tuple[Stream, Stream], version: ssl.TLSVersion, curve: str
) -> None:
    one, other = streams
    context = client()
    context.minimum_version = context.maximum_version = version
    # A curve that the client's first hello holds no key for makes TLS 1.3 ask for another hello.
    server = server_context(*self_signed_certificate())
    server.set_ecdh_curve(curve)
    await asyncio.gather(
        one.start_tls(server, server_side=True), other.start_tls(context, server_side=False)
    )
    one.write(b"hello")
    await one.drain()
    assert await other.read_exactly(5) == b"hello"


async def test_bytes_before_tls_are_refused(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"early")
    await stream.peek()
    with pytest.raises(MalformedMessageError, match="received unencrypted data after SSL request"):
        await stream.start_tls(SERVER, server_side=True)


async def test_nonsense_instead_of_a_handshake(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    handshake = asyncio.ensure_future(stream.start_tls(SERVER, server_side=True))
    await asyncio.sleep(0)
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(TLSError, match="http request"):
        await handshake
    stream.write(b"not in clear")
    stream.close()
    assert b"clear" not in peer.recv(1000)


async def test_a_handshake_has_a_bound(
    pair: tuple[Stream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "MAX_HANDSHAKE_BYTES", 50)
    stream, peer = pair
    handshake = asyncio.ensure_future(stream.start_tls(SERVER, server_side=True))
    await asyncio.sleep(0)
    peer.send(b"\x16\x03\x01\x40\x00" + b"\x01\x00\x3f\xfc" + b"\0" * 100)
    with pytest.raises(TLSError, match="too long"):
        await handshake


async def test_the_peer_goes_during_the_handshake(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.close()
    with pytest.raises(PeerGoneError):
        await stream.start_tls(SERVER, server_side=True)


async def test_direct_tls_needs_the_alpn_protocol(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    peer = asyncio.ensure_future(other.start_tls(context, server_side=False))
    await one.peek()
    with pytest.raises(TLSError, match="ALPN"):
        await one.start_tls(SERVER, server_side=True, early=one.take_buffered())
    await peer


async def test_a_broken_record_ends_the_stream(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    await secure(one, other)
    other.write(b"fine")
    await other.drain()
    other._sock.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    assert await one.read_exactly(4) == b"fine"
    with pytest.raises(TLSError):
        await one.read_exactly(1)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_hand_over(streams: tuple[Stream, Stream], encrypted: bool) -> None:
    one, other = streams
    if encrypted:
        await secure(one, other)
    other.write(b"login" + b"pipelined")
    await other.drain()
    assert await one.read_exactly(5) == b"login"
    one.write(b"sent")
    await one.drain()
    one.write(b"unsent")
    detached = one.detach()
    assert (detached.leftover, detached.unsent) == (b"pipelined", b"unsent")
    assert await other.read_exactly(4) == b"sent"
    assert (detached.sslobj is not None) is encrypted
    assert one.fileno() == -1
    one.close()  # is not its business any more
    with socket.socket(fileno=detached.fd) as sock:
        other.write(b"more")
        await other.drain()
        data = await asyncio.get_running_loop().sock_recv(sock, 100)
    if detached.sslobj is not None and detached.incoming is not None:
        detached.incoming.write(data)
        data = detached.sslobj.read()
    assert data == b"more"


async def test_closing_wakes_the_reader(pair: tuple[Stream, socket.socket]) -> None:
    stream, _ = pair
    reader = asyncio.ensure_future(stream.read_exactly(1))
    await asyncio.sleep(0)
    stream.close()
    stream.close()
    with pytest.raises(PeerGoneError):
        await reader


async def test_closing_sends_what_was_written(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    stream.write(b"goodbye")
    stream.close()
    assert peer.recv(100) == b"goodbye"
    assert peer.recv(100) == b""


async def test_cancelling_a_reader_loses_nothing(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    reader = asyncio.ensure_future(stream.read_exactly(2))
    await asyncio.sleep(0)
    peer.send(b"a")
    await asyncio.sleep(0.01)
    reader.cancel()
    await asyncio.wait([reader])
    peer.send(b"b")
    assert await stream.read_exactly(2) == b"ab"
