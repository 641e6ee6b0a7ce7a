"""Who may log in, and with which password: derived once, looked up at every login."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from forebay.net.login.methods import METHODS, UNKNOWN_USERS, Method
from forebay.net.tasks import in_crypto_thread


@dataclass(frozen=True, slots=True)
class UserAuth:
    """How one user proves who it is. Several passwords may be right while they are rotated.

    `passwords` holds them newest first, for logging in to the database with; `kept` is what the
    method has derived from them.
    """

    user: str
    method: str
    passwords: tuple[str, ...] = field(repr=False)
    kept: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An immutable table of users."""

    users: Mapping[str, UserAuth]

    def get(self, user: str) -> UserAuth | None:
        """How this user logs in, None if there is no such user."""
        return self.users.get(user)

    @property
    def of_unknown_users(self) -> Method:
        """How users who do not exist are asked: as all are where all have IAM tokens alone, so that
        the question does not tell who exists."""
        have_tokens = bool(self.users) and all(u.method == "iam" for u in self.users.values())
        return METHODS["iam"] if have_tokens else UNKNOWN_USERS

    @classmethod
    async def derive(
        cls,
        entries: Iterable[tuple[str, str, str]],
        previous: "Credentials | None" = None,
    ) -> "Credentials":
        """Builds the table from (user name, password, method), computing in a thread.

        A user named twice has two right passwords, the first one being the one used towards the
        database. What did not change is taken from `previous` and costs nothing.
        """
        wanted: dict[str, tuple[list[str], str]] = {}
        for user, password, method in entries:
            wanted.setdefault(user, ([], method))[0].append(password)
        users: dict[str, UserAuth] = {}
        for user, (passwords, method) in wanted.items():
            old = previous.get(user) if previous else None
            if old and old.method == method and _same(old.passwords, passwords):
                users[user] = old
            else:
                derive, right = METHODS[method].derive, tuple(passwords)
                kept = await in_crypto_thread(derive, user, right)
                users[user] = UserAuth(user, method, right, kept)
        return cls(users)


def _same(old: tuple[str, ...], new: list[str]) -> bool:
    return len(old) == len(new) and all(
        hmac.compare_digest(
            one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
        )
        for one, other in zip(old, new, strict=True)
    )
