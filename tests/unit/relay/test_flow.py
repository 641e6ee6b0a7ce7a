"""Much data, slow receivers and many at once: memory stays bounded, and everything flows on."""

import contextlib
import os
import random
import resource
import socket
import subprocess
import sys

import pytest

from forebay.protocol import messages
from forebay.relay.openssl import available
from tests.playbooks import wording
from tests.playbooks.agenda import Gate
from tests.playbooks.rig import Rig

ONE = wording.encode("Query 'SELECT 1'")
RESULT = wording.encode("Result, Ready I")
BUFFER_BYTES = 16384
# What one peer may hold and queue: what one read can bring, a message held back, and some slack.
PEER_BYTES = 512 * 1024
LOGINS = 9000
TLS_CLIENTS = 150
ROW = wording.encode("DataRow x 100000")
STACK_KBYTES = 1024


def stuff(rig: Rig, name: str, data: bytes, budget: int) -> int:
    """Send as much of `data` (again and again) as is taken, at most `budget` bytes in all."""
    sent = 0
    sock = rig.actors[name].sock
    for _ in range(10 * budget // len(data) + 100):
        if sent >= budget:
            break
        at = sent % len(data)
        try:
            sent += sock.send(data[at:])
        except BlockingIOError:
            rig.settle()
            try:
                sent += sock.send(data[sent % len(data) :])
            except BlockingIOError:
                break
        rig.settle()
    return sent


def pump(rig: Rig, source: str, sink: str, total: int) -> tuple[int, int]:
    """Move `total` bytes of what `source` sends to `sink`; what arrived, and the most queued."""
    block = random.Random(4).randbytes(65536)
    sent, arrived, most = 0, 0, 0
    near = {**rig.clients, **rig.servers}
    sockets = rig.actors[source].sock, rig.actors[sink].sock
    while arrived < total:
        try:
            at = sent % len(block)
            sent += sockets[0].send(block[at : at + total - sent]) if sent < total else 0
        except BlockingIOError:
            pass
        rig.settle()
        most = max(most, *(each.queued_bytes + each.held_bytes for each in near.values()))
        try:
            data = sockets[1].recv(40000)
        except BlockingIOError:
            continue
        expected = bytearray()
        while len(expected) < len(data):
            at = (arrived + len(expected)) % len(block)
            expected += block[at : at + len(data) - len(expected)]
        assert data == expected
        arrived += len(data)
    return arrived, most


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
class TestBackPressure:
    def test_a_client_that_does_not_read(self, tls: bool) -> None:
        with Rig(buffer_bytes=BUFFER_BYTES) as rig:
            rig.client("a", tls=tls)
            rig.send("a", ONE)
            row = wording.encode("DataRow x 30000")
            sent = stuff(rig, "db1", row, 50 << 20)
            assert sent < 4 << 20, "the database connection is read though the client reads nothing"
            queued = rig.clients["a"].queued_bytes + rig.servers["db1"].held_bytes
            assert queued < PEER_BYTES
            # Another client is served meanwhile.
            rig.client("b")
            rig.send("b", ONE)
            rig.send("db2", RESULT)
            assert rig.received("b") == RESULT
            rig.actors["b"].inbox = b""
            # It begins to read: everything comes.
            received = 0
            for _ in range(100_000):
                received += len(rig.received("a"))
                rig.actors["a"].inbox = b""
                rig.settle()
                if received >= sent:
                    break
            assert received == sent
            rig.leave("a")

    def test_a_database_that_does_not_read(self, tls: bool) -> None:
        with Rig(buffer_bytes=BUFFER_BYTES, database_tls=tls) as rig:
            rig.client("a")
            rig.send("a", wording.encode("Query 'COPY t FROM STDIN'"))
            rig.send("db1", wording.encode("CopyInResponse"))
            assert rig.received("db1")
            rig.actors["db1"].inbox = b""
            data = wording.encode("CopyData x 30000")
            sent = stuff(rig, "a", data, 50 << 20)
            assert sent < 4 << 20, "the client is read though the database reads nothing"
            assert rig.servers["db1"].queued_bytes + rig.clients["a"].held_bytes < PEER_BYTES
            received = 0
            for _ in range(100_000):
                received += len(rig.received("db1"))
                rig.actors["db1"].inbox = b""
                rig.settle()
                if received >= sent:
                    break
            assert received == sent
            rig.leave("a")


class TestStreaming:
    @pytest.mark.parametrize(("source", "sink"), [("db1", "a"), ("a", "db1")])
    def test_one_message_of_50_megabytes(self, source: str, sink: str) -> None:
        total = 50 << 20
        with Rig() as rig:
            rig.client("a")
            rig.send("a", wording.encode("Query 'COPY'"))
            direction = "In" if source == "a" else "Out"
            rig.send("db1", wording.encode(f"Copy{direction}Response"))
            for name in ("a", "db1"):
                assert rig.received(name)
                rig.actors[name].inbox = b""
            header = b"d" + (total + 4).to_bytes(4, "big")
            rig.send(source, header)
            assert rig.received(sink) == header
            arrived, most = pump(rig, source, sink, total)
            assert arrived == total
            assert most < PEER_BYTES
            if source == "a":
                rig.send("a", wording.encode("CopyDone"))
            rig.send("db1", wording.encode("CommandComplete 'COPY 1', Ready I"))
            assert rig.servers["db1"] in rig.servers["db1"].pool.idle

    def test_a_long_query_and_a_long_row(self) -> None:
        with Rig() as rig:
            rig.client("a")
            text = wording.encode(f"Query 'SELECT \"{'x' * 300_000}\"'")
            rig.send("a", text)
            assert rig.received("db1") == text
            row = wording.encode("DataRow y 300000, CommandComplete 'SELECT 1', Ready I")
            rig.send("db1", row)
            assert rig.received("a") == row


def narrow(fd: int) -> None:
    """Let the kernel take little at a time of what the relay sends to this socket."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
class TestTheEndOfALogin:
    OK = messages.authentication_ok()

    def test_it_leaves_with_the_greeting(self, tls: bool) -> None:
        with Rig() as rig:
            rig.client("a", tls=tls, unsent=self.OK)
            received = rig.received("a")
            assert received.startswith(self.OK + b"S")
            assert received.endswith(wording.encode("Ready I"))
            rig.actors["a"].inbox = b""

    def test_it_does_not_wait_for_a_connection(self, tls: bool) -> None:
        with Rig() as rig:
            rig.opening = Gate()
            rig.client("a", tls=tls, known=False, unsent=self.OK)
            assert rig.received("a") == self.OK
            rig.actors["a"].inbox = b""
            rig.opening.open()
            rig.settle()
            assert rig.received("a").endswith(wording.encode("Ready I"))
            rig.actors["a"].inbox = b""


class TestSlowClientsHandOn:
    def test_a_connection_is_read_for_its_next_client(self) -> None:
        """Its last client had not taken all replies when it was handed on."""
        with Rig(limit=1) as rig:
            narrow(rig.client("slow").fd)
            rig.client("quick")
            rig.send("slow", ONE)
            result = wording.encode("DataRow x 100000, CommandComplete 'SELECT 1', Ready I")
            rig.send("db1", result)
            assert rig.clients["slow"].queued_bytes > 0
            rig.send("quick", ONE)
            rig.send("db1", RESULT)
            assert rig.received("quick") == RESULT
            assert rig.received("slow") == result

    def test_replies_of_two_connections_stay_in_order(self) -> None:
        with Rig() as rig:
            narrow(rig.client("slow").fd)
            rig.client("other")
            first = wording.encode("DataRow x 100000, CommandComplete 'SELECT 1', Ready I")
            rig.send("slow", ONE)
            rig.send("db1", first)
            assert rig.clients["slow"].queued_bytes > 0
            rig.send("other", ONE)  # takes db1
            rig.send("slow", ONE)
            rig.send("db2", RESULT)
            assert rig.received("slow") == first + RESULT


class TestFloods:
    def test_a_pipeline_far_longer_than_the_ledger_without_sync(self) -> None:
        """As executemany of some drivers: tens of thousands of executions, one Sync."""
        count = 40_000
        one = wording.encode("Bind, Execute")
        replies = wording.encode("BindComplete, CommandComplete 'INSERT 0 1'")
        with Rig() as rig:
            rig.client("a")
            rig.send("a", wording.encode("Parse '' 'INSERT'"))
            rig.send("db1", wording.encode("ParseComplete"))
            rig.actors["db1"].receive()
            rig.actors["db1"].inbox = b""
            out = memoryview(one * count + wording.encode("Sync"))
            answered = taken = 0
            for _ in range(100_000):
                with contextlib.suppress(BlockingIOError):
                    out = out[rig.actors["a"].sock.send(out[:65536]) :] if out else out
                rig.settle()
                taken += len(rig.received("db1"))
                rig.actors["db1"].inbox = b""
                # The database answers when it has read everything there is.
                due = min(count, taken // len(one)) - answered
                if due:
                    answered += due
                    rig.send("db1", replies * due)
                rig.received("a")
                rig.actors["a"].inbox = b""
                if not out and answered == count:
                    break
            assert answered == count, "the client is not read any more"
            rig.send("db1", wording.encode("Ready I"))
            assert rig.received("a").endswith(wording.encode("Ready I"))
            assert rig.servers["db1"] in rig.servers["db1"].pool.idle

    def test_many_clients_wait_for_the_first_connection(self) -> None:
        """Each is greeted and hands the connection on at once: that must not nest."""
        script = (
            "from tests.playbooks.rig import Rig\n"
            "from tests.playbooks.agenda import Gate\n"
            "with Rig(limit=1, queue=100000) as rig:\n"
            "    rig.opening = Gate()\n"
            f"    for number in range({LOGINS}):\n"
            "        rig.client(f'c{number}', known=False)\n"
            "    assert rig.manager.waiting == len(rig.clients)\n"
            "    rig.opening.open()\n"
            "    rig.settle()\n"
            "    assert all(client.greeted for client in rig.clients.values())\n"
            "    print('all greeted')\n"
        )
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 2 * LOGINS + 100:
            pytest.skip(f"needs {2 * LOGINS + 100} descriptors")
        ended = subprocess.run(
            ["sh", "-c", f'ulimit -s {STACK_KBYTES}; exec "$0" -c "$1"', sys.executable, script],
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (ended.returncode, ended.stdout) == (0, "all greeted\n"), ended.stderr


class TestSharedBuffersOfTLS:
    @pytest.mark.skipif(
        not available(), reason="OpenSSL cannot be reached beneath this Python's ssl"
    )
    def test_connections_do_not_keep_what_passed_through_them(self) -> None:
        """Hundreds of clients that each had a large result hold no more than before it."""
        script = (
            "from tests.playbooks import wording\n"
            "from tests.playbooks.rig import Rig\n"
            "def held_kb():\n"
            "    lines = open('/proc/self/status').read().splitlines()\n"
            "    return int(next(line for line in lines if 'RssAnon' in line).split()[1])\n"
            f"row, ready = {ROW!r}, {RESULT!r}\n"
            "with Rig(limit=1) as rig:\n"
            f"    names = [f'c{{n}}' for n in range({TLS_CLIENTS})]\n"
            "    for name in ['first', *names]:\n"
            "        rig.client(name, tls=True)\n"
            "    def ask(name):\n"
            f"        rig.send(name, {ONE!r})\n"
            "        for part in (row, row, row, ready):\n"
            "            rig.send('db1', part)\n"
            "        assert len(rig.received(name)) == 3 * len(row) + len(ready)\n"
            "        actor = rig.actors[name]\n"
            "        actor.inbox = b''\n"
            "        actor.tls = actor.incoming = actor.outgoing = None\n"  # these do keep it
            "    ask('first')\n"
            "    before = held_kb()\n"
            "    for name in names:\n"
            "        ask(name)\n"
            "    print(held_kb() - before)\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=100
        )
        assert ended.returncode == 0, ended.stderr
        assert int(ended.stdout) < TLS_CLIENTS * 16

    def test_a_broken_record_is_nobody_elses_business(self) -> None:
        with Rig() as rig:
            for name in ("good", "bad", "later"):
                rig.client(name, tls=True)
            # The beginning of a good record is on its way while another connection breaks.
            tls = rig.actors["good"].tls
            assert tls is not None
            tls.write(ONE)
            record = rig.actors["good"].outgoing.read()
            rig.actors["good"].sock.send(record[:10])
            rig.settle()
            broken = b"\x17\x03\x03\x00\x20" + bytes(32)
            rig.actors["bad"].sock.send(broken + record)
            rig.settle()
            assert rig.clients["bad"].is_closed
            rig.actors["good"].sock.send(record[10:])
            rig.settle()
            rig.send("db1", RESULT)
            assert rig.received("good") == RESULT
            rig.send("later", ONE)
            rig.send("db1", RESULT)
            assert rig.received("later") == RESULT
