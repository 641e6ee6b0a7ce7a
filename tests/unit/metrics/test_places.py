"""Where lines of metrics go."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.config.addresses import Address
from forebay.metrics.lane import DeliveryError
from forebay.metrics.places import Agent, File, Output, place_of

LINES = [b'{"a":1}\n', b'{"b":2}\n']


@pytest.mark.parametrize(
    ("emf", "name"),
    [
        ("stdout", "stdout"),
        ("file:/a/b", "the file /a/b"),
        ("tcp://127.0.0.1:25888", "tcp://127.0.0.1:25888"),
        ("udp://[::1]:25888", "udp://[::1]:25888"),
    ],
)
def test_each_place_has_a_name(emf: str, name: str) -> None:
    assert place_of(emf)[0] == name


def test_stdout_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    place_of("stdout")[1](LINES)
    assert capfdbinary.readouterr().out == b"".join(LINES)


def test_a_file_is_made_and_appended_to_and_may_be_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    _, deliver = place_of(f"file:{path}")
    deliver(LINES)
    deliver(LINES)
    assert path.read_bytes() == b"".join(2 * LINES)
    assert path.stat().st_mode & 0o007 == 0
    path.rename(tmp_path / "metrics.1")
    deliver(LINES)
    assert path.read_bytes() == b"".join(LINES)


def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="No such file or directory"):
        File(str(tmp_path / "none" / "metrics")).deliver(LINES)


def test_a_full_disk_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(DeliveryError, match="No space left on device") as caught:
        File("/dev/full").deliver(LINES)
    assert caught.value.transient


def test_nobody_waits_for_the_reader_of_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DeliveryError):
        File(str(tmp_path / "fifo")).deliver(LINES)


def test_a_line_that_did_not_get_out_whole_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    written = b""
    room = 10

    def write(_: int, data: bytes) -> int:
        nonlocal written, room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        some = data[:room]
        written, room = written + some, room - len(some)
        return len(some)

    monkeypatch.setattr(os, "write", write)
    output = Output(77)
    with pytest.raises(DeliveryError) as caught:
        output.deliver(LINES)
    assert not caught.value.transient  # what is out would be there twice
    room = 1000
    output.deliver(LINES)
    output.deliver(LINES)
    assert written == b'{"a":1}\n{"\n' + b"".join(2 * LINES)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def test_an_agent_gets_lines_by_tcp(listener: socket.socket) -> None:
    got: list[bytes] = []

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            got.append(connection.makefile("rb").read())

    for _ in range(2):  # the second connection is another
        thread = threading.Thread(target=accept)
        thread.start()
        place_of(f"tcp://127.0.0.1:{listener.getsockname()[1]}")[1](LINES)
        thread.join(30)
    assert got == 2 * [b"".join(LINES)]


def test_an_agent_gets_a_datagram_for_each_line_by_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(30)
        receiver.bind(("127.0.0.1", 0))
        place_of(f"udp://127.0.0.1:{receiver.getsockname()[1]}")[1](LINES)
        assert [receiver.recv(1000), receiver.recv(1000)] == LINES


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_an_agent_without_an_address_is_told(kind: str) -> None:
    agent = Agent(Address("nobody.invalid", 1), udp=kind == "udp")
    with pytest.raises(DeliveryError):
        agent.deliver(LINES)


def test_an_agent_that_is_away_is_told(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(DeliveryError, match="Connection refused"):
        Agent(Address("127.0.0.1", port), udp=False).deliver(LINES)
