"""TLS handshake steps in threads that know nothing of Python."""

import gc
import select
import ssl
import weakref

import pytest

from forebay.net.tls import self_signed_certificate, server_context
from forebay.relay.handshakes import Handshakes
from forebay.relay.openssl import available
from tests.playbooks.actors import client_side

pytestmark = pytest.mark.skipif(
    not available(), reason="OpenSSL cannot be reached below this Python's ssl module"
)
SERVER = server_context(*self_signed_certificate())
WAIT_MS = 60_000


def threads(count: int = 1) -> "Handshakes[object]":
    return Handshakes(count)


class Ends:
    """A server's end, whose steps are taken in threads, and a client's."""

    def __init__(self) -> None:
        self.server_in, self.server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client_in, self.client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = SERVER.wrap_bio(self.server_in, self.server_out, server_side=True)
        self.client = client_side().wrap_bio(self.client_in, self.client_out)

    def client_steps(self) -> bool:
        """The client goes on; whether it is done."""
        self.client_in.write(self.server_out.read())
        try:
            self.client.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.server_in.write(self.client_out.read())
        return True


def results(handshakes: "Handshakes[object]", count: int) -> list[tuple[object, bool, str | None]]:
    """What so many steps have come to."""
    found: list[tuple[object, bool, str | None]] = []
    poll = select.poll()
    poll.register(handshakes.fileno(), select.POLLIN)
    while len(found) < count:
        assert poll.poll(WAIT_MS), "no step is taken"
        found += handshakes.collect()
    return found


def test_a_whole_handshake() -> None:
    handshakes, ends = threads(), Ends()
    assert not ends.client_steps()
    handshakes.take_step(ends.server, "first")
    assert results(handshakes, 1) == [("first", False, None)]
    assert ends.client_steps()
    handshakes.take_step(ends.server, "second")
    assert results(handshakes, 1) == [("second", True, None)]
    ends.client.write(b"hello")
    ends.server_in.write(ends.client_out.read())
    assert ends.server.read() == b"hello"


def test_many_at_once_are_all_taken() -> None:
    handshakes = threads(2)
    all_of_them = [Ends() for _ in range(50)]
    for done in (False, True):
        for number, ends in enumerate(all_of_them):
            assert ends.client_steps() is done
            handshakes.take_step(ends.server, number)
        taken = results(handshakes, len(all_of_them))
        assert sorted(taken, key=str) == sorted(
            [(number, done, None) for number in range(len(all_of_them))], key=str
        )


def test_one_that_fails_says_why() -> None:
    handshakes, ends = threads(), Ends()
    ends.server_in.write(b"GET / HTTP/1.0\r\n\r\n")
    handshakes.take_step(ends.server, "it")
    assert results(handshakes, 1) == [("it", False, "http request")]


def test_one_that_fails_costs_no_other() -> None:
    handshakes, bad, good = threads(), Ends(), Ends()
    bad.server_in.write(b"\x80" * 99)
    good.client_steps()
    handshakes.take_step(bad.server, "bad")
    handshakes.take_step(good.server, "good")
    outcomes = {waiter: (done, reason) for waiter, done, reason in results(handshakes, 2)}
    assert outcomes["good"] == (False, None)
    assert outcomes["bad"][1] is not None


def test_nothing_is_there_to_collect_before_a_step() -> None:
    handshakes = threads()
    assert handshakes.collect() == []
    poll = select.poll()
    poll.register(handshakes.fileno(), select.POLLIN)
    assert poll.poll(0) == []


def test_each_gets_the_results_of_its_own_steps() -> None:
    one, two = threads(), threads()
    ends = Ends(), Ends()
    for handshakes, end in zip((one, two), ends, strict=True):
        end.client_steps()
        handshakes.take_step(end.server, handshakes)
    assert [waiter for waiter, _, _ in results(one, 1)] == [one]
    assert [waiter for waiter, _, _ in results(two, 1)] == [two]


class Waiter:
    pass


def test_what_was_collected_is_let_go() -> None:
    handshakes, ends, waiter = threads(), Ends(), Waiter()
    here = weakref.ref(waiter)
    handshakes.take_step(ends.server, waiter)
    del waiter
    gc.collect()
    assert here() is not None, "it is still to be told"
    results(handshakes, 1)
    gc.collect()
    assert here() is None


def test_one_that_goes_waits_for_its_steps() -> None:
    handshakes, ends, waiter = threads(), [Ends() for _ in range(20)], Waiter()
    here = weakref.ref(waiter)
    for each in ends:
        each.client_steps()
        handshakes.take_step(each.server, waiter)
    del handshakes, waiter
    gc.collect()
    assert here() is None
    assert all(each.server_out.pending for each in ends)
