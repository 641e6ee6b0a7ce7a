"""Descriptors over a socket: as many as were sent, in order; none stays open if too few come."""

import os
import socket
from collections.abc import Iterator

import pytest

from forebay.channel.descriptors import MAX_AT_ONCE, pass_descriptors, take_descriptors


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with ours, theirs:
        yield ours, theirs


def inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


@pytest.mark.parametrize("many", [0, 1, 2, MAX_AT_ONCE, MAX_AT_ONCE + 1])
def test_they_come_in_order(ends: tuple[socket.socket, socket.socket], many: int) -> None:
    pipes = [os.pipe() for _ in range(3)]
    sent = [pipes[n % 3][n % 2] for n in range(many)]
    pass_descriptors(ends[0], sent)
    pass_descriptors(ends[0], [pipes[0][0]])  # of another message
    taken = take_descriptors(ends[1], many)
    assert list(map(inode, taken)) == list(map(inode, sent))
    assert len(set(taken)) == many
    more = take_descriptors(ends[1], 1)
    for each in (*taken, *more, *(end for pair in pipes for end in pair)):
        os.close(each)


def test_if_too_few_come_none_stays_open(ends: tuple[socket.socket, socket.socket]) -> None:
    reader, writer = os.pipe()
    pass_descriptors(ends[0], [writer])
    ends[0].close()
    with pytest.raises(OSError, match="1 of 2 descriptors came"):
        take_descriptors(ends[1], 2)
    os.close(writer)
    assert os.read(reader, 1) == b"", "nobody has the other end any more"
    os.close(reader)


def test_who_is_gone_takes_none(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].close()
    with pytest.raises(OSError):
        pass_descriptors(ends[0], [0])
