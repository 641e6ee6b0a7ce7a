"""The control socket of a real ``forebay serve``: whose it is, what is left, who may use it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from forebay.embedded.unprivileged import account
from tests.harness import (
    Forebay,
    Postgres,
    TestDatabase,
    descriptors,
    eventually,
    run_command,
)
from tests.integration.commanding import socket_of, status

pytestmark = pytest.mark.usefixtures("runtime")
Start = Callable[..., Forebay]


def connected(path: Path) -> socket.socket:
    """A connection to a socket whose queue may be full for the moment."""
    sock = socket.socket(socket.AF_UNIX)

    def connect() -> bool:
        try:
            sock.connect(str(path))
        except BlockingIOError:
            return False
        return True

    sock.settimeout(30)
    eventually(connect, "a place in the queue")
    return sock


class TestSeveral:
    def test_each_is_found_by_its_configuration(
        self, start_forebay: Start, postgres: Postgres, database: TestDatabase, runtime: Path
    ) -> None:
        one, two = (start_forebay(postgres.port, database) for _ in range(2))
        done = run_command("reload")
        assert (done.code, done.out) == (2, "")
        for each in (one, two):
            path = socket_of(each, runtime)
            assert (
                f"  --socket {path}: process {each.pid}, {each.config.resolve()}, on"
                f" 127.0.0.1:{each.port}\n"
            ) in done.err
            assert status(each)["pid"] == each.pid
            named = run_command("status", "--json", "--socket", str(path)).ok()
            assert json.loads(named.out)["pid"] == each.pid
        for environ in (
            {"FOREBAY_CONTROL_SOCKET": str(socket_of(two, runtime))},
            {"FOREBAY_CONFIG": str(two.config)},
        ):
            done = run_command("status", "--json", **environ).ok()
            assert json.loads(done.out)["pid"] == two.pid
        one.command("stop").ok()
        assert one.wait() == 0
        assert json.loads(run_command("status", "--json").ok().out)["pid"] == two.pid

    def test_two_cannot_have_one_socket(
        self, start_forebay: Start, postgres: Postgres, database: TestDatabase, runtime: Path
    ) -> None:
        path = runtime / "control"
        node = {"control_socket": str(path)}
        first = start_forebay(postgres.port, database, node=node)
        text = first.config.read_text().replace(f":{first.port}", ":0")
        other = first.directory / "other.toml"
        other.write_text(text)
        done = run_command("serve", str(other))
        assert done.code == 1
        assert done.err.endswith(
            f"forebay serve: node.control_socket: {path}: process {first.pid} listens there. If"
            f" that is a Forebay, forebay stop --socket {path} ends it; else set"
            " node.control_socket to another path\n"
        )
        assert status(first)["pid"] == first.pid


def test_one_that_cannot_start_leaves_none(forebay: Forebay, runtime: Path) -> None:
    done = run_command("serve", str(forebay.config))
    assert done.code == 1
    assert "can't listen on 127.0.0.1:" in done.err
    assert list((runtime / "forebay").iterdir()) == [socket_of(forebay, runtime)]


class TestTheSocket:
    def test_what_a_killed_node_left_is_replaced(
        self, start_forebay: Start, postgres: Postgres, database: TestDatabase, runtime: Path
    ) -> None:
        path = runtime / "control"
        forebay = start_forebay(postgres.port, database, node={"control_socket": str(path)})
        for pid in forebay.pids:  # the worker, too: it would keep the port
            os.kill(pid, signal.SIGKILL)
        assert forebay.wait() == -signal.SIGKILL
        done = run_command("status", "--socket", str(path))
        assert (done.code, "its node has ended without removing it" in done.err) == (1, True)
        assert f"{path}: left by a node that has ended" in forebay.command("status").err
        forebay.start()
        assert status(forebay)["pid"] == forebay.pid
        forebay.command("stop").ok()
        assert forebay.wait() == 0
        assert not path.exists()

    def test_none_at_all(
        self, start_forebay: Start, postgres: Postgres, database: TestDatabase, runtime: Path
    ) -> None:
        forebay = start_forebay(postgres.port, database, node={"control_socket": ""})
        assert list(runtime.rglob("*")) == []
        assert forebay.command("status").code == 1
        forebay.psql("SELECT 1").ok()

    def test_the_worker_does_not_have_it(self, forebay: Forebay, runtime: Path) -> None:
        path = str(socket_of(forebay, runtime))
        table = Path(f"/proc/{forebay.pid}/net/unix").read_text().splitlines()
        (inode,) = {line.split()[6] for line in table if line.endswith(f" {path}")}
        (worker,) = forebay.worker_pids
        assert f"socket:[{inode}]" in descriptors.descriptors(forebay.pid).values()
        assert f"socket:[{inode}]" not in descriptors.descriptors(worker).values()

    def test_whoever_comes_holds_up_nobody(self, forebay: Forebay, runtime: Path) -> None:
        path = socket_of(forebay, runtime)
        texts = [b"", b"\0\0\0\x20half", b"GET / HTTP/1.1\r\n\r\n", os.urandom(3000)]
        with ExitStack() as stack:
            for number in range(200):
                sock = stack.enter_context(connected(path))
                try:
                    sock.sendall(texts[number % len(texts)])
                except ConnectionError:
                    continue  # it had to make room for others
            forebay.psql("SELECT 1").ok()
            assert status(forebay)["ok"]
            forebay.command("reload").ok()
            forebay.signal(signal.SIGHUP)
            eventually(lambda: len(forebay.logged("Reloaded")) == 2, "a reload by a signal")
        assert status(forebay)["ok"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes someone else")
    @pytest.mark.parametrize("mode", [0o600, 0o666])
    def test_another_user_may_not(self, forebay: Forebay, runtime: Path, mode: int) -> None:
        """Neither by the socket's mode, nor, should somebody change that, by who it is."""
        path = socket_of(forebay, runtime)
        for each in (runtime, path.parent):
            each.chmod(0o755)
        path.chmod(mode)
        # Everything is imported before it becomes another, who may not read the programs.
        as_nobody = (
            "import os, sys, forebay.cli.stop, forebay.cli as cli; os.setgroups([]);"
            f"os.setgid({account().gid}); os.setuid({account().uid});"
            f"sys.exit(cli.run(['stop', '--now', '--socket', {str(path)!r}]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", as_nobody],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
        assert done.returncode == 1
        if mode == 0o600:
            assert done.stderr == f"forebay stop: {path}: permission denied: run this as root\n"
        else:
            assert "the node has closed the connection" in done.stderr or "reset" in done.stderr
            assert forebay.logged("A command of .* was refused")
        assert status(forebay)["ok"]

    def test_check_finds_what_would_keep_it_from_there(
        self, forebay: Forebay, runtime: Path
    ) -> None:
        forebay.write(node={"control_socket": f"{runtime}/no/control"})
        done = run_command("check", str(forebay.config))
        assert done.code == 1
        assert (
            f"FAILED   node.control_socket: {runtime}/no/control: there is no directory"
            f" {runtime}/no\n"
        ) in done.out
