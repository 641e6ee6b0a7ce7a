"""What is kept of a user's passwords to hold proofs against: derived once, in a thread.

A password is known as it is, or by what PostgreSQL stores of it: an MD5 hash (`md5…`) or a SCRAM
verifier (`SCRAM-SHA-256$…`). One that is known as it is can be proved in every way. An MD5 hash can
be proved by MD5 alone and a verifier by SCRAM alone, as in PostgreSQL; both can be compared with a
password that comes in clear.

One SCRAM exchange can only ask with one salt. Passwords that are known as they are share a salt
that depends on the user's name alone, so that it stays when they change, and a proof that is under
way can be held against a password that is learnt meanwhile. A stored verifier brings its own: the
newest one's is asked with, the plain passwords are derived for it too, and older stored verifiers
with other salts do not count.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from forebay.net.tasks import in_crypto_thread
from forebay.protocol import md5, scram
from forebay.protocol.saslprep import saslprep

ClientCert = Literal["", "verify-ca", "verify-full"]
"""What a client's certificate is checked for besides the method, as PostgreSQL's clientcert."""

MOCK_SECRET: Final = secrets.token_bytes(32)
"""Makes the salts of users: the same for as long as this process lives."""
MAX_CLEAR_PASSWORD_BYTES: Final = 1024
"""A password in clear that is longer is held against no stored form: preparing it takes long."""

_MAC_KEY: Final = secrets.token_bytes(32)
_EITHER: Final = "iam-or-"
_NAMES: Final = {"md5": "MD5 hash", "scram-sha-256": "SCRAM verifier"}


@dataclass(frozen=True, slots=True)
class UserEntry:
    """One user as it is configured.

    `passwords` are all that are right, newest first, each plain or in a stored form; without any,
    and with an empty one alone, no proof holds. `method` is a key of `methods.METHODS`.
    `cert_names` are what a certificate of this user's may be issued to, besides the user's name.
    """

    user: str
    passwords: tuple[str, ...] = field(repr=False)
    method: str
    client_cert: ClientCert = ""
    cert_names: tuple[str, ...] = ()


class Proof(NamedTuple):
    """A proof that holds. `client_keys` are what it has given away, for logging in to the database
    with, where no more than a verifier was known of the password."""

    client_keys: scram.ClientKeys | None = None


class ClearPasswords(NamedTuple):
    """What passwords that are sent as they are are held against."""

    macs: tuple[bytes, ...]
    limit_bytes: int  # nothing longer is one of them
    hashes: tuple[str, ...]
    verifiers: tuple[scram.Verifier, ...]

    def find(self, user: str, answer: bytes) -> Proof | None:
        """The proof, if it is a password that is known as it is or by its MD5 hash; the time tells
        nothing about how much of it is right."""
        if len(answer) <= self.limit_bytes:
            mac = _mac(saslprep(_text(answer)))
            if any(hmac.compare_digest(mac, each) for each in self.macs):
                return Proof()
        if self.hashes and len(answer) <= MAX_CLEAR_PASSWORD_BYTES:
            stored = md5.stored_hash(user, _text(answer))
            if any(hmac.compare_digest(stored, each) for each in self.hashes):
                return Proof()
        return None

    async def find_verifier(self, answer: bytes) -> Proof | None:
        """As `find`, for passwords of which no more than a SCRAM verifier is known: it costs a
        millisecond or more, in a thread, for each of them."""
        if len(answer) > MAX_CLEAR_PASSWORD_BYTES:
            return None
        for verifier in self.verifiers:
            question = verifier.question
            keys = await in_crypto_thread(scram.ClientKeys.derive, _text(answer), *question)
            if hmac.compare_digest(keys.stored_key, verifier.stored_key):
                return Proof(keys)
        return None


@dataclass(frozen=True, slots=True)
class Kept:
    """What proofs of each kind are held against; nothing where the user's method does not take
    them. `verifiers` share salt and iterations."""

    hashes: tuple[str, ...] = field(default=(), repr=False)
    verifiers: tuple[scram.Verifier, ...] = field(default=(), repr=False)
    clear: ClearPasswords | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UserAuth:
    """How one user proves who it is. Several passwords may be right while they are rotated.

    `method` is the one by which the user is asked, `passwords` are for logging in to the database
    with, newest first; `kept` is what was derived from them.
    """

    user: str
    method: str
    passwords: tuple[str, ...] = field(repr=False)
    kept: Kept = field(default_factory=Kept, repr=False)
    client_cert: ClientCert = ""
    cert_names: tuple[str, ...] = ()


NOBODY: Final = UserAuth("", "", ())
"""Stands for a user who does not exist: no proof holds."""


class _Forms(NamedTuple):
    """Passwords by what is known of them, newest first."""

    plain: tuple[str, ...]
    hashes: tuple[str, ...]
    verifiers: tuple[scram.Verifier, ...]

    @classmethod
    def of(cls, passwords: Iterable[str]) -> "_Forms":
        plain: list[str] = []
        hashes: list[str] = []
        verifiers: list[scram.Verifier] = []
        for password in passwords:
            if (hashed := md5.parse_stored(password)) is not None:
                hashes.append(hashed)
            elif (verifier := scram.Verifier.parse(password)) is not None:
                verifiers.append(verifier)
            elif password:  # an empty one is none, as in PostgreSQL
                plain.append(password)
        return cls(tuple(plain), tuple(hashes), tuple(verifiers))


def method_for(entry: UserEntry) -> str:
    """The method by which the user is asked. As in PostgreSQL, `md5` asks by SCRAM where a verifier
    is what is stored (of the newest password, if there are several).

    Raises ValueError with a sentence where nothing that is known can be proved by the method.
    """
    wanted = entry.method.removeprefix(_EITHER)
    if wanted not in _NAMES or not entry.passwords:
        return entry.method
    forms = _Forms.of(entry.passwords)
    if any(each.iterations > scram.MAX_ITERATIONS for each in forms.verifiers):
        raise ValueError(
            f'the SCRAM verifier of user "{entry.user}" has more than {scram.MAX_ITERATIONS}'
            " iterations: set the password anew, with fewer"
        )
    if wanted == "md5" and scram.Verifier.parse(entry.passwords[0]) is not None:
        return entry.method.removesuffix("md5") + "scram-sha-256"
    if wanted == "scram-sha-256" and forms.hashes and not (forms.plain or forms.verifiers):
        raise ValueError(
            f'no more than the MD5 hash of the password of user "{entry.user}" is known, which'
            f" {entry.method} cannot do with: use {entry.method.removesuffix(wanted)}md5, or give"
            " the password itself or its SCRAM verifier"
        )
    return entry.method


def derive(user: str, method: str, passwords: tuple[str, ...]) -> Kept:
    """What is kept for a method that `method_for` has returned. Slow: call it in a thread."""
    wanted = method.removeprefix(_EITHER)
    if wanted not in _NAMES:
        return Kept()
    forms = _Forms.of(passwords)
    clear = _clear(forms) if method.startswith(_EITHER) else None
    if wanted == "md5":
        hashes = (md5.stored_hash(user, each) for each in forms.plain)
        return Kept(hashes=(*hashes, *forms.hashes), clear=clear)
    return Kept(verifiers=_verifiers(user, forms), clear=clear)


def _verifiers(user: str, forms: _Forms) -> tuple[scram.Verifier, ...]:
    question = scram.salt_of(user, MOCK_SECRET), scram.ITERATIONS
    if forms.verifiers:
        question = forms.verifiers[0].question
    stored = (each for each in forms.verifiers if each.question == question)
    return (*(scram.make_verifier(each, *question) for each in forms.plain), *stored)


def _clear(forms: _Forms) -> ClearPasswords:
    prepared = [saslprep(password) for password in forms.plain]
    # Preparing takes a millisecond for some hundred characters, so a long answer is not. One that
    # is written in another of Unicode's forms is not many times as long as the password.
    longest_bytes = max(map(len, prepared), default=0)
    macs = tuple(map(_mac, prepared))
    return ClearPasswords(macs, 64 + 4 * longest_bytes, forms.hashes, forms.verifiers)


def _text(answer: bytes) -> str:
    return answer.decode("utf-8", "surrogateescape")


def _mac(password: bytes) -> bytes:
    """Of one length for all passwords, and of no use to anybody outside this process."""
    return hmac.digest(_MAC_KEY, password, "sha256")
