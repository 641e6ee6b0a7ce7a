"""``forebay serve`` as a process: signals, Ctrl-C, the worker that outlives its node.

The real worker serves here, in front of a database that is down: only the processes matter.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.waiting import eventually

MAIN = "import sys; from forebay.cli import main; sys.exit(main())"


class Serve:
    """A running ``forebay serve`` whose log is JSON in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.write()
        (folder / "app.json").write_text('{"username": "app", "password": "hunter2"}')
        (folder / "app.json").chmod(0o600)
        kept = {name: text for name, text in os.environ.items() if not name.startswith("FOREBAY_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN, "serve", str(folder / "forebay.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=kept,
                start_new_session=True,
            )
        serving = self.wait_for("Serving")
        self.worker_pid: int = serving["worker_pid"]
        self.port = int(serving["listen"]["app"][0].rpartition(":")[2])

    def write(self, percent: int = 90) -> None:
        (self.folder / "forebay.toml").write_text(
            '[proxies.app]\nlisten = "127.0.0.1:0"\n[[proxies.app.auth]]\n'
            'secret = "file:app.json"\n[proxies.app.target]\nhosts = ["127.0.0.1:1"]\n'
            f"[proxies.app.pool]\nmax_connections_percent = {percent}\n"
        )

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip

    def wait_for(self, text: str) -> dict[str, Any]:
        def found() -> dict[str, Any]:
            assert self.process.poll() is None, self.log.read_text()
            return next((each for each in self.lines() if text in str(each["msg"])), {})

        return eventually(found, f"{text!r} in the log", timeout_s=60)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def worker_is_gone(self) -> bool:
        """A zombie counts: nobody may be there to reap what its node left behind."""
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(self.worker_pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        return not state or state.startswith("Z")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    serve = Serve(tmp_path)
    yield serve
    for pid in (serve.process.pid, serve.worker_pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    serve.process.wait()
    assert "hunter2" not in serve.log.read_text()
    assert "Traceback" not in serve.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(serve: Serve, number: signal.Signals) -> None:
    serve.process.send_signal(number)
    assert serve.process.wait(60) == 0
    assert serve.worker_is_gone()
    with pytest.raises(ConnectionRefusedError):
        serve.connect()


def test_ctrl_c_reaches_the_node_alone(serve: Serve) -> None:
    """A terminal signals the whole process group: the worker is in another one."""
    assert os.getpgid(serve.worker_pid) == serve.worker_pid
    os.killpg(os.getpgid(serve.process.pid), signal.SIGINT)
    assert serve.process.wait(60) == 0
    assert [each for each in serve.lines() if each["level"] == "error"] == []


def test_reload(serve: Serve) -> None:
    serve.write(percent=50)
    serve.process.send_signal(signal.SIGHUP)
    serve.wait_for("Changed: proxies.app.pool.max_connections_percent: 90 → 50")
    serve.wait_for("Reloaded")
    serve.write(percent=500)
    serve.process.send_signal(signal.SIGHUP)
    serve.wait_for("max_connections_percent: is 500")
    serve.wait_for("Not reloaded")
    serve.connect().close()


def test_the_worker_outlives_its_node(serve: Serve) -> None:
    serve.process.kill()
    serve.process.wait()
    with serve.connect() as client:  # an SSLRequest is answered: it serves
        client.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        assert client.recv(1) == b"S"
    os.kill(serve.worker_pid, signal.SIGTERM)
    eventually(serve.worker_is_gone, "the worker ends on SIGTERM", timeout_s=60)


def test_a_killed_worker_is_replaced(serve: Serve) -> None:
    os.kill(serve.worker_pid, signal.SIGKILL)
    serve.wait_for("was ended by signal 9; starting another")
    other = serve.wait_for("Another worker serves")
    pid = other["worker_pid"]
    assert isinstance(pid, int)
    serve.worker_pid = pid
    with serve.connect() as client:
        client.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        assert client.recv(1) == b"S"
