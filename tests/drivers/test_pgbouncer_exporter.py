"""The exporter that people run before PgBouncer scrapes the admin database without an error.

It is taken from where PGBOUNCER_EXPORTER says, or from the PATH, else it is built once by Go.
"""

import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from forebay.embedded.surroundings import free_port
from tests.drivers.foreign.toolchains import BUILD, FETCH_TIMEOUT_S, need, one_at_a_time, run
from tests.harness import Forebay, Postgres, TestDatabase, eventually

MODULE = "github.com/prometheus-community/pgbouncer_exporter@latest"


@pytest.fixture
def exporter() -> str:
    """The program."""
    found = os.environ.get("PGBOUNCER_EXPORTER") or shutil.which("pgbouncer_exporter")
    if found:
        return found
    need("go")
    program = BUILD / "pgbouncer_exporter"
    with one_at_a_time("pgbouncer_exporter"):
        if not program.exists():
            places = {"GOBIN": str(BUILD), "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
            command = ["go", "install", MODULE]
            if said := run(command, Path("/"), FETCH_TIMEOUT_S, GOTOOLCHAIN="local", **places):
                pytest.skip(f"the registry does not give {MODULE}: {said}")
    return str(program)


def scraped(port: int) -> str:
    """What Prometheus would get; empty while the exporter is not there yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.URLError:
        return ""


def test_it_scrapes_without_an_error(
    exporter: str,
    start_forebay: type[Forebay],
    postgres: Postgres,
    database: TestDatabase,
    tmp_path: Path,
) -> None:
    forebay = start_forebay(
        postgres.port, database, users={"stats": "s"}, proxy={"stats_users": ["stats"]}
    )
    dsn = f"postgres://stats:s@127.0.0.1:{forebay.port}/pgbouncer?sslmode=require"
    port = free_port()
    command = [exporter, f"--web.listen-address=127.0.0.1:{port}"]
    with (
        psycopg.connect(forebay.dsn(application_name='sh"op')) as client,
        (tmp_path / "log").open("w+") as log,
    ):
        client.execute("SELECT 1")  # behind a BEGIN, and its transaction stays open
        process = subprocess.Popen(
            [*command, f"--pgBouncer.connectionString={dsn}"], stdout=log, stderr=log
        )
        try:
            text = eventually(lambda: scraped(port), "the exporter answers")
        finally:
            process.terminate()
            process.wait(30)
        log.seek(0)
        said = log.read()
    assert "pgbouncer_up 1" in text, said
    problems = [line for line in said.splitlines() if "level=INFO" not in line]
    assert not problems
    assert not re.search("error|disappeared", said)
    place = f'database="{database.name}",user="{database.user}"'
    for line in (
        f"pgbouncer_pools_client_active_connections{{{place}}} 1",
        f"pgbouncer_pools_server_active_connections{{{place}}} 1",
        "pgbouncer_used_clients 1",
        "pgbouncer_config_max_client_connections 10000",
        'pgbouncer_version_info{version="Forebay 0.1.0"} 1',
        f'pgbouncer_stats_totals_queries_pooled_total{{database="{database.name}"}} 2',
    ):
        assert line in text, text
    assert 'pgbouncer_client_connections{{application_name="sh\\"op",database=' in text
