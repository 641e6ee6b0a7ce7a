"""Types what a page of the documentation tells to type, word by word; only places differ.

Blocks of code in a section are taken in their order: configurations are written (`forebay.toml`,
or the file that the line before names), SQL goes to the database's superuser, lines for pg_hba.conf
into that file, Python and shell are run. What says ``forebay serve`` runs in the background.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from forebay.embedded.postgres import Postgres
from forebay.embedded.surroundings import clean_environment, free_port
from tests.harness.clients import client
from tests.harness.login_server import configure_hba

# Serves in the background, where a reader has another terminal; the one before ends first.
_FOREBAY = """#!/bin/sh
export FOREBAY_LISTEN=127.0.0.1:{port}  # instead of 6432
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
_MAIN = "from forebay.cli import main; main()"
_STOP = "kill $(cat node); while kill -0 $(cat node) 2>/dev/null; do sleep 0.1; done; rm node\n"
_BLOCK = re.compile(r"(?:^`([\w./-]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SERVE = "venv/bin/forebay serve forebay.toml"
TIMEOUT_S = 60.0


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next heading of whatever level."""
    pattern = rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)"
    found = re.search(pattern, page.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"{page.name} has no section {heading!r}"
    return found[1]


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """The file that is named before it ("": none), language and text of each block of code."""
    for found in _BLOCK.finditer(text):
        yield found[1] or "", found[2], found[3]


class Typist:
    """Somebody who reads, in a directory of their own, and types. ``said`` is all output so far.

    ``places``: what stands on the page, and what it is here. `port` is where Forebay listens.
    """

    def __init__(
        self,
        directory: Path,
        postgres: Postgres,
        *,
        places: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.said = ""
        self._postgres = postgres
        self._places = {
            **(places or {}),
            "localhost:5432": f"localhost:{postgres.port}",
            "6432": str(self.port),
        }
        psql = client("psql")
        self._environ = clean_environment() | {
            "PATH": f"{psql.parent}:{os.environ['PATH']}",
            "FOREBAY_LOG_FORMAT": "human",
            **(environ or {}),
        }
        self._is_serving = True  # nothing was written that would have to be served

    def __enter__(self) -> "Typist":
        program = self.directory / "venv/bin/forebay"
        program.parent.mkdir(parents=True)
        program.write_text(_FOREBAY.format(python=sys.executable, main=_MAIN, port=self.port))
        program.chmod(0o755)
        (self.directory / "stop").write_text(_STOP)
        return self

    def __exit__(self, *_: object) -> None:
        if (self.directory / "node").exists():
            subprocess.run(["sh", "stop"], cwd=self.directory, timeout=TIMEOUT_S)

    @property
    def log(self) -> str:
        """What the Forebay that was started last has said."""
        return (self.directory / "served").read_text()

    def wait_for_log(self, text: str) -> None:
        """Until it has said so: what it says is written by a thread of its own."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.log:
            assert time.monotonic() < deadline, f"{text!r} is not in:\n{self.log}"
            time.sleep(0.02)

    def as_here(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def type(self, text: str) -> str:
        """All blocks of this text; what was said."""
        before = len(self.said)
        for name, language, block in blocks(text):
            self._type_block(name, language, self.as_here(block))
        return self.said[before:]

    def _type_block(self, name: str, language: str, text: str) -> None:
        if language == "toml" or name:
            (self.directory / (name or "forebay.toml")).write_text(text)
            self._is_serving = self._is_serving and language != "toml"
        elif language == "sql":
            self._postgres.sql(text)
        elif language == "conf":
            configure_hba(self._postgres, *text.splitlines())
        elif language in ("python", ""):
            if ("psql" in text or "psycopg2.connect" in text) and not self._is_serving:
                self.shell(_SERVE)
            if language == "python":
                self.python(text)
            else:
                self.shell(text)

    def shell(self, text: str) -> None:
        """A block for the shell."""
        self._is_serving = self._is_serving or "forebay serve" in text
        self.run(["sh", "-eu", "-c", text])

    def python(self, text: str, **environ: str) -> None:
        """A block for Python, with more variables in its environment."""
        self.run([sys.executable, "-c", text], **environ)

    def run(self, command: list[str], **environ: str) -> None:
        """Runs it to its end; it has to succeed."""
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=self.directory,
            env=self._environ | environ,
        )
        log = self.log if (self.directory / "served").exists() else ""
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}\n{log}"
        self.said += done.stdout
