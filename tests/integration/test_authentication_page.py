"""What docs/authentication.md tells to type, typed word by word; only the ports differ."""

import os
import re
import subprocess
import sys
from pathlib import Path

from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import clean_environment, free_port
from tests.harness.clients import client
from tests.integration.test_readme import FOREBAY, MAIN, STOP, write_program

PAGE = Path(__file__).parents[2] / "docs" / "authentication.md"
CALL = "\nprint('it is ' + handler({}, None))\n"


def blocks() -> list[tuple[str, str]]:
    """The code blocks under "Set it up", with their language."""
    section = re.search(r"^### Set it up\n(.*?)^### ", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert section
    return re.findall(r"^```(\w*)\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)


def test_what_the_page_tells_to_type(tmp_path: Path, postgres: Postgres) -> None:
    port, psql = free_port(), client("psql")
    forebay = FOREBAY.format(python=sys.executable, main=MAIN, port=port)
    write_program(tmp_path / "venv/bin/forebay", forebay)
    (tmp_path / "stop").write_text(STOP)
    environ = clean_environment() | {
        "PATH": f"{psql.parent}:{os.environ['PATH']}",
        "FOREBAY_LOG_FORMAT": "human",
    }
    function = environ | {
        "RDS_PROXY_HOST": "localhost",
        "RDS_PROXY_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "AKIAFOREBAYDEV000001",
        "AWS_SECRET_ACCESS_KEY": "not-for-production-8b1f0a77c2d94e53",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    user = f"app_user_{port}"  # roles belong to the server that others' tests use
    postgres.create_user(user, "app-secret")

    def as_here(text: str) -> str:
        text = text.replace("localhost:5432", f"localhost:{postgres.port}")
        return text.replace("app_user", user).replace("6432", str(port))

    said = ""
    try:
        for language, text in blocks():
            if language == "toml":
                (tmp_path / "forebay.toml").write_text(as_here(text))
                continue
            program = [sys.executable, "-c"] if language == "python" else ["sh", "-eu", "-c"]
            done = subprocess.run(
                [*program, as_here(text) + (CALL if language == "python" else "")],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                cwd=tmp_path,
                env=function if language == "python" else environ,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
    finally:
        if (tmp_path / "node").exists():
            subprocess.run(["sh", "stop"], cwd=tmp_path, timeout=60)
        postgres.sql(f'DROP ROLE "{user}"')
    assert "would work" in said
    assert f" {user}\n(1 row)" in said
    assert f"it is {user}" in said
    assert "FAILED" not in said
    assert "every user here" not in said
