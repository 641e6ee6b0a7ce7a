"""Who may log in, and with which password: derived once, looked up at every login."""

import dataclasses
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from forebay.net.login.kept import UserAuth, UserEntry, derive, method_for
from forebay.net.login.methods import METHODS, TELLING_NOTHING, UNKNOWN_USERS, Method
from forebay.net.tasks import in_crypto_thread


@dataclass(frozen=True, slots=True)
class Credentials:
    """An immutable table of users."""

    users: Mapping[str, UserAuth]

    def get(self, user: str) -> UserAuth | None:
        """How this user logs in, None if there is no such user."""
        return self.users.get(user)

    @property
    def of_unknown_users(self) -> Method:
        """How users who do not exist are asked: as all are where all are asked for something else
        than a password, so that the question does not tell who exists."""
        methods = {user.method for user in self.users.values()}
        common = methods.pop() if len(methods) == 1 else ""
        return METHODS[common] if common in TELLING_NOTHING else UNKNOWN_USERS

    def with_users(self, users: Iterable[UserAuth], without: Iterable[str] = ()) -> "Credentials":
        """The table with these users in place of those of the same names, or besides them, and
        without those whose names are given."""
        removed = frozenset(without)
        kept = {name: auth for name, auth in self.users.items() if name not in removed}
        return Credentials(kept | {auth.user: auth for auth in users})

    @classmethod
    async def derive(
        cls, entries: Iterable[UserEntry], previous: "Credentials | None" = None
    ) -> "Credentials":
        """Builds the table, computing in a thread. What did not change is taken from `previous` and
        costs nothing.

        Raises ValueError with a sentence for a user who is named twice, an unknown method, and a
        method that nothing that is known of the user's passwords can be proved by.
        """
        users: dict[str, UserAuth] = {}
        for entry in entries:
            if entry.user in users:
                raise ValueError(f'user "{entry.user}" is named twice')
            old = None if previous is None else previous.get(entry.user)
            users[entry.user] = await derive_user(entry, old)
        return cls(users)


async def derive_user(entry: UserEntry, previous: UserAuth | None = None) -> UserAuth:
    """One user, computing in a thread; `previous` itself if nothing has changed.

    Raises ValueError with a sentence, as `Credentials.derive`.
    """
    if entry.method not in METHODS:
        raise ValueError(f'user "{entry.user}": there is no method "{entry.method}"')
    method = method_for(entry)
    certificates = entry.client_cert, entry.cert_names
    if (
        previous is not None
        and (previous.user, previous.method) == (entry.user, method)
        and _same(previous.passwords, entry.passwords)
    ):
        if (previous.client_cert, previous.cert_names) == certificates:
            return previous
        return dataclasses.replace(
            previous, client_cert=entry.client_cert, cert_names=entry.cert_names
        )
    kept = await in_crypto_thread(derive, entry.user, method, entry.passwords)
    return UserAuth(entry.user, method, entry.passwords, kept, *certificates)


def _same(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    return len(old) == len(new) and all(
        hmac.compare_digest(
            one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
        )
        for one, other in zip(old, new, strict=True)
    )
