"""What README tells to type under "Use it", typed word by word.

Only the ports differ, and what is installed there is installed already (test_packaging does that).
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import clean_environment, free_port
from tests.harness.clients import client

README = Path(__file__).parents[2] / "README.md"
INSTALLING = "venv/bin/pip install ."

# Serves in the background, where a reader has another terminal; the one before ends first.
FOREBAY = """#!/bin/sh
case $2 in postgresql://*) export FOREBAY_LISTEN=127.0.0.1:{port} ;; esac  # instead of 6432
if [ "$1" != serve ]; then exec "{python}" -c '{main}' "$@"; fi
[ ! -e node ] || sh stop
: >served  # before the loop below may read what the last one said
"{python}" -c '{main}' "$@" >>served 2>&1 &
echo $! >node
until grep -q 'Serving' served; do
    kill -0 $! || {{ cat served; exit 1; }}
    sleep 0.1
done
"""
MAIN = "from forebay.cli import main; main()"
STOP = "kill $(cat node); while kill -0 $(cat node) 2>/dev/null; do sleep 0.1; done; rm node\n"
# Becomes the database's superuser in its own way.
SU = """#!/bin/sh
[ "$*" = "postgres -c psql" ] || exit 1
export PGHOST={host} PGPORT={port} PGUSER={user} PGPASSWORD={password}
exec "{psql}" -X -v ON_ERROR_STOP=1 postgres
"""


def blocks() -> Iterator[tuple[str, str]]:
    """The code blocks under "Use it", with their language."""
    section = re.search(r"^## Use it\n(.*?)^## ", README.read_text(), re.DOTALL | re.MULTILINE)
    assert section
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE):
        yield found[1], found[2]


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate")
def test_what_readme_tells_to_type(tmp_path: Path, tls_postgres: Postgres) -> None:
    server, port, psql = tls_postgres, free_port(), client("psql")
    forebay = FOREBAY.format(python=sys.executable, main=MAIN, port=port)
    write_program(tmp_path / "venv/bin/forebay", forebay)
    su = SU.format(
        host=server.host,
        port=server.port,
        user=server.superuser,
        password=server.password,
        psql=psql,
    )
    write_program(tmp_path / "bin/su", su)
    (tmp_path / "stop").write_text(STOP)
    path = f"{tmp_path}/bin:{psql.parent}:{os.environ['PATH']}"
    environ = clean_environment() | {"PATH": path, "FOREBAY_LOG_FORMAT": "human"}

    def as_here(text: str) -> str:
        return text.replace("localhost:5432", f"localhost:{server.port}").replace("6432", str(port))

    said = ""
    try:
        for language, text in blocks():
            if language == "toml":
                (tmp_path / "forebay.toml").write_text(as_here(text))
            elif not language and INSTALLING not in text:
                if "export PGPASSWORD=app-secret\n" in text:
                    environ["PGPASSWORD"] = "app-secret"  # in that terminal from then on
                done = subprocess.run(
                    ["sh", "-eu", "-c", as_here(text)],
                    input="SELECT 'it is ' || current_user;\n",  # typed into psql
                    capture_output=True,
                    text=True,
                    timeout=60,
                    cwd=tmp_path,
                    env=environ,
                )
                assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
                said += done.stdout
    finally:
        if (tmp_path / "node").exists():
            subprocess.run(["sh", "stop"], cwd=tmp_path, timeout=60)
        server.sql("DROP DATABASE IF EXISTS pikaia WITH (FORCE); DROP ROLE IF EXISTS app_user")
    assert said.count("it is app_user") == 2
    assert said.count("would work") == 2
    assert "FAILED" not in said
    assert "every user here" not in said  # the key and the password are for their owner alone
