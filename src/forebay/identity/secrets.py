"""User names and passwords, from the content of their sources.

A secret is the JSON object that Secrets Manager holds for RDS Proxy: ``{"username": …,
"password": …}``; its other keys (host, port, engine, dbname) are not used. A userlist has many.
Errors name the source and say what is wrong with it. They never show what it holds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from forebay.config.settings import Hidden
from forebay.identity.sources.local import read_local as fetch
from forebay.identity.sources.local import world_readable
from forebay.identity.sources.source import MAX_SECRET_BYTES, MAX_USERLIST_BYTES, shown
from forebay.identity.userlist import parse_userlist

__all__ = [
    "MAX_SECRET_BYTES",
    "MAX_USERNAME_LENGTH",
    "SecretError",
    "User",
    "fetch",
    "parse_users",
    "read_each",
    "shown",
    "world_readable",
]

T = TypeVar("T")

# NAMEDATALEN - 1 is what PostgreSQL keeps of a role's name; RDS Proxy's API takes 128.
MAX_USERNAME_LENGTH = 128

_FORM = '{"username": "…", "password": "…"}'


@dataclass(frozen=True, slots=True)
class User:
    """A user as a source has it. ``password`` is None for one who has none there; else it is plain
    text or a stored form of pg_authid (``md5…``, ``SCRAM-SHA-256$…``). Its repr hides it."""

    username: str
    password: Hidden | None


class SecretError(Exception):
    """Secrets can't be used. ``problems`` has one sentence for each, starting with its source."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def parse_users(source: str, content: bytes) -> tuple[User, ...]:
    """The users in what was read from a source: many from ``userlist:``, one from any other.

    Raises ValueError with what is wrong, and nothing of the content.
    """
    if not source.startswith("userlist:"):
        return (_parse_secret(content),)
    if len(content) > MAX_USERLIST_BYTES:
        raise ValueError(f"is over {MAX_USERLIST_BYTES} bytes")
    found = parse_userlist(content, MAX_USERNAME_LENGTH)
    if not found:  # as when it is being written anew
        raise ValueError('holds no user; a line is "name" "secret"')
    return tuple(User(name, Hidden(secret) if secret else None) for name, secret in found.items())


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


def _parse_secret(content: bytes) -> User:
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"is over {MAX_SECRET_BYTES} bytes")
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"is not JSON; it must be {_FORM}") from None
    if not isinstance(value, dict):
        raise ValueError(f"must be a JSON object: {_FORM}")
    if "username" not in value:
        raise ValueError('has no key "username"')
    for key in ("username", "password"):
        if key not in value:
            continue
        if not isinstance(value[key], str) or not value[key]:
            raise ValueError(f'"{key}" must be a string that is not empty')
        if "\0" in value[key]:
            raise ValueError(f'"{key}" holds a zero byte')
    username: str = value["username"]
    if len(username) > MAX_USERNAME_LENGTH:
        raise ValueError(f'"username" is over {MAX_USERNAME_LENGTH} characters')
    password = value.get("password")
    return User(username, None if password is None else Hidden(password))
