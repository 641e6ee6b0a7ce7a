"""``forebay status`` and ``reload`` as users run them, for a real ``forebay serve``."""

import json
import os
import re
import signal
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.harness import (
    Finished,
    Forebay,
    TestDatabase,
    run_command,
    start_command,
)
from tests.integration.commanding import socket_of, status

pytestmark = pytest.mark.usefixtures("runtime")
Start = Callable[..., Forebay]


UNREACHABLE = 1  # a port on which nobody listens


def said(done: Finished) -> list[str]:
    """The lines of a reload, but for warnings of the rig's certificates."""
    return [line for line in done.out.splitlines() if not line.startswith("Warning: ")]


class TestStatus:
    def test_one_that_serves(self, forebay: Forebay, runtime: Path) -> None:
        with psycopg.connect(forebay.dsn()) as client:
            client.execute("SELECT 1")  # its transaction is open
            found = status(forebay)
            done = forebay.command("status").ok()
        path = socket_of(forebay, runtime)
        assert (found["ok"], found["problems"], found["state"]) == (True, [], "serving")
        assert (found["pid"], found["control_socket"]) == (forebay.pid, str(path))
        assert found["configuration"] == str(forebay.config.resolve())
        assert [found["worker"]["pid"]] == forebay.worker_pids
        (proxy,) = found["proxies"]
        assert proxy["listen"] == [f"127.0.0.1:{forebay.port}"]
        assert proxy["client_connections"] == 1
        assert proxy["database_connections_borrowed"] == 1
        assert proxy["max_database_connections_allowed"] > 1
        assert "of max_connections" in proxy["limit"]
        assert done.out.startswith("Forebay ")
        assert done.out.endswith("\nIt serves.\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_without_a_database(self, start_forebay: Start, database: TestDatabase) -> None:
        forebay = start_forebay(UNREACHABLE, database)
        done = forebay.command("status")
        assert done.code == 1
        assert done.out.endswith(
            "It does not serve: proxies.app: no database connection has been opened yet: clients"
            " wait until one can be\n"
        )

    def test_with_a_worker_that_does_not_answer(self, forebay: Forebay) -> None:
        (worker,) = forebay.worker_pids
        os.kill(worker, signal.SIGSTOP)
        try:
            found = status(forebay, code=1)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert found["problems"] == ["the worker did not answer within 5 s"]
        assert found["proxies"][0]["client_connections"] is None
        assert status(forebay)["ok"]

    def test_with_a_worker_that_had_died(self, forebay: Forebay) -> None:
        (worker,) = forebay.worker_pids
        os.kill(worker, signal.SIGKILL)
        forebay.wait_for_log("Another worker serves")
        forebay.psql("SELECT 1").ok()
        found = status(forebay)
        assert found["worker_restarts"] == 1
        assert found["worker"]["pid"] != worker

    def test_where_none_runs(self, runtime: Path, tmp_path: Path) -> None:
        done = run_command("status")
        assert done.code == 1
        assert done.err.startswith("forebay status: no Forebay was found in ")
        assert f"{runtime}/forebay" in done.err
        path = tmp_path / "c"
        done = run_command("status", "--socket", os.path.relpath(path))
        assert (done.code, done.out) == (1, "")
        assert "there is no such socket" in done.err


class TestReload:
    def test_what_has_changed_and_what_waits(self, forebay: Forebay) -> None:
        before = forebay._sections["node"]["control_listen"]
        forebay.write(pool={"max_connections_percent": 50}, node={"control_listen": "127.0.0.1:1"})
        done = forebay.command("reload").ok()
        assert said(done) == [
            f'node.control_listen can\'t change while running; it stays "{before}" until a restart',
            "Changed: proxies.app.pool.max_connections_percent: 100 → 50",
            "Changed: proxies.app.pool.max_idle_connections_percent: 50 → 25",
            "Reloaded",
        ]
        for line in said(done):
            assert forebay.logged(re.escape(json.dumps(line, ensure_ascii=False)[1:-1]))
        assert status(forebay)["reload"]["ok"] is True

    def test_why_nothing_has(self, forebay: Forebay) -> None:
        forebay.write(pool={"max_connections_percent": 500, "max_idle_time": 0})
        done = forebay.command("reload")
        assert (done.code, done.out) == (1, "")
        first, *problems = done.err.splitlines()
        assert first == "forebay reload: Not reloaded: the configuration before stays in force"
        assert len(problems) == 2
        for problem in problems:
            assert str(forebay.config) in problem
            assert forebay.logged(re.escape(json.dumps(problem.strip())[1:-1]))
        found = status(forebay)
        assert found["ok"]
        assert [each.strip() for each in problems] == found["reload"]["problems"]
        forebay.config.write_text("not TOML")
        done = forebay.command("reload")
        assert done.code == 1
        assert "is not TOML" in done.err

    def test_under_load_nobody_notices(self, forebay: Forebay) -> None:
        with ExitStack() as stack:
            clients = [
                stack.enter_context(psycopg.connect(forebay.dsn(), autocommit=True))
                for _ in range(8)
            ]
            for number in range(6):
                percent = (40, 400, 60, 0, 80, 90)[number]
                forebay.write(pool={"max_connections_percent": percent})
                reloading = start_command("reload", "--config", str(forebay.config))
                answered = 0
                while reloading.poll() is None or not answered:
                    for client in clients:
                        row = client.execute("SELECT %s::int", (answered,)).fetchone()
                        assert row == (answered,)
                    answered += 1
                out, err = reloading.communicate()
                is_good = 0 < percent <= 100
                assert reloading.returncode == (not is_good), out + err
                assert ("Reloaded" in out) == is_good
        assert status(forebay)["reload"]["changed"][0].endswith("80 → 90")

    def test_many_at_once(self, forebay: Forebay) -> None:
        commands = [start_command("reload", "--config", str(forebay.config)) for _ in range(5)]
        for each in commands:
            out, err = each.communicate(timeout=60)
            done = Finished(each.returncode, out, err).ok()
            assert said(done) == ["Nothing has changed", "Reloaded"]
