"""``forebay check`` against a real PostgreSQL."""

import json
import os
import signal
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import run
from forebay.embedded.certificates import Authority
from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import free_port
from tests.harness import Forebay, TestDatabase, descriptors, eventually

CONFIG = """
[proxies.app]
listen = "{listen}"
[[proxies.app.auth]]
secret = "file:app.json"
[proxies.app.target]
hosts = ["127.0.0.1:{port}"]
database = "{database}"
{target}
[proxies.app.pool]
max_connections_percent = 50
init_query = "{init_query}"
"""


def write(
    folder: Path,
    server: Postgres,
    database: TestDatabase,
    *,
    target: str = "",
    init_query: str = "",
    listen: str = "127.0.0.1:0",
) -> str:
    (folder / "app.json").write_text(
        json.dumps({"username": database.user, "password": database.password})
    )
    (folder / "app.json").chmod(0o600)
    text = CONFIG.format(
        port=server.port,
        database=database.name,
        target=target,
        init_query=init_query,
        listen=listen,
    )
    (folder / "forebay.toml").write_text(text)
    return str(folder / "forebay.toml")


def check(path: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = run(["check", path, "--json"])
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, report


def test_what_works(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, postgres, database, init_query="SET work_mem = '8MB'")
    code, report = check(path, capsys)
    assert (code, report["ok"]) == (0, True)
    (user,) = report["proxies"][0]["users"]
    facts = user["facts"]
    assert user["limit"] == (facts["max_connections"] - facts["reserved"]) // 2
    assert facts["asks_password"] is True
    assert facts["is_superuser"] is False
    assert run(["check", path]) == 0
    text = capsys.readouterr().out
    assert f'ok       user "{database.user}" logs in: PostgreSQL' in text
    assert f"{user['limit']} database connections" in text


def test_functions_that_are_not_there(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(write(tmp_path, postgres, database))
    functions = ", ".join(
        f'{name} = "SETTING"'
        for name in ("nextval", "'pg_catalog.now'", "'pg_temp.now'", "'\"Now\"'", "no_such")
    )
    listed = f"[proxies.app]\nsession_functions = {{{functions}}}"
    path.write_text(path.read_text().replace("[proxies.app]", listed))
    code, report = check(str(path), capsys)
    assert code == 0
    (said,) = (each for each in report["proxies"][0]["warnings"] if "session_functions" in each)
    assert 'lists: pg_temp.now, "Now", no_such (' in said
    assert database.name in said


def test_what_fails(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, postgres, database, init_query="SELECT no_such_column")
    code, report = check(path, capsys)
    assert (code, report["ok"]) == (1, False)
    assert "init_query fails: column" in report["proxies"][0]["users"][0]["error"]
    wrong = json.dumps({"username": database.user, "password": "hunter2"})
    (tmp_path / "app.json").write_text(wrong)
    code, report = check(path, capsys)
    error = report["proxies"][0]["users"][0]["error"]
    assert code == 1
    assert "password authentication failed" in error
    assert "28P01" in error


def test_encryption(
    tmp_path: Path,
    tls_postgres: Postgres,
    tls_database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = f'sslmode = "verify-full"\nsslrootcert = "{tls_postgres.ca_file}"'
    code, report = check(write(tmp_path, tls_postgres, tls_database, target=target), capsys)
    assert code == 0
    assert report["proxies"][0]["users"][0]["facts"]["tls"].startswith("TLSv1.")


def test_an_address_that_cannot_be_had(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        path = write(tmp_path, postgres, database, listen=address)
        code, report = check(path, capsys)
        assert (code, report["ok"]) == (1, False)
        (problem,) = report["proxies"][0]["problems"]
        assert problem.startswith(f"can't listen on {address}: Address already in use")
        assert report["proxies"][0]["users"][0]["error"] is None  # the rest is tried all the same
        assert run(["check", path]) == 1
        assert f"  FAILED   {problem}" in capsys.readouterr().out
    code, report = check(path, capsys)
    assert (code, report["proxies"][0]["problems"]) == (0, [])


def test_a_unix_socket_is_tried_and_not_touched(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listen = f"{tmp_path}/absent:6432"
    _, report = check(write(tmp_path, postgres, database, listen=listen), capsys)
    assert "No such file or directory" in report["proxies"][0]["problems"][0]
    path = write(tmp_path, postgres, database, listen=f"{tmp_path}:6432")
    before = set(tmp_path.iterdir())
    code, report = check(path, capsys)
    assert (code, report["proxies"][0]["problems"]) == (0, [])
    assert set(tmp_path.iterdir()) == before


def test_an_address_that_a_forebay_has(
    forebay: Forebay,
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is checked what a reload, or the next start, will find: no failure."""
    path = write(tmp_path, postgres, database, listen=f"127.0.0.1:{forebay.port}")
    code, report = check(path, capsys)
    (proxy,) = report["proxies"]
    assert (code, proxy["problems"]) == (0, [])
    (warning,) = (each for each in proxy["warnings"] if "in use" in each)
    assert any(f"(pid {pid})" in warning for pid in forebay.pids)


def test_an_address_that_a_worker_without_a_node_has(
    forebay: Forebay,
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path, postgres, database, listen=f"127.0.0.1:{forebay.port}")
    (worker,) = forebay.worker_pids
    forebay.stop(signal.SIGKILL)
    try:
        code, report = check(path, capsys)
        (problem,) = report["proxies"][0]["problems"]
        assert code == 1
        assert f"(kill {worker} lets it finish)" in problem
    finally:
        os.kill(worker, signal.SIGTERM)
    eventually(lambda: not descriptors.is_running(worker), "it finishes")
    code, report = check(path, capsys)
    assert (code, report["proxies"][0]["problems"]) == (0, [])


def test_a_certificate_that_is_not_valid(
    tmp_path: Path,
    postgres: Postgres,
    database: TestDatabase,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path(write(tmp_path, postgres, database))
    own = 'tls_certificate = "server.crt"\ntls_private_key = "server.key"'
    path.write_text(path.read_text().replace("[proxies.app]", f"[proxies.app]\n{own}", 1))
    for days, words in ((-30, "the TLS certificate expired on"), (30, "is not valid before")):
        authority = Authority(moved_by=timedelta(days=days))
        certificate, key = authority.issue()
        (tmp_path / "server.crt").write_bytes(certificate + authority.certificate_pem)
        (tmp_path / "server.key").write_bytes(key)
        (tmp_path / "server.key").chmod(0o600)
        code, report = check(str(path), capsys)
        (proxy,) = report["proxies"]
        assert (code, len(proxy["problems"])) == (1, 2)  # its own dates and its authority's
        assert words in proxy["problems"][0]
        assert '"CN=Forebay test authority" in the TLS chain' in proxy["problems"][1]
        assert not [each for each in proxy["warnings"] if "TLS c" in each]


LOOP = """
[proxies.{name}]
listen = "{listen}"
[[proxies.{name}.auth]]
secret = "file:app.json"
[proxies.{name}.target]
hosts = ["{target}"]
connect_timeout = 1
"""


def test_proxies_that_lead_to_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.json").write_text(json.dumps({"username": "u", "password": "p"}))
    path = tmp_path / "forebay.toml"

    def problems(*proxies: tuple[str, str, str]) -> dict[str, list[str]]:
        named = (dict(zip(("name", "listen", "target"), each, strict=True)) for each in proxies)
        path.write_text("".join(LOOP.format(**each) for each in named))
        code, report = check(str(path), capsys)
        assert code == 1
        return {each["name"]: each["problems"] for each in report["proxies"]}

    port, other = free_port(), free_port()
    found = problems(("a", f"127.0.0.1:{port}", f"localhost:{port}"))
    assert f"its target localhost:{port} is its own address" in found["a"][0]
    found = problems(("a", f"*:{port}", f"0x7f000001:{port}"))
    assert "is its own address" in found["a"][0]
    found = problems(
        ("a", f"127.0.0.1:{port}", f"localhost:{other}"),
        ("b", f"127.0.0.1:{other}", f"127.0.0.1:{port}"),
    )
    assert "leads back to it, through proxies.b" in found["a"][0]
    assert "leads back to it, through proxies.a" in found["b"][0]
    found = problems(("a", f"127.0.0.1:{port}", f"127.0.0.1:{other}"))
    assert found == {"a": []}
