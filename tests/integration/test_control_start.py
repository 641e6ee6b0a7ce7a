"""Commands for a node that has not started yet, and a node that can have no control socket."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.embedded.surroundings import clean_environment
from tests.harness import Forebay, Postgres, TestDatabase, descriptors, eventually, run_command

CONFIG = """
[proxies.app]
listen = "127.0.0.1:0"
[[proxies.app.auth]]
secret = "file:app.json"
[proxies.app.target]
hosts = ["127.0.0.1:1"]
"""
RUN = "\nimport sys; from forebay.cli import main; sys.exit(main())"
# A worker that takes no configuration: the node waits for it.
SILENT_WORKER = """
import sys
from forebay.node.node import Node
worker = (sys.executable, "-c", "import time; time.sleep(600)")
Node.__init__.__kwdefaults__["worker_command"] = worker
"""
NO_PLACE = """
from forebay.control import listener
listener.places = lambda environ: [listener.Place(listener.Path("/nowhere/forebay"), 0o700)]
"""


def test_one_that_is_starting_can_be_asked_and_stopped(tmp_path: Path, runtime: Path) -> None:
    (tmp_path / "forebay.toml").write_text(CONFIG)
    (tmp_path / "app.json").write_text('{"username": "app", "password": "hunter2"}')
    (tmp_path / "app.json").chmod(0o600)
    with subprocess.Popen(
        [sys.executable, "-c", SILENT_WORKER + RUN, "serve", str(tmp_path / "forebay.toml")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
        start_new_session=True,
    ) as process:
        try:
            eventually(lambda: list(runtime.glob("forebay/node-*.sock")), "its control socket")
            done = run_command("status", "--json")
            assert done.code == 1
            found = json.loads(done.out)
            assert (found["state"], found["pid"]) == ("starting", process.pid)
            assert found["problems"] == ["it is starting, and does not serve yet"]
            worker: int = found["worker"]["pid"]
            done = run_command("stop").ok()
            assert done.out.endswith(f"Forebay (process {process.pid}) has ended\n")
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    eventually(lambda: not descriptors.is_running(worker), "the worker is gone, too")
    assert "Traceback" not in log
    assert list(runtime.glob("forebay/*")) == []


@pytest.mark.usefixtures("runtime")
def test_where_no_socket_can_be_had_it_serves_without(
    start_forebay: Callable[..., Forebay],
    postgres: Postgres,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tests.harness.forebay.MAIN", NO_PLACE + RUN)
        forebay = start_forebay(postgres.port, database)
    text = (
        "No commands reach this node, for it has no control socket: /nowhere/forebay: can't be made"
    )
    assert forebay.logged(re.escape(text))
    forebay.psql("SELECT 1").ok()
    assert forebay.command("status").code == 1
    forebay.write(node={"control_socket": "/nowhere/control"})
    done = run_command("serve", str(forebay.config))
    assert done.code == 1
    told = "forebay serve: node.control_socket: /nowhere/control: No such file or directory\n"
    assert done.err.endswith(told)
