"""Health over HTTP, from a program as users start it."""

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from forebay.embedded.postgres import Postgres
from tests.harness import Forebay, TestDatabase
from tests.harness.waiting import eventually

MAIN = "import sys; from forebay.cli import main; sys.exit(main())"
TOKEN = "0123456789abcdef"
CONFIG = """
[node]
{node}
[proxies.app]
listen = "127.0.0.1:0"
[[proxies.app.auth]]
secret = "env:SECRET"
[proxies.app.target]
hosts = ["127.0.0.1:1"]
"""


def get(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_of_a_whole_life(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database)
    forebay.wait_for_log("The page is at http://127.0.0.1:")
    assert get(f"{forebay.page}/healthz") == (200, "ok\n")
    eventually(lambda: get(f"{forebay.page}/readyz") == (200, "ok\n"), "it is ready")
    with psycopg.connect(forebay.dsn()) as client:
        client.execute("SELECT 1")  # a transaction, which the drain waits for
        forebay.signal(signal.SIGTERM)
        eventually(
            lambda: (
                get(f"{forebay.page}/readyz") == (503, "it is stopping: it takes no more clients\n")
            ),
            "it is not ready",
        )
        assert get(f"{forebay.page}/healthz") == (200, "ok\n")
    assert forebay.wait() == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(f"{forebay.page}/healthz")


def test_no_page_at_all(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database, node={"control_listen": ""})
    assert forebay.logged("The page is at") == []
    assert forebay.psql("SELECT 1").out.strip() == "1"


def test_with_a_token(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    token = {"control_token": "env:FOREBAY_TOKEN"}
    forebay = start_forebay(postgres.port, database, node=token, environ={"FOREBAY_TOKEN": TOKEN})
    assert get(f"{forebay.page}/healthz")[0] == 200
    assert get(f"{forebay.page}/absent")[0] == 401
    assert get(f"{forebay.page}/absent", Authorization=f"Bearer {TOKEN}x")[0] == 401
    assert get(f"{forebay.page}/absent", Authorization=f"Bearer {TOKEN}")[0] == 404
    assert TOKEN not in forebay.text


def serve(folder: Path, node: str) -> tuple[int, str]:
    """Of a serve that is to end by itself."""
    path = folder / "forebay.toml"
    path.write_text(CONFIG.format(node=node))
    finished = subprocess.run(
        [sys.executable, "-c", MAIN, "serve", str(path)],
        env={"SECRET": '{"username": "u", "password": "p"}', "SHORT": "hunter2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return finished.returncode, finished.stderr


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = serve(tmp_path, f'control_listen = "{address}"')
    assert code == 1
    assert f"forebay serve: node.control_listen: can't listen on {address}: " in said
    assert 'set it to another address, or to "" for none' in said


def test_a_token_that_is_none(tmp_path: Path) -> None:
    code, said = serve(tmp_path, 'control_listen = "127.0.0.1:0"\ncontrol_token = "env:SHORT"')
    assert code == 1
    assert "forebay serve: node.control_token: env:SHORT: holds 7 characters" in said
    assert "hunter2" not in said


def test_another_machines_address_needs_a_token(tmp_path: Path) -> None:
    code, said = serve(tmp_path, 'control_listen = "0.0.0.0:0"')
    assert code == 2
    assert "node.control_listen: 0.0.0.0:0 can be reached from other machines" in said
