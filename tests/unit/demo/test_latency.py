import socket
import threading

import pytest

from forebay.demo.latency import BlockingSession, _is_complete
from forebay.net.stream import Detached
from forebay.protocol import messages

ANSWER = (
    messages.message(b"T", b"\0\0")
    + messages.message(b"D", b"\0\0")
    + messages.message(b"C", b"SELECT 1\0")
    + messages.ready_for_query(b"I")
)


def test_an_answer_is_complete_with_ready_for_query_and_not_before() -> None:
    assert _is_complete(ANSWER)
    assert not any(_is_complete(ANSWER[:cut]) for cut in range(len(ANSWER)))


def test_a_row_that_looks_like_ready_for_query_is_not_one() -> None:
    assert not _is_complete(messages.message(b"D", messages.ready_for_query(b"I")))


def test_it_waits_for_the_whole_answer() -> None:
    here, there = socket.socketpair()
    session = BlockingSession(Detached(here.detach(), None, None, None, b""))

    def answer() -> None:
        assert there.recv(100) == messages.query("SELECT 1")
        for byte in ANSWER:
            there.sendall(bytes([byte]))

    server = threading.Thread(target=answer)
    server.start()
    assert session.measure_us(messages.query("SELECT 1")) > 0
    server.join()
    session.close()
    assert there.recv(100) == messages.terminate()
    there.close()


def test_a_server_that_leaves() -> None:
    here, there = socket.socketpair()
    session = BlockingSession(Detached(here.detach(), None, None, None, b""))
    there.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        session.measure_us(messages.query("SELECT 1"))
    session.close()
    there.close()
