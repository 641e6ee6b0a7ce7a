"""OpenSSL beneath Python's ssl module: connections share their BIOs, where that can be done."""

import ssl
import subprocess
import sys

import pytest

from forebay.relay import openssl
from forebay.relay.handshakes import Handshakes
from tests.playbooks import wording
from tests.unit.relay.loopback import FarClient, Loopback

RESULT = "Result, Ready I"
needs_openssl = pytest.mark.skipif(
    not openssl.available(), reason="OpenSSL cannot be reached below this Python's ssl module"
)
# Where the library that Python's own module is linked with is not known: all works all the same.
WITHOUT_IT = """
import _ssl
del _ssl.__file__
from forebay.relay import openssl
from forebay.relay.handshakes import Handshakes
from tests.unit.relay.loopback import Loopback
assert not openssl.available()
try:
    Handshakes(1)
except RuntimeError as error:
    assert "cannot be reached" in str(error)
else:
    raise AssertionError("there are threads")
with Loopback() as loopback:
    database = loopback.database(tls=True)
    for client in (loopback.client(tls=True), loopback.client(tls=True)):
        client.asks("Query 'SELECT 1'", database, "Result, Ready I")
print("all works")
"""


def test_records_of_two_connections_do_not_mix(loopback: Loopback) -> None:
    """What has come of one is not left where the other's is read."""
    database = loopback.database()
    one, two = loopback.client(tls=True), loopback.client(tls=True)
    record = one.actor.wrap(wording.encode("Query 'SELECT 1'"))
    one.actor.sock.send(record[:10])
    one.settle()
    two.asks("Query 'SELECT 2'", database, RESULT)
    one.actor.sock.send(record[10:])
    database.answers("Query 'SELECT 1'", RESULT)
    one.gets(RESULT)


def test_what_one_cannot_read_is_not_left_for_another(loopback: Loopback) -> None:
    database = loopback.database()
    broken, client = loopback.client(tls=True), loopback.client(tls=True)
    record = broken.actor.wrap(wording.encode("Query 'SELECT 1'"))
    spoilt = record[:-1] + bytes((record[-1] ^ 1,))
    broken.actor.sock.send(spoilt + record)
    assert broken.is_let_go
    client.asks("Query 'SELECT 2'", database, RESULT)
    database.gets("")


def test_what_leaves_is_the_connections_own(loopback: Loopback) -> None:
    database = loopback.database(tls=True)
    clients: list[FarClient] = [loopback.client(tls=True) for _ in range(5)]
    for number, client in enumerate(clients):
        client.asks(f"Query 'SELECT {number}'", database, f"DataRow {number}, Ready I")


def test_who_had_received_something_already_keeps_its_own(loopback: Loopback) -> None:
    """What lies in its BIOs would be lost."""
    client = loopback.client(tls=True, pending=wording.encode("Sync"))
    client.sends("Sync")
    client.gets("Ready I, Ready I")


@needs_openssl
def test_only_connections_of_pythons_ssl_module_are_taken() -> None:
    handshakes: Handshakes[None] = Handshakes(1)
    for other in (object(), ssl.MemoryBIO(), b"x" * 100):
        with pytest.raises(TypeError, match="not a TLS connection"):
            handshakes.take_step(other, None)  # type: ignore[arg-type]


def test_all_works_without_it() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_IT], capture_output=True, text=True, check=False
    )
    assert run.stdout == "all works\n", run.stderr
