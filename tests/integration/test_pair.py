"""A writer and standbys that die, are promoted and come back: what tests of failovers stand on."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.embedded.errors import SetupError
from forebay.embedded.member import Member
from forebay.embedded.pair import Pair
from tests.harness import descriptors, eventually

NOBODY = "SELECT current_setting('synchronous_standby_names') = ''"
needs_proc = pytest.mark.skipif(not descriptors.available(), reason="looks for processes in /proc")


@pytest.fixture
def pair() -> Iterator[Pair]:
    with Pair() as servers:
        servers.writer.sql("CREATE TABLE kept (x int)")
        yield servers


def rows(server: Member) -> list[str | None]:
    return [row[0] for row in server.sql("SELECT x FROM kept ORDER BY x")]


def test_a_killed_writer_comes_back_as_a_standby(pair: Pair) -> None:
    first, second = pair.servers
    assert [each.in_recovery for each in pair.servers] == [False, True]
    assert pair.standbys == [second]
    first.sql("INSERT INTO kept VALUES (1)")
    first.kill()
    assert not first.is_running
    assert pair.promote() is second
    assert pair.writer is second
    assert rows(second) == ["1"]  # what was acknowledged is there: the pair is synchronous
    second.sql("INSERT INTO kept VALUES (2)")
    pair.rejoin(first)
    assert [each.in_recovery for each in pair.servers] == [True, False]
    assert [each.timeline for each in pair.servers] == [2, 2]
    second.sql("INSERT INTO kept VALUES (3)")
    eventually(lambda: rows(first) == ["1", "2", "3"], "it has been replicated")


def test_two_writers_at_once_and_what_one_of_them_loses(pair: Pair) -> None:
    first, second = pair.servers
    pair.promote()
    first.configure(synchronous_standby_names="")  # its commits would wait for the one it lost
    eventually(lambda: first.sql(NOBODY) == [("t",)])
    first.sql("INSERT INTO kept VALUES (1)")
    second.sql("INSERT INTO kept VALUES (2)")
    assert [each.in_recovery for each in pair.servers] == [False, False]
    assert [each.timeline for each in pair.servers] == [1, 2]
    pair.rejoin(first)
    eventually(lambda: rows(first) == ["2"], "what only it had is gone")


def test_a_standby_that_cannot_be_rewound_is_copied_anew(pair: Pair) -> None:
    standby = pair.standbys[0]
    standby.kill()
    (standby.home.data / "global" / "pg_control").unlink()
    pair.writer.configure(synchronous_standby_names="")
    pair.rejoin(standby)
    pair.writer.sql("INSERT INTO kept VALUES (1)")
    eventually(lambda: rows(standby) == ["1"])


def test_other_standbys_follow_the_new_writer() -> None:
    with Pair(standbys=2, synchronous=False) as pair:
        first, second, third = pair.servers
        first.stop()
        pair.promote(third)
        assert pair.standbys == [second]
        third.sql("CREATE TABLE kept AS SELECT 5 AS x")
        eventually(lambda: second.sql("SELECT to_regclass('kept') IS NOT NULL") == [("t",)])
        first.start()  # it still believes that it writes: nobody told it otherwise
        assert not first.in_recovery


@needs_proc
def test_frozen_it_accepts_connections_and_says_nothing(pair: Pair) -> None:
    server = pair.writer
    server.freeze()
    with socket.create_connection((server.host, server.port), timeout=20) as client:
        client.sendall(bytes.fromhex("0000000804d2162f"))  # SSLRequest
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        server.thaw()
        client.settimeout(20)
        assert client.recv(1) == b"N"
    server.freeze(backends=False)
    server.kill()
    with pytest.raises(SetupError, match="not running"):
        server.freeze()


@needs_proc
def test_nothing_is_left_when_its_owner_is_killed_while_it_is_frozen() -> None:
    script = (
        "import time; from forebay.embedded.guardian import children;"
        "from forebay.embedded.pair import Pair; pair = Pair().start();"
        "pids = [p for s in pair.servers for p in (s.pid, *children(s.pid))];"
        "pair.writer.freeze();"
        "print(*[s.directory for s in pair.servers], *pids, flush=True); time.sleep(1000)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    first, second, *pids = owner.stdout.readline().decode().split()
    assert len(pids) > 4
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    eventually(lambda: not any(Path(each).exists() for each in (first, second)), "no directory")
    eventually(lambda: not any(descriptors.is_running(int(pid)) for pid in pids), "no process")
