"""``forebay check`` against a real PostgreSQL."""

import json
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import run
from forebay.demo.postgres import Postgres
from tests.harness import TestDatabase

CONFIG = """
[proxies.app]
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
) -> str:
    (folder / "app.json").write_text(
        json.dumps({"username": database.user, "password": database.password})
    )
    (folder / "app.json").chmod(0o600)
    text = CONFIG.format(
        port=server.port, database=database.name, target=target, init_query=init_query
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
