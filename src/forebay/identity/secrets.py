"""User names and passwords from where they are kept.

A source is written ``file:PATH`` or ``env:NAME`` (``given:NAME``: handed over by a URL or a
program). What is read there is the JSON object that Secrets Manager holds for RDS Proxy:
``{"username": …, "password": …}``; its other keys (host, port, engine, dbname) are not used.
Errors name the source and say what is wrong with it. They never show what it holds.
"""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from forebay.config.settings import Hidden

T = TypeVar("T")

# Secrets Manager's own limit for one secret.
MAX_SECRET_BYTES = 65_536
# NAMEDATALEN - 1 is what PostgreSQL keeps of a role's name; RDS Proxy's API takes 128.
MAX_USERNAME_LENGTH = 128

_WHAT_FOR = {
    "username": "",
    "password": ": Forebay logs in to the database with it, even if clients use IAM tokens",
}


@dataclass(frozen=True, slots=True)
class Secret:
    """One user's name and password, and the source they came from. Its repr hides the password."""

    username: str
    password: Hidden
    source: str


class SecretError(Exception):
    """Secrets can't be used. ``problems`` has one sentence for each, starting with its source."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def resolve(
    sources: Iterable[str],
    *,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, Hidden] | None = None,
) -> list[Secret]:
    """Read every source, in order. Raises SecretError with everything that is wrong."""
    environ = os.environ if environ is None else environ
    return read_each(
        sources,
        lambda source: _parse(source, fetch(source, environ, given or {})),
        lambda secret: (secret.username, f'user "{secret.username}"'),
    )


def read_each(
    sources: Iterable[str], read: Callable[[str], T], known_by: Callable[[T], tuple[str, str]]
) -> list[T]:
    """What `read` makes of every source, in order. `known_by`: by what two of them would be the
    same, and what that is called. Raises SecretError with everything that is wrong; `read` raises
    ValueError."""
    found: list[T] = []
    problems: list[str] = []
    first_source: dict[str, str] = {}
    for source in sources:
        try:
            item = read(source)
        except ValueError as error:
            problems.append(f"{shown(source)}: {error}")
            continue
        name, said = known_by(item)
        if name in first_source:
            problems.append(f"{shown(source)}: {said} is in {shown(first_source[name])} already")
            continue
        first_source[name] = source
        found.append(item)
    if problems:
        raise SecretError(problems)
    return found


def shown(source: str) -> str:
    """The source as it may be printed: what has none of the known forms may be a secret itself."""
    return source if source.startswith(("file:", "env:", "given:", "arn:")) else "a secret"


def world_readable(source: str) -> bool:
    """Whether it is a file that every user of this machine can read (best effort)."""
    if not source.startswith("file:"):
        return False
    try:
        mode = Path(source.removeprefix("file:")).stat().st_mode
    except (OSError, ValueError):
        return False
    return bool(mode & stat.S_IROTH)


def fetch(source: str, environ: Mapping[str, str], given: Mapping[str, Hidden]) -> bytes:
    """What a source holds, at most one byte more than MAX_SECRET_BYTES of a file.

    Raises ValueError with what is wrong, and nothing of what is there."""
    kind, _, name = source.partition(":")
    if kind == "file":
        return _read_file(name)
    if kind == "env":
        if not environ.get(name):
            raise ValueError("this environment variable is not set")
        return environ[name].encode(errors="surrogateescape")
    if kind == "given":
        if name not in given:
            raise ValueError('no such secret was given; in a file, use "file:" or "env:"')
        return given[name].reveal().encode()
    if kind == "arn":
        raise ValueError('secrets in AWS are not supported yet; use "file:" or "env:"')
    raise ValueError("must be file:PATH or env:NAME")


def _read_file(name: str) -> bytes:
    try:
        # A pipe without a writer would block for ever; a device would never end.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("is not a regular file")
            return file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror or type(error).__name__}") from None


def _parse(source: str, content: bytes) -> Secret:
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"is over {MAX_SECRET_BYTES} bytes")
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError('is not JSON; it must be {"username": "…", "password": "…"}') from None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object: {"username": "…", "password": "…"}')
    for key in ("username", "password"):
        if key not in value:
            raise ValueError(f'has no key "{key}"{_WHAT_FOR[key]}')
        if not isinstance(value[key], str) or not value[key]:
            raise ValueError(f'"{key}" must be a string that is not empty')
        if "\0" in value[key]:
            raise ValueError(f'"{key}" holds a zero byte')
    username: str = value["username"]
    if len(username) > MAX_USERNAME_LENGTH:
        raise ValueError(f'"username" is over {MAX_USERNAME_LENGTH} characters')
    return Secret(username, Hidden(value["password"]), source)
