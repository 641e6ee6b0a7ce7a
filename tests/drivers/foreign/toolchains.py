"""Builds the programs, once for all test processes: a command for each driver.

What is built lies in ``build/foreign`` of the working tree, named by a digest of its sources. A
toolchain that is absent, or a registry that does not answer, skips the tests that need it; a
program that does not compile fails them.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build" / "foreign"
FETCH_TIMEOUT_S = 120.0
COMPILE_TIMEOUT_S = 400.0
Command = list[str]


def run(command: Command, directory: Path, timeout_s: float, **variables: str) -> str:
    """Runs a step of a build; what it said if it failed, else nothing."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} did not end within {timeout_s:.0f} s")
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-2000:] or "it failed"


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")


def fetch(command: Command, directory: Path, **variables: str) -> None:
    """What a registry has; skips if it is not to be had."""
    said = run(command, directory, FETCH_TIMEOUT_S, **variables)
    if said:
        pytest.skip(f"the registry does not give what {directory.name} needs: {said}")


def build(command: Command, directory: Path, **variables: str) -> None:
    said = run(command, directory, COMPILE_TIMEOUT_S, **variables)
    assert not said, said


def java(place: Path) -> Command:
    need("java", "javac", "mvn")
    wanted = "dependency:copy-dependencies"
    fetch(["mvn", "-q", "-B", wanted, "-DoutputDirectory=lib"], place)
    path = "lib/*"
    build(["javac", "-cp", path, "-d", "classes", "Foreign.java"], place)
    path = f"{place}/classes{os.pathsep}{place}/lib/*"
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", path, "Foreign"]


def node(place: Path) -> Command:
    need("node", "npm")
    fetch(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], place)
    return ["node", f"{place}/foreign.mjs"]


def go(place: Path) -> Command:
    need("go")
    fetch(["go", "mod", "download"], place, GOTOOLCHAIN="local")
    build(["go", "build", "-o", "foreign", "."], place, GOTOOLCHAIN="local", CGO_ENABLED="0")
    return [f"{place}/foreign"]


def rust(place: Path) -> Command:
    need("cargo", "cc")
    fetch(["cargo", "fetch", "--locked"], place)
    build(["cargo", "build", "--locked", "--offline"], place, CARGO_TARGET_DIR=f"{place}/target")
    return [f"{place}/target/debug/foreign"]


BUILDERS: dict[str, Callable[[Path], Command]] = {
    "java": java,
    "node": node,
    "go": go,
    "rust": rust,
}
DRIVERS: dict[str, str] = {
    "pgjdbc": "java",
    "postgres.js": "node",
    "node-postgres": "node",
    "node-postgres-named": "node",
    "pgx": "go",
    "pgx-describe": "go",
    "tokio-postgres": "rust",
    "asyncpg": "python",
    "sqlalchemy-asyncpg": "python",
    "sqlalchemy-psycopg": "python",
}


def program(driver: str) -> Command:
    """The command that carries out scenes with the driver; builds it if need be."""
    language = DRIVERS[driver]
    if language == "python":
        return [sys.executable, str(HERE / "python_drivers.py"), driver]
    return program_of(driver, language, HERE)


def program_of(driver: str, language: str, home: Path) -> Command:
    """The command of a program whose sources are in ``home``, in a folder named by its language."""
    sources = sorted(path for path in (home / language).rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(home)}\0".encode() + path.read_bytes())
    place = BUILD / f"{language}-{digest.hexdigest()[:16]}"
    said = place / "command"
    with one_at_a_time(language):
        if not said.exists():
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(home / language, place)
            said.write_text("\n".join(BUILDERS[language](place)))
    return [*said.read_text().split("\n"), driver]


@contextmanager
def one_at_a_time(language: str) -> Iterator[None]:
    """Test processes build one after another; the first does it."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / f"{language}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
