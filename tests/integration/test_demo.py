"""``forebay demo`` as its users run it."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.embedded.surroundings import free_port
from tests.harness import descriptors, eventually, psql
from tests.harness.clients import Finished, run

MAIN = "from forebay.cli import main; main()"
TIMEOUT_S = 100.0


def demo(*options: str) -> Finished:
    """Runs the demo to its end."""
    return run(Path(sys.executable), ["-c", MAIN, "demo", *options], timeout_s=TIMEOUT_S)


def leftovers(directory: Path) -> list[str]:
    """What lies in the temporary directory that a demo was given."""
    return [entry.name for entry in directory.iterdir() if entry.name.startswith("forebay")]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory in which the demo makes its own; as /tmp is: short, and open to all."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def test_300_clients_share_45_connections(temporary: Path) -> None:
    finished = demo("--act", "pooling", "--json", "--seconds", "2", "--port", "0")
    result = json.loads(finished.out)  # exactly one object
    assert result["port"] > 0
    assert finished.code == 0, finished
    assert result["clients"] == 300
    assert result["database_connection_limit"] == 45
    assert result["direct_refused"] > 200
    assert result["refused"] == result["failed_transactions"] == 0
    assert 0 < result["database_connections_peak"] <= 40
    assert result["transactions"] > 300
    assert result["latency_ms_p99"] >= result["latency_ms_p50"] > 0
    assert result["wait_ms_p99"] >= result["wait_ms_p50"] >= 0
    assert result["direct_latency_us_p50"] > 0
    assert result["books_balance"]
    assert leftovers(temporary) == []


def test_clients_stay_while_the_writer_is_killed(temporary: Path) -> None:
    finished = demo("--act", "failover", "--json", "--port", "0")
    told = json.loads(finished.out)
    assert finished.code == 0, finished
    assert told["port"] > 0
    result = told["failover"]
    assert result["clients"] == 300
    direct, forebay = result["direct"], result["forebay"]
    for part in (direct, forebay):
        assert part["unconnected"] == 0
        assert part["writes"] > 0
        assert part["writes_lost"] == part["writes_twice"] == part["writes_phantom"] == 0
        assert part["seconds_without_a_write"] > 0
        assert part["writer_away_s"] > 0
    assert direct["idle_clients_dropped"] == result["idle_clients"] == 100
    assert direct["statements_failed"] > 0
    assert forebay["idle_clients_dropped"] == 0
    states = [each.split()[0] for each in forebay["states"]]
    epochs = [int(each.split()[1]) for each in forebay["states"]]
    assert "HOLD" in states
    assert (states[0], states[-1]) == ("UP", "UP")
    assert epochs == sorted(epochs)
    assert epochs[-1] > epochs[0]
    # Who had a connection lent when it died, at most; all others wait.
    assert forebay["statements_failed"] <= 39 < direct["statements_failed"]
    assert forebay["clients_dropped"] <= 39 < direct["clients_dropped"]
    assert direct["connections_made_anew"] > 0
    for part in (direct, forebay):
        assert part["client_wait_s_max"] >= part["client_wait_s_median"] > 0
    assert finished.err == ""  # what Forebay logs of it would break the view
    assert leftovers(temporary) == []


def test_both_acts_fit_a_terminals_lines(temporary: Path) -> None:
    finished = demo("--seconds", "1", "--port", "0")
    assert finished.code == 0, finished
    for title in ("clients refused", "idle clients dropped", "export DATABASE_URL"):
        assert finished.out.count(title) == 1
    for title in ("More clients than", "The server that writes dies ━"):
        assert finished.err.count(title) == 1
    assert "the writer is killed" in finished.err
    assert "the standby is promoted" in finished.err
    assert all(len(line) <= 80 for line in finished.err.splitlines())


@pytest.mark.parametrize(
    ("act", "number", "table"),
    [
        ("pooling", signal.SIGINT, "orders"),
        ("pooling", signal.SIGTERM, "orders"),
        ("failover", signal.SIGTERM, "writes"),
    ],
)
def test_it_stays_until_it_is_told_to_go(
    temporary: Path, act: str, number: signal.Signals, table: str
) -> None:
    port = free_port()
    options = ["--act", act, "--keep", "--seconds", "1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "What goes on is to be seen at " not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        url = said.split("'")[1]
        assert f"127.0.0.1:{port}/" in url
        assert ("clients refused" in said) == (act == "pooling")
        count = psql(url, f"SELECT count(*) > 0 FROM {table}").ok()
        assert count.rows == [("t",)]
        page = said.rpartition("What goes on is to be seen at ")[2].strip()
        with urllib.request.urlopen(f"{page}readyz", timeout=30) as answer:
            assert answer.read() == b"ok\n"
        process.send_signal(number)
        assert process.wait(60) == 0
        assert leftovers(temporary) == []
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not descriptors.available(), reason="looks for processes in /proc")
def test_killed_it_leaves_nothing_either(temporary: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            MAIN,
            "demo",
            "--act",
            "pooling",
            "--keep",
            "--seconds",
            "1",
            "--port",
            str(free_port()),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        while b"DATABASE_URL" not in process.stdout.readline():
            assert process.poll() is None
        family = [pid for pid in descriptors.family(process.pid) if pid != process.pid]
        assert len(family) > 2  # its worker, its database, what watches over that
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: not any(descriptors.is_running(pid) for pid in family), "all are gone")
    eventually(lambda: leftovers(temporary) == [], "its directory is gone")


def test_interrupted_early_it_leaves_nothing(temporary: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "demo", "--port", str(free_port())],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        eventually(lambda: leftovers(temporary), "its directory is there")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
        assert b"Traceback" not in said
        assert leftovers(temporary) == []
    finally:
        process.kill()
        process.wait()


def test_a_port_in_use_is_one_clear_line(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = demo("--port", str(taken.getsockname()[1]))
    assert finished.code == 1
    assert finished.out == ""
    assert "choose another with --port" in finished.err
    assert len(finished.err.splitlines()) == 1


def test_two_at_once_find_two_ports(temporary: Path) -> None:
    """Both find the usual port free, if it is, for neither listens before its database has run."""
    options = ["--act", "pooling", "--json", "--seconds", "1"]
    command = [sys.executable, "-c", MAIN, "demo", *options]
    with contextlib.ExitStack() as stack:
        both = []
        for _ in range(2):
            demo = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
            stack.enter_context(demo)
            stack.callback(demo.kill)
            both.append(demo)
        answers = [each.communicate(timeout=TIMEOUT_S) for each in both]
    ports = [json.loads(out)["port"] if out else said for out, said in answers]
    assert all(isinstance(port, int) and port > 0 for port in ports), ports
    assert len(set(ports)) == 2


def test_no_postgresql_is_one_clear_line(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_POSTGRES_BIN", str(temporary))
    finished = demo("--port", str(free_port()))
    assert finished.code == 1
    assert "holds no PostgreSQL" in finished.err
    assert len(finished.err.splitlines()) == 1
