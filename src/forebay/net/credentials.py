"""Who may log in, and with which password: derived once, looked up at every login."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from forebay.identity.secrets import MAX_USERNAME_LENGTH
from forebay.net.tasks import in_crypto_thread
from forebay.protocol import md5, scram

Method = Literal["scram-sha-256", "md5"]

MOCK_SECRET: Final = secrets.token_bytes(32)
"""Makes the salts of users who do not exist: the same for as long as this process lives."""


@dataclass(frozen=True, slots=True)
class UserAuth:
    """How one user proves who it is. Several passwords may be right while they are rotated.

    `passwords` holds them newest first, for logging in to the database with.
    """

    user: str
    method: Method
    passwords: tuple[str, ...] = field(repr=False)
    verifiers: tuple[scram.Verifier, ...] = field(repr=False)
    md5_hashes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An immutable table of users."""

    users: Mapping[str, UserAuth]

    def get(self, user: str) -> UserAuth | None:
        """How this user logs in, None if there is no such user."""
        return self.users.get(user)

    @classmethod
    async def derive(
        cls,
        entries: Iterable[tuple[str, str, Method]],
        previous: "Credentials | None" = None,
    ) -> "Credentials":
        """Builds the table from (user name, password, method), computing in a thread.

        A user named twice has two right passwords, the first one being the one used towards the
        database. What did not change is taken from `previous` and costs nothing.
        """
        wanted: dict[str, tuple[list[str], Method]] = {}
        for user, password, method in entries:
            wanted.setdefault(user, ([], method))[0].append(password)
        users: dict[str, UserAuth] = {}
        for user, (passwords, method) in wanted.items():
            old = previous.get(user) if previous else None
            if old and old.method == method and _same(old.passwords, passwords):
                users[user] = old
            else:
                users[user] = await in_crypto_thread(_derive_user, user, tuple(passwords), method)
        return cls(users)


def _same(old: tuple[str, ...], new: list[str]) -> bool:
    return len(old) == len(new) and all(
        hmac.compare_digest(
            one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
        )
        for one, other in zip(old, new, strict=True)
    )


def _derive_user(user: str, passwords: tuple[str, ...], method: Method) -> UserAuth:
    if method == "md5":
        hashes = tuple(md5.stored_hash(user, password) for password in passwords)
        return UserAuth(user, method, passwords, (), hashes)
    salt = secrets.token_bytes(scram.SALT_BYTES)
    verifiers = tuple(scram.make_verifier(password, salt) for password in passwords)
    return UserAuth(user, method, passwords, verifiers, ())


class Throttle:
    """Slows down the answers to wrong passwords, per user and address, and counts them.

    The delay doubles with every wrong password, up to `max_delay_s`, and is forgotten after a right
    one or after `forget_s` without a wrong one. Right passwords are never slowed: while a password
    is rotated, clients that know the new one share an address with clients that do not.
    Time is an argument, in seconds of a monotonic clock. The table is bounded: beyond
    `max_entries`, the entry that has been left alone longest goes.
    """

    def __init__(
        self,
        first_delay_s: float = 0.1,
        max_delay_s: float = 5.0,
        forget_s: float = 300.0,
        max_entries: int = 10_000,
    ) -> None:
        self.wrong_passwords = 0
        self._first_delay_s = first_delay_s
        self._max_delay_s = max_delay_s
        self._forget_s = forget_s
        self._max_entries = max_entries
        self._table: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def failed(self, user: str, address: str, now_s: float) -> float:
        """Notes a wrong password; returns how long its answer has to wait, in seconds."""
        self.wrong_passwords += 1
        key = _key(user, address)
        count, last_s = self._table.pop(key, (0, now_s))
        if now_s - last_s > self._forget_s:
            count = 0
        self._table[key] = count + 1, now_s
        if len(self._table) > self._max_entries:
            self._table.popitem(last=False)
        # Beyond 2**32 times the first delay there is nothing to double any more.
        return min(self._max_delay_s, self._first_delay_s * 2.0 ** min(count, 32))

    def succeeded(self, user: str, address: str) -> None:
        """Notes a right password."""
        self._table.pop(_key(user, address), None)

    def __len__(self) -> int:
        return len(self._table)


def _key(user: str, address: str) -> tuple[str, str]:
    # Who asks for a longer name is nobody, and is not to be remembered by all of it.
    return user[:MAX_USERNAME_LENGTH], address
