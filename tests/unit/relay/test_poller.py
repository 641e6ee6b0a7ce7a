"""One epoll set, and who owns each descriptor in it."""

import gc
import os
import resource
import selectors
import socket
from collections.abc import Iterator

import pytest

from forebay.relay import Client, Poller
from tests.harness.descriptors import descriptors
from tests.playbooks import wording
from tests.playbooks.actors import connect
from tests.unit.relay.fakes import PARAMETERS, PLAIN, Sessions
from tests.unit.relay.loopback import Loopback

NONSENSE = b"!\0\0\0\4"  # no client may send it


class Replacing(Sessions):
    """When a client breaks the protocol, another one goes, and its descriptor is given out again to
    a socket that asyncio watches."""

    def __init__(self, loopback: Loopback) -> None:
        super().__init__()
        self.loopback = loopback
        self.victim: Client | None = None
        self.fd = -1
        self.far: socket.socket | None = None

    def violated(self, client: Client, kind: int) -> bytes:
        if self.victim is not None:
            self.fd = self.victim.fd
            self.victim.drop()
            near, self.far = socket.socketpair()
            if (number := near.detach()) != self.fd:
                os.dup2(number, self.fd)
                os.close(number)
            self.loopback.relay.register(self.fd, selectors.EVENT_READ, "new")
        return super().violated(client, kind)


def test_an_event_of_a_descriptor_that_was_given_out_again_reaches_nobody(
    loopback: Loopback,
) -> None:
    loopback.sessions = sessions = Replacing(loopback)
    client, victim = loopback.client(), loopback.client()
    sessions.victim = victim.peer
    # Both are ready in one batch of events, the victim behind.
    client.actor.sock.send(NONSENSE)
    victim.actor.sock.send(wording.encode("Sync"))
    assert loopback.relay.select(0) == []
    assert victim.peer.is_closed
    assert sessions.far is not None
    sessions.far.send(b"x")
    ((key, events),) = loopback.relay.select(0)
    assert (key.data, events) == ("new", selectors.EVENT_READ)
    loopback.relay.unregister(sessions.fd)
    os.close(sessions.fd)
    sessions.far.close()


@pytest.fixture
def high() -> Iterator[int]:
    """The number of a descriptor beyond those that there is room for at first."""
    number = 3000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= number:
        pytest.skip("this process may not have as many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number + 1), hard))
    yield number
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_descriptors_than_there_was_room_for(loopback: Loopback, high: int) -> None:
    first, second = socket.socketpair()
    os.dup2(second.fileno(), high)
    second.close()
    with first, socket.socket(fileno=high) as same:
        client = loopback.client()
        loopback.relay.register(same, selectors.EVENT_READ, "high")
        first.send(b"x")
        assert [key.data for key, _ in loopback.relay.select(0)] == ["high"]
        loopback.relay.unregister(same)
        client.sends("Sync")
        client.gets("Ready I")


def test_the_time_is_that_of_the_last_look(loopback: Loopback) -> None:
    loopback.poller.now = 0.0
    client = loopback.client()
    assert client.peer.connected_at == client.peer.last_active == 0.0
    client.sends("Sync")
    assert client.peer.last_active > 0.0


def test_relayed_work_that_interrupts_lets_asyncio_have_its_turn(loopback: Loopback) -> None:
    """Though none of its descriptors is ready."""

    class Interrupting(Sessions):
        def violated(self, client: Client, kind: int) -> bytes:
            loopback.poller.interrupted = True
            return super().violated(client, kind)

    loopback.sessions = Interrupting()
    client = loopback.client()
    client.actor.sock.send(NONSENSE)
    assert loopback.relay.select(None) == []  # or it would wait for ever
    client.gets("Fatal 08P01")


def polled() -> set[int]:
    """The descriptors of this process that are epoll sets or timers."""
    mine = descriptors(os.getpid())
    return {fd for fd, target in mine.items() if target.startswith("anon_inode:")}


def test_it_is_closed_once() -> None:
    before = polled()
    poller = Poller()
    mine = polled() - before
    assert len(mine) == 2
    poller.close()
    poller.close()
    assert not mine & polled()


def test_who_is_watched_lives(loopback: Loopback) -> None:
    actor, end = connect("far")
    Client(
        *(loopback.poller, end.fd, loopback.pool, loopback.sessions, 7),
        settings=PLAIN,
        parameters=PARAMETERS,
    ).start(b"")
    gc.collect()
    actor.sock.send(wording.encode("Sync"))
    loopback.settle()
    actor.receive()
    assert actor.inbox == wording.encode("Ready I")
    actor.close()
    loopback.settle()
    assert [client.process_id for client, _ in loopback.sessions.ended] == [7]
