"""How database connections log in, for each identity that the pool keeps connections for.

By passwords, newest first while they rotate; by a token of Forebay's own role, which the node
makes; by a client's token that the database has accepted; or by SCRAM keys that a client has proved
to have. What the node says of its users decides which of them it is.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from forebay.channel import CallError, Credential, DatabaseLogin, MakeToken, SilenceError, Token
from forebay.identity.presented import AcceptedTokens
from forebay.net.connector import ConnectError, IamToken, Md5Hash, Target
from forebay.net.connector import DatabaseLogin as Proof
from forebay.protocol import errors, md5, scram
from forebay.worker.asking import AskNode

TOKEN_TIMEOUT_S: Final = 20.0
"""For a token of Forebay's own role: longer than the node waits for AWS."""
MAX_KEYS: Final = 10_000
MAX_LEARNED: Final = 10_000
"""Users whose SCRAM keys are remembered, and who were looked up in the database."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to log in."""

    user: str
    proof: Proof = field(repr=False)
    login: DatabaseLogin


class Identities:
    """Those of one proxy. ``target`` is the database server by now, ``ask`` asks the node."""

    def __init__(self, proxy: str, target: Callable[[], Target], ask: AskNode) -> None:
        self._proxy = proxy
        self._target = target
        self._ask = ask
        self.by_tokens = False  # the database verifies clients' tokens
        self._known: dict[str, Credential] = {}
        self._learned: OrderedDict[str, Credential] = OrderedDict()
        self._rejected: set[DatabaseLogin] = set()
        self._keys: dict[str, scram.ClientKeys] = {}  # by the verifier that they fit
        self.accepted = AcceptedTokens()

    def use(self, credentials: Iterable[Credential]) -> list[str]:
        """These are the users from now on. Returns the identities that have connections to be
        replaced, and those that are gone."""
        known: dict[str, Credential] = {}
        for each in credentials:
            known.setdefault(each.identity, each)
        before, self._known = self._known, known
        for name in self._learned.keys() & known.keys():
            del self._learned[name]
        self._rejected &= {login for each in known.values() for login in each.logins}
        return [
            name
            for name, each in before.items()
            if name not in known or _must_renew(each, known[name])
        ]

    def __contains__(self, identity: str) -> bool:
        return identity in self._known or identity in self._learned

    def lasting(self, identity: str) -> frozenset[DatabaseLogin]:
        """The logins of an identity whose connections may stay."""
        return self._known[identity].lasting

    def logins(self, identity: str) -> tuple[DatabaseLogin, ...]:
        """The logins of an identity, newest first; none if there is no such identity."""
        known = self._known.get(identity) or self._learned.get(identity)
        return () if known is None else known.logins

    def learn(self, user: str, passwords: tuple[str, ...]) -> None:
        """A user who has no secret, with what the database has of the password."""
        logins = tuple(DatabaseLogin(user, each) for each in passwords)
        if user in self._known:
            return  # the connections of this identity are others'
        before = self._learned.pop(user, None)
        if before is not None and before.logins != logins:
            self._rejected.difference_update(before.logins)
        self._learned[user] = Credential(
            username=user, passwords=passwords, identity=user, logins=logins
        )
        while len(self._learned) > MAX_LEARNED:
            _, forgotten = self._learned.popitem(last=False)
            self._rejected.difference_update(forgotten.logins)

    def learned(self, user: str) -> tuple[str, ...] | None:
        """What was learnt of a user who has no secret; None for any other."""
        known = None if user in self._known else self._learned.get(user)
        return None if known is None else known.passwords

    def unlearn(self) -> list[str]:
        """Nobody is looked up any more. Returns the identities that are gone by that."""
        gone = [user for user in self._learned if user not in self._known]
        self._learned.clear()
        return gone

    @property
    def first(self) -> str | None:
        """The identity of the first user, None if there is none."""
        return next(iter(self._known), None)

    def note_keys(self, user: str, passwords: Iterable[str], keys: scram.ClientKeys) -> None:
        """A client has proved to have these keys; they fit one of the user's stored passwords."""
        learned = self._learned.get(user)
        for password in (*passwords, *(learned.passwords if learned else ())):
            verifier = scram.Verifier.parse(password)
            if verifier is not None and verifier.stored_key == keys.stored_key:
                self._keys.pop(password, None)
                self._keys[password] = keys
        while len(self._keys) > MAX_KEYS:
            del self._keys[next(iter(self._keys))]

    async def attempts(self, identity: str, target: Target | None = None) -> list[Attempt]:
        """The ways to log in, in the order in which to try them; at least one. `target`: at which
        server, if that is another one.

        Raises PgError for an identity that there is not, ConnectError where there is no way now.
        """
        known = self._known.get(identity) or self._learned.get(identity)
        if known is None:
            raise errors.no_credentials(identity)
        if known.auth_scheme == "IAM_AUTH":
            return [await self._by_own_token(known.logins[0], target or self._target())]
        token = self.accepted.newest(known.username, time.time())
        found = [] if token is None else [_by_token(known.username, token)]
        needs_password = self.by_tokens and not self._target().sslcert
        logins = [each for each in known.logins if each.password or not needs_password]
        logins.sort(key=lambda each: each in self._rejected)
        found += [attempt for each in logins if (attempt := self._attempt(each)) is not None]
        if not found:
            raise ConnectError(_no_way(known, without_token=needs_password), transient=False)
        return found

    def _attempt(self, login: DatabaseLogin) -> Attempt | None:
        password = login.password
        hashed = md5.parse_stored(password)
        if hashed is not None:
            return Attempt(login.user, Md5Hash(hashed), login)
        if scram.Verifier.parse(password) is not None:
            keys = self._keys.get(password)
            return None if keys is None else Attempt(login.user, keys, login)
        return Attempt(login.user, password or None, login)

    async def _by_own_token(self, login: DatabaseLogin, target: Target) -> Attempt:
        request = MakeToken(proxy=self._proxy, user=login.user, host=target.host, port=target.port)
        try:
            answer: Token = await self._ask(request, Token, TOKEN_TIMEOUT_S)
        except CallError as error:
            text = f'no IAM token for user "{login.user}" could be made: {error}'
            # What the node says is no better in a moment: clients are told, and may try again.
            raise ConnectError(text, transient=isinstance(error, SilenceError)) from None
        return Attempt(login.user, IamToken(answer.token), login)

    def worked(self, attempt: Attempt) -> None:
        """The database has let it in."""
        self._rejected.discard(attempt.login)

    def failed(self, attempt: Attempt) -> None:
        """The database has rejected it: others go first from now on."""
        if isinstance(attempt.proof, IamToken):
            self.accepted.reject(attempt.proof.text.encode(), attempt.user)
        else:
            self._rejected.add(attempt.login)


def _must_renew(before: Credential, now: Credential) -> bool:
    """Whether there may be connections that would not be made so any more."""
    return before.auth_scheme != now.auth_scheme or not before.lasting <= now.lasting


def _by_token(user: str, token: bytes) -> Attempt:
    return Attempt(user, IamToken(token.decode("ascii")), DatabaseLogin(user, ""))


def _no_way(known: Credential, *, without_token: bool) -> str:
    """Why no connection can be opened for a user now."""
    if any(login.password for login in known.logins):
        return (
            f'no more than the SCRAM verifier of the password of user "{known.identity}" is known:'
            " the first connection is opened when a client of the user has logged in"
        )
    if without_token:
        return (
            f'no valid IAM token of user "{known.username}" is at hand: connections are opened with'
            " the tokens that clients log in with"
        )
    return f'user "{known.identity}" has no password in the database, or it is no longer valid'
