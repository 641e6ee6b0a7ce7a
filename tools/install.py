"""Installs what a make target needs into a virtual environment: ``install.py VENV demo|test|lint``.

Runs on the Python that make was given, with its standard library alone. It says what it does and
about how long that takes, keeps what pip and the compiler say in VENV/install.log, and tells in one
sentence what went wrong. Pythons that are too old must be able to read it, and be told.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (3, 11)
COMPILING_CPU_S = 60
LOADING_S = 15
GROUPS = {"test": ("test",), "lint": ("lint", "test")}  # the types of what tests import, too
SHOWN_LINES = 15
# pip tries five times, with pauses, before it tells that there is no network.
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "2", "install", "-q")

UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|MaxRetryError|ProxyError"
    r"|ConnectionReset|Failed to establish a new connection|Failed to connect to|timed out"
)


if sys.version_info < NEEDED:  # before anything below that is new to it
    have = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"make: Forebay needs Python 3.11 or later, and {sys.executable} is {have}:"
        " name another with make PYTHON=python3.12"
    )


class InstallError(Exception):
    """Why it can't be installed, and the way out."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[1] not in ("demo", *GROUPS):
        sys.stderr.write("usage: install.py VENV demo|test|lint\n")
        return 2
    venv = Path(arguments[0])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make_environment(venv)
        if arguments[1] == "demo":
            install_forebay(venv)
        else:
            install_groups(venv, arguments[1])
    except InstallError as error:
        sys.stderr.write(f"make: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def make_environment(venv: Path) -> None:
    """The virtual environment, if there is none yet. Raises InstallError."""
    if (venv / "bin" / "python").exists():
        return
    try:
        import ensurepip  # noqa: F401 - Debian has it in a package of its own
    except ImportError:
        raise InstallError(
            f"{sys.executable} cannot make virtual environments: apt-get install python3-venv"
        ) from None
    venv.mkdir(parents=True, exist_ok=True)
    run("Making a virtual environment", [sys.executable, "-m", "venv", str(venv)], venv)


def install_forebay(venv: Path) -> None:
    """Forebay itself, compiled, with the demo's PostgreSQL. Raises InstallError."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise InstallError(f"there is no C compiler ({compiler}): apt-get install gcc libc6-dev")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise InstallError(
            f"the C headers of {sys.executable} are missing: apt-get install python3-dev"
        )
    about_s = LOADING_S + COMPILING_CPU_S / processors()
    pip(f"Compiling Forebay, once: {duration(about_s)}", venv, ["--editable", ".[demo]"])


def install_groups(venv: Path, target: str) -> None:
    """Dependency groups of pyproject.toml; Python 3.11's own pip does not know of them yet."""
    import tomllib  # where the version is refused there is none

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [requirement for name in GROUPS[target] for requirement in groups[name]]
    what = {"test": "the tests need", "lint": "make lint needs"}[target]
    pip(f"Installing what {what}: {duration(2 * LOADING_S)}", venv, wanted)


def pip(what: str, venv: Path, arguments: list[str]) -> None:
    run(what, [str(venv / "bin" / "python"), *PIP, *arguments], venv)


def run(what: str, command: list[str], venv: Path) -> None:
    """Runs it, telling what it is and how long it takes. Raises InstallError if it fails."""
    log = venv / "install.log"
    say(what)
    begun_s = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603 - what this file puts together
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that an interruption ends the compilers with it
        )
        try:
            while True:
                try:
                    status = process.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    tick(what, time.monotonic() - begun_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    tick(what, time.monotonic() - begun_s, end="\n")
    if status != 0:
        raise InstallError(explain(log))


# All of it on stderr: what is made may be for a program to read (make demo ARGS=--json).
def say(text: str) -> None:
    if not sys.stderr.isatty():  # there the line grows as it goes
        print(f"{text} …", file=sys.stderr, flush=True)


def tick(what: str, passed_s: float, end: str = "") -> None:
    if sys.stderr.isatty():
        print(f"\r{what} … {passed_s:.0f} s", end=end, file=sys.stderr, flush=True)


def explain(log: Path) -> str:
    """What went wrong, in a sentence; where it is none of the known, in the last words of it."""
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    where = f"(all that was said is in {log})"
    if UNREACHABLE.search(said):
        return (
            "what Forebay needs comes from PyPI, which does not answer: connect this machine to the"
            f" network, or name a mirror in PIP_INDEX_URL {where}"
        )
    last = "\n".join(f"    {line}" for line in said.splitlines()[-SHOWN_LINES:])
    return f"it failed {where}:\n{last}"


def processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def duration(seconds: float) -> str:
    return "about a minute" if 40 < seconds < 80 else f"about {round(seconds, -1):.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
