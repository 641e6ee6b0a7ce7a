"""The program as it is typed: exit codes, and one clear line for each problem."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "import sys; from forebay.cli import main; sys.exit(main())"


def forebay(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("FOREBAY_")}
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=kept | environ,
    )


def test_version() -> None:
    done = forebay("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "forebay")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("serve", "postgresql://"),
        ("check", "postgresql://"),
        ("status", "--json"),
        ("reload", "FOREBAY_CONTROL_SOCKET"),
        ("stop", "--now"),
    ],
)
def test_help(command: str, told: str) -> None:
    assert command in forebay("--help").stdout
    done = forebay(command, "--help")
    assert done.returncode == 0
    assert told in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["serv"], ["serve", "--no-such"], ["serve", "a", "b"], ["serve", "--log-format", "xml"]],
)
def test_wrong_use(arguments: list[str]) -> None:
    done = forebay(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("forebay: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("full", [False, True])
def test_an_answer_that_nobody_takes(full: bool) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # … | head
    if full:
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "explain", "SELECT 1"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    os.close(writer)
    assert done.returncode == 1
    said = "forebay: the answer can't be written: No space left on device\n" if full else ""
    assert done.stderr == said


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_configuration_that_cannot_be_used(command: str, tmp_path: Path) -> None:
    done = forebay(command, str(tmp_path / "absent.toml"))
    assert done.returncode == 2
    assert done.stderr == (
        f"forebay {command}: {tmp_path}/absent.toml: can't be read: No such file or directory\n"
    )
    path = tmp_path / "bad.toml"
    path.write_text("[node]\ndrain_timeout = -1\n[proxies.app]\n")
    done = forebay(command, str(path))
    assert done.returncode == 2
    heading, *problems = done.stderr.splitlines()
    assert heading == f"forebay {command}: 3 problems"
    assert all(line.startswith(f"  - {path}: ") for line in problems)


def test_a_url_never_shows_its_password() -> None:
    done = forebay("serve", "postgresql://u:hunter2@h:port/db")
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h:port/db",
        "postgresql+psycopg2://u:hunter2@h/db",
        "Postgresql://u:hunter2@h/db",
        "host=h user=u password=hunter2",
        "password = hunter2",
        "u:hunter2@h/db",
        "u:hunter2@h:5432/db",
        "//u:hunter2@h/db",
        "u:hunter2",
        "hunter2@h",
        "jdbc:postgresql://h/db?user=u&password=hunter2",
        "h/db?password=hunter2",
        "u:hunter2@h/" + 300 * "long",
    ],
)
def test_what_cannot_be_used_of_a_url_never_shows_its_password(url: str) -> None:
    for done in (forebay("check", url), forebay("check", "--json", url)):
        assert done.returncode == 2
        assert "the URL " in done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["{}"],
        ["demo", "{}"],
        ["serve", "forebay.toml", "{}"],
        ["check", "--config={}"],
        ["demo", "--port", "{}"],
        ["serve", "--log-format", "{}"],
        ["status", "--config", "{}"],
        ["reload", "--socket={}"],
        ["stop", "{}"],
    ],
)
def test_a_password_in_the_wrong_place_is_not_repeated(arguments: list[str]) -> None:
    for url in ("postgresql://u:hunter2@h/db", "u:hunter2@h/db"):
        done = forebay(*(each.format(url) for each in arguments))
        assert done.returncode == 2
        assert done.stderr.startswith("forebay")
        assert "hunter2" not in done.stdout + done.stderr


def test_a_file_may_be_named_as_a_url_is(tmp_path: Path) -> None:
    path = tmp_path / "forebay@10:24.toml"
    path.write_text("[node]\ndrain_timeout = -1\n")
    done = forebay("check", str(path))
    assert str(path) in done.stderr
    assert "drain_timeout" in done.stderr


def test_check_as_json() -> None:
    done = forebay("check", "--json", FOREBAY_AUTH_0_SECRET="env:NOWHERE", FOREBAY_TARGET_HOSTS="h")
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["problems"] == [
        "proxies.default.auth: env:NOWHERE: this environment variable is not set"
    ]


INTERRUPTED = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "forebay.cli.explain":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
"""


def test_an_interruption_while_a_command_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED + MAIN, "explain", "SELECT 1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "")


def test_check_of_a_database_that_is_down() -> None:
    done = forebay("check", "postgresql://u:hunter2@127.0.0.1:1/db")
    assert done.returncode == 1
    assert 'FAILED   user "u": ' in done.stdout
    assert "would not work" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
