"""``forebay stop`` as users run it, for a real ``forebay serve`` with clients."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.harness import (
    Forebay,
    Postgres,
    TestDatabase,
    descriptors,
    start_command,
)
from tests.integration.commanding import socket_of, status

pytestmark = pytest.mark.usefixtures("runtime")
Start = Callable[..., Forebay]


def test_it_waits_for_clients_and_tells_how_many_are_left(forebay: Forebay, runtime: Path) -> None:
    path = socket_of(forebay, runtime)
    with psycopg.connect(forebay.dsn()) as client:
        client.execute("SELECT 1")
        stopping = start_command("stop", "--config", str(forebay.config))
        assert stopping.stdout is not None
        assert stopping.stdout.readline() == f"Stopping Forebay (process {forebay.pid})\n"
        assert stopping.stdout.readline() == "1 client left\n"
        found = status(forebay, code=1)
        assert found["state"] == "draining"
        assert found["problems"] == ["it is stopping: it takes no more clients"]
        done = forebay.command("reload")
        assert (done.code, "it is stopping" in done.err) == (1, True)
        assert stopping.poll() is None
        client.commit()
    pid = forebay.pid
    out, err = stopping.communicate(timeout=60)
    assert (stopping.returncode, err) == (0, "")
    assert out.endswith(f"Forebay (process {pid}) has ended\n")
    assert not descriptors.is_running(pid)
    assert not path.exists()
    assert forebay.wait() == 0


def test_it_goes_on_when_the_command_is_killed(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as client:
        client.execute("SELECT 1")
        stopping = start_command("stop", "--config", str(forebay.config))
        assert stopping.stdout is not None
        stopping.stdout.readline()
        assert stopping.stdout.readline() == "1 client left\n"
        stopping.kill()
        stopping.communicate()
        assert status(forebay, code=1)["state"] == "draining"
        client.commit()
    assert forebay.wait() == 0


def test_at_once(forebay: Forebay) -> None:
    with psycopg.connect(forebay.dsn()) as client:
        client.execute("SELECT 1")
        first = start_command("stop", "--config", str(forebay.config))
        assert first.stdout is not None
        first.stdout.readline()
        assert first.stdout.readline() == "1 client left\n"
        done = forebay.command("stop", "--now").ok()
        assert done.out.endswith(" has ended\n")
        with pytest.raises(psycopg.errors.AdminShutdown):
            client.execute("SELECT 1")
    out, _ = first.communicate(timeout=60)
    assert (first.returncode, out.endswith(" has ended\n")) == (0, True)
    assert forebay.wait() == 0


def test_at_once_from_the_start(forebay: Forebay) -> None:
    client = psycopg.connect(forebay.dsn())
    client.execute("SELECT 1")
    forebay.command("stop", "--now").ok()
    client.close()
    assert forebay.wait() == 0


def test_a_worker_that_had_to_be_killed(
    start_forebay: Start, postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, node={"drain_timeout": 0})
    (worker,) = forebay.worker_pids
    os.kill(worker, signal.SIGSTOP)
    done = forebay.command("stop")
    assert done.code == 1
    assert done.err == (
        f"forebay stop: Forebay (process {forebay.pid}) has ended, but its worker had to be"
        " killed: see its log\n"
    )
    assert forebay.wait() == 1
