"""Requests to STS over real sockets, and whoever may answer them."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forebay.embedded.surroundings import HOST
from forebay.identity.sts import sending as module
from forebay.identity.sts.answers import MAX_ANSWER_BYTES
from forebay.identity.sts.endpoints import Endpoint
from forebay.identity.sts.requests import PROXY_HEADER, StsRequest
from forebay.identity.sts.sending import Sender
from forebay.identity.threads import BusyError
from forebay.identity.tokens import Reason, Refusal
from forebay.net.tls import self_signed_certificate, server_context
from tests.harness.sts import USER_ARN, Asked, StandInSts, error, identity, response


def request(endpoint: Endpoint, number: int = 0) -> StsRequest:
    return StsRequest(endpoint, "AKIA1", 0.0, 900, f"/?Action=GetCallerIdentity&n={number}")


@contextmanager
def sending(**options: object) -> Iterator[Sender]:
    sender = Sender("prx-orders", **options)  # type: ignore[arg-type]
    try:
        yield sender
    finally:
        sender.close()


async def test_what_is_sent_and_that_connections_are_kept() -> None:
    with StandInSts(lambda _: response(identity())) as sts, sending() as sender:
        for number in range(3):
            assert await sender.send(request(sts.endpoint, number)) == USER_ARN
    assert [asked.connection for asked in sts.asked] == [1, 1, 1]
    assert sts.asked[0].line == "GET /?Action=GetCallerIdentity&n=0 HTTP/1.1"
    assert sts.asked[0].headers == {
        "host": sts.endpoint.host_header,
        "accept-encoding": "identity",
        PROXY_HEADER: "prx-orders",
        "accept": "text/xml",
        "user-agent": "forebay",
    }


async def test_a_connection_that_the_other_side_has_closed_meanwhile() -> None:
    with StandInSts(lambda _: response(identity())) as sts, sending() as sender:
        assert await sender.send(request(sts.endpoint)) == USER_ARN
        sts.drop_connections()
        assert await sender.send(request(sts.endpoint)) == USER_ARN
        assert [asked.connection for asked in sts.asked] == [1, 2]


async def test_a_connection_that_is_to_be_closed_is_not_kept() -> None:
    answer = response(identity(), "200 OK", "Connection: close")
    with StandInSts(lambda _: answer) as sts, sending() as sender:
        for _ in range(2):
            assert await sender.send(request(sts.endpoint)) == USER_ARN
    assert [asked.connection for asked in sts.asked] == [1, 2]


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response("hunter2"), "answered 200 with something that is not XML"),
        (b"hunter2\r\n\r\n", "something that is not HTTP, or cut"),
        (b"\0" * 100_000, "something that is not HTTP, or cut"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "something that is not HTTP, or cut"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 200 + b"\r\n", "something that is not HTTP"),
        (HEAD + identity()[:50].encode(), "is not XML"),
        (HEAD, "is not XML"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "is not HTTP, or cut"),
        (response(b"x" * (MAX_ANSWER_BYTES + 1)), "with more than 65536 bytes"),
        (response("", "301 Moved", "Location: http://127.0.0.1:1/"), "redirects are not followed"),
        (response(error("InternalFailure"), "500 Oops"), "answered 500 InternalFailure"),
        (response(error("SignatureDoesNotMatch"), "403 Forbidden"), "its signature is wrong"),
        (None, "something that is not HTTP, or cut"),
    ],
)
async def test_answers_that_prove_nothing(answer: bytes | None, said: str) -> None:
    with StandInSts(lambda _: answer, closes=True) as sts, sending() as sender:
        found = await sender.send(request(sts.endpoint))
    assert isinstance(found, Refusal)
    assert found.reason in (Reason.STS_FAILED, Reason.STS_REFUSED)
    assert said in found.sentence
    assert "hunter2" not in found.sentence


async def test_nobody_is_there() -> None:
    with StandInSts(lambda _: None) as sts:
        endpoint = sts.endpoint
    with sending() as sender:
        found = await sender.send(request(endpoint))
    assert isinstance(found, Refusal)
    assert found.sentence == f"STS at {endpoint.host_header} can't be asked: Connection refused"


async def test_a_mistake_of_our_own_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "hunter2"

    def fail(*_: object) -> str:
        raise AssertionError(secret)

    monkeypatch.setattr(module, "read_answer", fail)
    with StandInSts(lambda _: response(identity())) as sts, sending() as sender:
        found = await sender.send(request(sts.endpoint))
    assert found == Refusal(Reason.STS_FAILED, "STS could not be asked")
    assert "A request to STS failed: AssertionError" in caplog.text
    assert "sending.py" in caplog.text
    assert secret not in caplog.text


@contextmanager
def held() -> Iterator[tuple[threading.Event, Callable[[Asked], bytes]]]:
    """Answers that come when the event is set; at the latest in the end."""
    go = threading.Event()

    def answer(_: Asked) -> bytes:
        go.wait()
        return response(identity())

    try:
        yield go, answer
    finally:
        go.set()


async def test_one_that_does_not_answer() -> None:
    with held() as (go, answer), StandInSts(answer) as sts:
        with sending(timeout_s=0.05, threads=1) as sender:
            found = await sender.send(request(sts.endpoint))
            assert found == Refusal(Reason.STS_FAILED, "STS has not answered within 0.05 s")
            # The only thread was let go, and asks the next.
            sts.answer = lambda _: response(identity())
            sender._timeout_s = 60
            assert await sender.send(request(sts.endpoint)) == USER_ARN
        go.set()


@contextmanager
def dripping(scheme: str, begin: bytes) -> Iterator[tuple[Endpoint, threading.Event]]:
    """One who sends a byte at a time until the connection is closed: each receive ends soon. The
    event is set when it is at it."""
    stop, drips = threading.Event(), threading.Event()
    listener = socket.create_server((HOST, 0))

    def drip() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as sock:
            sock.sendall(begin)
            while not stop.wait(0.01):
                sock.sendall(b"x")
                drips.set()

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield Endpoint.parse(f"{scheme}://{HOST}:{listener.getsockname()[1]}", "eu-west-1"), drips
        listener.shutdown(socket.SHUT_RDWR)  # if nobody came
        thread.join()
    finally:
        stop.set()
        listener.close()


ANSWER = b"HTTP/1.1 200 OK\r\nX: "


@pytest.mark.parametrize(
    ("scheme", "begin"),
    [("http", ANSWER), ("https", b"\x16\x03\x03\x40\x00")],
    ids=["answer", "handshake"],
)
async def test_one_that_sends_a_byte_at_a_time_is_given_up(scheme: str, begin: bytes) -> None:
    with dripping(scheme, begin) as (endpoint, drips), sending(timeout_s=10_000) as sender:
        answer = sender.send(request(endpoint))
        await asyncio.to_thread(drips.wait)
        sender.close()  # as the timeout does
        found = await answer
        assert isinstance(found, Refusal)
        assert found.reason is Reason.STS_FAILED


async def test_the_timeout_is_for_all_of_an_answer() -> None:
    with dripping("http", ANSWER) as (endpoint, _), sending(timeout_s=0.2) as sender:
        found = await sender.send(request(endpoint))
        assert found == Refusal(Reason.STS_FAILED, "STS has not answered within 0.2 s")


async def test_too_many() -> None:
    limits = {"threads": 2, "waiting": 1}
    with held() as (go, answer), StandInSts(answer) as sts, sending(**limits) as sender:
        under_way = [sender.send(request(sts.endpoint, number)) for number in range(3)]
        with pytest.raises(BusyError):
            sender.send(request(sts.endpoint))
        go.set()
        assert await asyncio.gather(*under_way) == [USER_ARN] * 3
        assert len({asked.connection for asked in sts.asked}) == 2
        assert await sender.send(request(sts.endpoint)) == USER_ARN


async def test_what_is_under_way_is_given_up_at_the_end() -> None:
    with held() as (go, answer), StandInSts(answer) as sts:
        with sending(threads=1) as sender:
            first, waiting = (sender.send(request(sts.endpoint)) for _ in range(2))
        for found in await asyncio.gather(first, waiting):
            assert isinstance(found, Refusal)
            assert found.reason is Reason.STS_FAILED
        go.set()


async def test_tls(tmp_path: Path) -> None:
    certificate, key = self_signed_certificate(["localhost"])
    path = tmp_path / "root.crt"
    path.write_text(certificate)
    with StandInSts(lambda _: response(identity()), server_context(certificate, key)) as sts:
        with sending(tls_context=ssl.create_default_context(cafile=path)) as sender:
            assert await sender.send(request(sts.endpoint)) == USER_ARN
            assert await sender.send(request(sts.endpoint)) == USER_ARN
            other = Endpoint.parse(sts.endpoint.url.replace("localhost", "127.0.0.1"), "eu-west-1")
            found = await sender.send(request(other))
            assert isinstance(found, Refusal)
            assert "127.0.0.1" in found.sentence
            assert "certificate is not valid" in found.sentence
        assert [asked.connection for asked in sts.asked] == [1, 1]
        with sending() as sender:
            found = await sender.send(request(sts.endpoint))
            assert isinstance(found, Refusal)
            assert "self-signed certificate" in found.sentence
