"""pgbench through Forebay: every protocol, pipelines, many clients, and clients that are killed."""

import contextlib
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.embedded.surroundings import clean_environment
from tests.harness import Forebay, Postgres, TestDatabase, eventually, pgbench
from tests.harness.clients import client
from tests.harness.limits import connections
from tests.harness.observer import Observer

CONSISTENT = """SELECT
    (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT coalesce(sum(delta), 0) FROM history),
    (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT coalesce(sum(delta), 0) FROM history),
    (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT coalesce(sum(delta), 0) FROM history)
""".replace("history", "pgbench_history")
PIPELINE = """
\\set aid random(1, 1000)
\\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (1, 1, :aid, 1);
UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = 1 + :client_id % 10;
UPDATE pgbench_branches SET bbalance = bbalance + 1;
COMMIT;
SELECT 1;
\\endpipeline
"""


def start(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, count: int
) -> Forebay:
    """A Forebay with so many connections, and pgbench's tables."""
    forebay = start_forebay(postgres.port, database, pool=connections(count))
    url = postgres.url(database.user, database.password, database.name)
    pgbench(url, "-i", "-s1", "-q", "--unlogged-tables").ok()
    return forebay


def assert_consistent(forebay: Forebay) -> None:
    assert forebay.psql(CONSISTENT).ok().rows == [("t", "t", "t")]


def test_initialising_through_forebay(forebay: Forebay) -> None:
    forebay.pgbench("-i", "-s1", "-q", "--foreign-keys").ok()
    assert forebay.psql("SELECT count(*) FROM pgbench_accounts").ok().out == "100000\n"


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_protocols(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, protocol: str
) -> None:
    forebay = start(start_forebay, postgres, database, 8)
    finished = forebay.pgbench("-M", protocol, "-n", "-c24", "-j2", "-t20").ok()
    assert finished.transactions == 20 * 24
    finished = forebay.pgbench("-M", protocol, "-n", "-S", "-c24", "-j2", "-t40").ok()
    assert finished.transactions == 40 * 24
    assert_consistent(forebay)


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_a_connection_for_every_transaction(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase, protocol: str
) -> None:
    forebay = start(start_forebay, postgres, database, 4)
    # A thread each: pgbench waits for the answer to PQprepare, and its other clients with it.
    finished = forebay.pgbench("-C", "-M", protocol, "-n", "-c8", "-j8", "-t8").ok()
    assert finished.transactions == 64
    assert_consistent(forebay)


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
def test_two_hundred_clients_over_twenty_connections(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    seen: Observer,
    protocol: str,
) -> None:
    forebay = start(start_forebay, postgres, database, 20)
    finished = forebay.pgbench("-M", protocol, "-n", "-c200", "-j2", "-t4").ok()
    assert finished.transactions == 800
    assert len(seen.backends()) <= 20
    assert_consistent(forebay)


@pytest.mark.parametrize("protocol", ["extended", "prepared"])
def test_pipelines(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    tmp_path: Path,
    protocol: str,
) -> None:
    forebay = start(start_forebay, postgres, database, 6)
    script = tmp_path / "pipeline.sql"
    script.write_text(PIPELINE)
    finished = forebay.pgbench("-M", protocol, "-n", "-f", str(script), "-c18", "-t20").ok()
    assert finished.transactions == 20 * 18
    assert_consistent(forebay)


def test_the_book_balances_after_a_third_of_the_clients_was_killed(
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    seen: Observer,
    tmp_path: Path,
) -> None:
    forebay = start(start_forebay, postgres, database, 10)
    script = tmp_path / "pipeline.sql"
    script.write_text(PIPELINE)
    kinds = [
        ["-M", "simple"],
        ["-M", "extended"],
        ["-M", "prepared"],
        ["-M", "extended", "-f", str(script)],
        ["-M", "prepared", "-f", str(script)],
        ["-C"],
    ]
    commands = [
        [client("pgbench"), "-n", "-c4", "-j4", "-t40", *kinds[number % 6], forebay.dsn()]
        for number in range(12)
    ]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_started(command)) for command in commands]
        doomed: list[subprocess.Popen[str]] = []
        for number in range(len(processes) // 3):
            # Each dies somewhere in the middle of the run.
            eventually(
                lambda least=40 * (number + 1): (
                    seen.value("SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle'")
                    and _transactions(forebay) >= least
                ),
                "the run is under way",
                timeout_s=60,
            )
            running = [p for p in processes if p not in doomed and p.poll() is None]
            doomed.append(random.choice(running))
            doomed[-1].send_signal(signal.SIGKILL)
        for process in processes:
            out, _ = process.communicate(timeout=90)
            if process not in doomed:
                assert process.returncode == 0, out
                assert "number of transactions actually processed: 160/160" in out
    seen.wait_until_quiet()
    assert_consistent(forebay)


@contextlib.contextmanager
def _started(command: list[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """A program that is killed in the end, should it still run."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=clean_environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _transactions(forebay: Forebay) -> int:
    return int(forebay.psql("SELECT count(*) FROM pgbench_history").ok().out)
