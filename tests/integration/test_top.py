"""``forebay top`` on a pseudo-terminal, and without a terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from forebay.embedded.surroundings import clean_environment
from tests.harness import Forebay
from tests.harness.forebay import MAIN

pytestmark = pytest.mark.usefixtures("runtime")

TIMEOUT_S = 30.0
_STEERING = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()=>][A-Z0-9]?")


class Terminal:
    """A command on a terminal of 80 columns and 24 lines. ``said``: all that came, as it came."""

    def __init__(self, *arguments: str) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self._theirs)
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN, *arguments],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=clean_environment() | {"TERM": "xterm", "PYTHONWARNINGS": "default"},
            start_new_session=True,
        )

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, pattern: str) -> str:
        """What was said since the last time, up to where this is found in it."""
        deadline = time.monotonic() + TIMEOUT_S
        seen = ""
        while not re.search(pattern, _STEERING.sub("", seen)):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {seen[-3000:]!r}"
            if select.select([self._ours], [], [], left)[0]:
                seen += os.read(self._ours, 65_536).decode(errors="replace")
        self.said += seen
        return _STEERING.sub("", seen)

    def end(self) -> int:
        """Its exit code; the terminal is as it was."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            if select.select([self._ours], [], [], 0.02)[0]:
                self.said += os.read(self._ours, 65_536).decode(errors="replace")
        while select.select([self._ours], [], [], 0)[0]:
            self.said += os.read(self._ours, 65_536).decode(errors="replace")
        assert termios.tcgetattr(self._theirs) == self.before
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    found = Terminal(*arguments)
    try:
        yield found
    finally:
        found.close()


def shown(screen: Terminal) -> None:
    """The other screen was used, and left."""
    assert screen.said.count("\x1b[?1049h") == screen.said.count("\x1b[?1049l") == 1
    assert "Traceback" not in screen.said


def test_who_holds_what_is_seen_live(forebay: Forebay) -> None:
    name = "jobs\x1b[31mred[/bold]"
    with (
        psycopg.connect(forebay.dsn(application_name=name)) as client,
        terminal("top", "--interval", "0.2", "--config", str(forebay.config)) as screen,
    ):
        screen.wait_for("app  ")
        client.execute("SELECT 1")
        seen = screen.wait_for(r"idle in transaction[^\n]*jobs")
        assert r"jobs\x1b[31mred[/bold]" in seen
        screen.wait_for(r"1 client ─▶ nobody waits ─▶ 1 of \d+ connections? used")
        client.execute("LISTEN orders")
        client.commit()
        screen.type("p")
        screen.wait_for(r"(?s)p  1 kind of pins.*LISTEN")
        screen.type("w")
        screen.wait_for(r"w  0 clients in the queue, the longest first\s+h  ")
        screen.type("h")
        screen.wait_for(r"idle, pinned")
        screen.type("q")
        assert screen.end() == 0
        shown(screen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_terminal_is_restored(forebay: Forebay, number: signal.Signals) -> None:
    with terminal("top", "--config", str(forebay.config)) as screen:
        screen.wait_for("q quit")
        screen.process.send_signal(number)
        assert screen.end() == 0
        shown(screen)


def test_a_node_that_ends_is_told_of(forebay: Forebay) -> None:
    with terminal("top", "--interval", "0.2", "--config", str(forebay.config)) as screen:
        screen.wait_for("q quit")
        forebay.stop()
        screen.wait_for("no Forebay|closed the connection|left by a node")
        forebay.start()
        screen.wait_for("nobody waits[^~]*up 0 s|up [12] s")
        screen.type("q")
        assert screen.end() == 0


def test_without_a_terminal_it_is_one_look(forebay: Forebay) -> None:
    done = forebay.command("top").ok()
    assert done.out.splitlines()[1].startswith(
        "0 clients ─▶ nobody waits ─▶ 0 of 1 connection used"
    )
    assert "this was one look" in done.err
    found = json.loads(forebay.command("top", "--json").ok().out)
    assert (found["proxy"], found["numbers"]["client_connections"]) == ("app", 0)
    assert forebay.command("top", "--proxy", "x").code == 1
    assert forebay.command("top", "--interval", "0").code == 2
