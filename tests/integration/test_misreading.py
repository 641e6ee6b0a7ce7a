"""On a Python that reads SQL wrongly Forebay does not serve: the real commands, on patterns that
were broken as the interpreter would break them."""

import subprocess
import sys
from pathlib import Path

import pytest

from forebay.embedded.surroundings import clean_environment, free_port
from tests.harness.forebay import MAIN

# Python imports it at its start, in each process that Forebay starts too.
BROKEN = """
import re
from forebay.sql import lexer
right = lexer._CONFORMING
lexer._CONFORMING = re.compile(right.pattern.replace(rb"--[^\\n\\r]*", rb"--"), right.flags)
"""
URL = "postgresql://someone:secret@127.0.0.1:{port}/db"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    port = str(free_port())
    return clean_environment() | {
        "PYTHONPATH": str(tmp_path),
        "FOREBAY_LISTEN": f"127.0.0.1:{port}",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", URL],
        ["check", URL],
        ["check", "--json", URL],
        ["explain", "SET a.b = 1"],
    ],
    ids=" ".join,
)
def test_it_refuses_and_names_the_way_out(arguments: list[str], environ: dict[str, str]) -> None:
    arguments = [each.format(port=free_port()) for each in arguments]
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environ,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"Python {version}" in said
    assert "reads SQL wrongly" in said
    assert "Python 3.11.5 or later" in said
    assert "Traceback" not in said
