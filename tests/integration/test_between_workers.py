"""Clients that come while no worker serves wait for the next one."""

import contextlib
import os
import signal
import socket
import threading
from pathlib import Path

import psycopg2
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.work import in_threads

CLIENTS = 60


def logs_in(forebay: Forebay, sslmode: str) -> None:
    """A client of libpq that waits for a while, and asks something."""
    dsn = forebay.dsn(sslmode=sslmode, connect_timeout="25", gssencmode="disable")
    with contextlib.closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 7")
        assert cursor.fetchone() == (7,)


@pytest.mark.parametrize("sslmode", ["disable", "verify-full"])
def test_clients_that_no_worker_has_taken_wait(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, sslmode: str
) -> None:
    """The worker is stopped, so that it takes nobody, and then killed."""
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, pool=connections(5)
    )
    logs_in(forebay, sslmode)
    (worker,) = forebay.worker_pids
    os.kill(worker, signal.SIGSTOP)
    begun = threading.Barrier(CLIENTS + 1)

    def work(number: int) -> None:
        if number == CLIENTS:
            begun.wait(30)
            eventually(lambda: waiting_in_kernel(forebay.port) >= CLIENTS, "all have connected")
            os.kill(worker, signal.SIGKILL)
            return
        begun.wait(30)
        logs_in(forebay, sslmode)

    in_threads(CLIENTS + 1, work)
    forebay.wait_for_log("Another worker serves")


def test_they_wait_for_the_one_after_next_too(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """The worker's replacement dies before it serves."""
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, pool=connections(5)
    )
    (worker,) = forebay.worker_pids
    os.kill(worker, signal.SIGSTOP)

    def work(number: int) -> None:
        if number < CLIENTS:
            logs_in(forebay, "disable")
            return
        eventually(lambda: waiting_in_kernel(forebay.port) >= CLIENTS, "all have connected")
        os.kill(worker, signal.SIGKILL)
        (another,) = eventually(
            lambda: [pid for pid in forebay.worker_pids if pid != worker], "another worker"
        )
        os.kill(another, signal.SIGSTOP)
        took_some = waiting_in_kernel(forebay.port) < CLIENTS
        os.kill(another, signal.SIGCONT if took_some else signal.SIGKILL)

    in_threads(CLIENTS + 1, work)


def test_they_wait_for_the_first_one(
    tmp_path: Path, postgres: Postgres, database: TestDatabase
) -> None:
    """From the moment in which the port can be connected to."""
    forebay = Forebay(
        tmp_path / "forebay",
        postgres.port,
        database,
        proxy={"require_tls": False},
        pool=connections(5),
    )

    def work(number: int) -> None:
        if number == 0:
            with forebay:
                ended.wait(60)
            return
        try:
            eventually(lambda: can_connect(forebay.port), "the port is there", timeout_s=30)
            logs_in(forebay, "disable")
        finally:
            ended.set()

    ended = threading.Event()
    in_threads(2, work)


def can_connect(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def waiting_in_kernel(port: int) -> int:
    """Connections to the port that nobody has accepted yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    return sum(int(row[4].split(":")[1], 16) for row in listening)
