"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides, as PostgreSQL speaks it.

PBKDF2 costs a millisecond or more of CPU; only `make_verifier` and `ClientKeys.derive`
compute it (they belong in a thread). The exchanges themselves cost a few HMACs: a server works from
stored verifiers, a client from keys it has derived before.

PostgreSQL's particulars: the user name inside SCRAM is ignored (the startup packet's counts), an
authorization identity is refused, channel binding is tls-server-end-point (RFC 5929).
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from forebay.protocol.saslprep import saslprep

MECHANISM: Final = "SCRAM-SHA-256"
MECHANISM_PLUS: Final = "SCRAM-SHA-256-PLUS"
ITERATIONS: Final = 4096
"""The iterations that clients are asked for: PostgreSQL's default, and RDS Proxy's fixed number."""
MAX_ITERATIONS: Final = 1_000_000
"""More than this is not computed for a database that asks: it would hold a thread for long."""
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 18

_KEY_BYTES: Final = 32
_STORED_FORM: Final = re.compile(
    r"SCRAM-SHA-256\$([1-9][0-9]{0,8}):([A-Za-z0-9+/]+={0,2})"
    r"\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)"
)
_BINDING_FLAG: Final = b"p=tls-server-end-point"
_PRINTABLE: Final = re.compile(rb"[\x21-\x2b\x2d-\x7e]+")
_SERVER_FIRST: Final = re.compile(
    rb"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9][0-9]{0,8})"
)


class ScramError(Exception):
    """The other side sent a message that SCRAM does not allow."""


class ProofError(ScramError):
    """The other side does not know the password (or, for a server, not its verifier)."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password: enough to verify it, not enough to log in with it.

    `is_all_that_is_known` tells one that was read from its stored form from one that was derived of
    a password.
    """

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    is_all_that_is_known: bool = False

    @classmethod
    def parse(cls, stored: str) -> "Verifier | None":
        """Reads the form in which PostgreSQL stores it (pg_authid.rolpassword):
        `SCRAM-SHA-256$iterations:salt$stored_key:server_key`. None if it is not of this form."""
        match = _STORED_FORM.fullmatch(stored)
        if match is None:
            return None
        try:
            salt, stored_key, server_key = (_unbase64(match[n].encode()) for n in (2, 3, 4))
        except ScramError:
            return None
        return cls(salt, int(match[1]), stored_key, server_key, is_all_that_is_known=True)

    @property
    def question(self) -> tuple[bytes, int]:
        """The salt and iterations that a client is told: what its proof depends on."""
        return self.salt, self.iterations


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client derives of a password, for one salt and number of iterations: enough to log in
    where they are the same."""

    client_key: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    salt: bytes
    iterations: int

    @classmethod
    def derive(cls, password: str, salt: bytes, iterations: int) -> "ClientKeys":
        """PBKDF2 and what follows from it. Slow: call it in a thread."""
        salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        stored_key, server_key = hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key")
        return cls(client_key, stored_key, server_key, salt, iterations)


def make_verifier(
    password: str, salt: bytes | None = None, iterations: int = ITERATIONS
) -> Verifier:
    """Derives a password's verifier, with a random salt unless one is given. Slow, as PBKDF2 is."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    keys = ClientKeys.derive(password, salt, iterations)
    return Verifier(salt, iterations, keys.stored_key, keys.server_key)


def salt_of(user: str, secret: bytes) -> bytes:
    """A salt that depends on the user's name only (and on a secret of this process).

    It stays when the password changes, and is the same whether the user exists: asking twice does
    not tell who does, and a proof that was made for it can be held against a newer password.
    """
    return _hmac(secret, b"salt" + user.encode("utf-8", "surrogatepass"))[:SALT_BYTES]


def mock_verifier(user: str, secret: bytes) -> Verifier:
    """A verifier that no password fits, for a user who does not exist. It has the salt of one who
    does."""
    nothing = secrets.token_bytes(_KEY_BYTES)
    return Verifier(salt_of(user, secret), ITERATIONS, nothing, secrets.token_bytes(_KEY_BYTES))


class ServerExchange:
    """The server's side of one exchange: `first`, then `final`.

    `verifiers` share salt and iterations; a password that fits any of them is right. `binding` is
    the hash of this server's certificate, None where channel binding was not offered. `mechanism`
    is the one that the client chose.

    `client_keys` is what a right proof gives away, where nothing but a stored form was known of the
    password: with these keys one can log in wherever the same form is stored. Else None.
    """

    __slots__ = (
        "_binding",
        "_cbind_input",
        "_first_bare",
        "_nonce",
        "_plus",
        "_server_first",
        "_verifiers",
        "client_keys",
    )

    def __init__(
        self,
        mechanism: str,
        verifiers: tuple[Verifier, ...],
        binding: bytes | None = None,
        nonce: bytes | None = None,
    ) -> None:
        self._plus = mechanism == MECHANISM_PLUS
        self._binding = binding
        self._verifiers = verifiers
        self.client_keys: ClientKeys | None = None
        self._nonce = _new_nonce() if nonce is None else nonce
        self._cbind_input = b""
        self._first_bare = b""
        self._server_first = b""
        if self._plus and binding is None:
            raise ScramError("channel binding was not offered")

    def first(self, client_first: bytes) -> bytes:
        """Takes client-first-message, returns server-first-message. Raises ScramError."""
        flag, _, rest = client_first.partition(b",")
        authorization, comma, self._first_bare = rest.partition(b",")
        self._check_binding_flag(flag)
        if authorization or not comma:
            raise ScramError("client uses authorization identity, but it is not supported")
        header = flag + b",,"
        self._cbind_input = header + (self._binding or b"") if self._plus else header
        attributes = self._first_bare.split(b",")
        if attributes[0].startswith(b"m="):
            raise ScramError("client requires an unsupported SCRAM extension")
        if len(attributes) < 2 or attributes[0][:2] != b"n=" or attributes[1][:2] != b"r=":
            raise ScramError("malformed SCRAM message")
        client_nonce = attributes[1][2:]
        if not _PRINTABLE.fullmatch(client_nonce):
            raise ScramError("non-printable characters in SCRAM nonce")
        self._nonce = client_nonce + self._nonce
        verifier = self._verifiers[0]
        salt = base64.b64encode(verifier.salt)
        self._server_first = b"r=%b,s=%b,i=%d" % (self._nonce, salt, verifier.iterations)
        return self._server_first

    def _check_binding_flag(self, flag: bytes) -> None:
        if self._plus:
            if flag != _BINDING_FLAG:
                raise ScramError("client selected channel binding, but does not use it")
        elif flag == b"y":
            # The client could bind but was told we cannot: whoever told it so sits in between.
            if self._binding is not None:
                raise ScramError(
                    "client thinks that channel binding is not supported, but it was offered"
                )
        elif flag != b"n":
            raise ScramError("unexpected channel-binding flag in SCRAM message")

    def final(self, client_final: bytes, verifiers: tuple[Verifier, ...] | None = None) -> bytes:
        """Takes client-final-message, returns server-final-message.

        `verifiers` are what the proof is held against instead of those that the exchange began
        with; those that have another salt or other iterations do not count. Raises ProofError for a
        wrong password (the same message may then be held against others), ScramError for a
        malformed message.
        """
        without_proof, _, encoded_proof = client_final.rpartition(b",p=")
        attributes = without_proof.split(b",")
        if len(attributes) < 2 or attributes[0][:2] != b"c=" or attributes[1][:2] != b"r=":
            raise ScramError("malformed SCRAM message")
        if not hmac.compare_digest(attributes[0][2:], base64.b64encode(self._cbind_input)):
            raise ScramError("SCRAM channel binding check failed")
        if not hmac.compare_digest(attributes[1][2:], self._nonce):
            raise ScramError("SCRAM nonce does not match")
        proof = _unbase64(encoded_proof)
        if len(proof) != _KEY_BYTES:
            raise ScramError("malformed SCRAM message")
        signed = b"%b,%b,%b" % (self._first_bare, self._server_first, without_proof)
        asked = self._verifiers[0].question
        accepted: Verifier | None = None
        for verifier in self._verifiers if verifiers is None else verifiers:
            client_key = _xor(proof, _hmac(verifier.stored_key, signed))
            digest = hashlib.sha256(client_key).digest()
            if hmac.compare_digest(digest, verifier.stored_key) and verifier.question == asked:
                accepted = verifier
                self._note(client_key, verifier)
        if accepted is None:
            raise ProofError("wrong password")
        return b"v=" + base64.b64encode(_hmac(accepted.server_key, signed))

    def _note(self, client_key: bytes, verifier: Verifier) -> None:
        if verifier.is_all_that_is_known:
            self.client_keys = ClientKeys(
                client_key, verifier.stored_key, verifier.server_key, *verifier.question
            )


class ClientExchange:
    """The client's side of one exchange: `first`, `challenge`, `final`, `verify`, in this order.

    `binding` is the hash of the server's certificate if channel binding is to be used (mechanism
    SCRAM-SHA-256-PLUS); `could_bind` says that it would have been, had the server offered it.
    """

    __slots__ = (
        "_binding",
        "_first_bare",
        "_header",
        "_nonce",
        "_server_first",
        "_server_nonce",
        "_signature",
    )

    def __init__(
        self, binding: bytes | None = None, *, could_bind: bool = False, nonce: bytes | None = None
    ) -> None:
        self._binding = binding
        if binding is not None:
            self._header = _BINDING_FLAG + b",,"
        else:
            self._header = b"y,," if could_bind else b"n,,"
        self._nonce = _new_nonce() if nonce is None else nonce
        self._first_bare = b"n=,r=" + self._nonce
        self._server_first = b""
        self._server_nonce = b""
        self._signature = b""

    @property
    def mechanism(self) -> str:
        return MECHANISM if self._binding is None else MECHANISM_PLUS

    def first(self) -> bytes:
        """client-first-message."""
        return self._header + self._first_bare

    def challenge(self, server_first: bytes) -> tuple[bytes, int]:
        """Takes server-first-message; returns the salt and iterations to derive the keys with.

        Raises ScramError, also for more than MAX_ITERATIONS.
        """
        match = _SERVER_FIRST.match(server_first)
        if match is None or server_first[match.end() : match.end() + 1] not in (b"", b","):
            raise ScramError("malformed SCRAM message (server-first-message)")
        nonce, salt, iterations = match.groups()
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise ScramError("invalid SCRAM response (nonce mismatch)")
        if int(iterations) > MAX_ITERATIONS:
            raise ScramError(f"the server asks for more than {MAX_ITERATIONS} SCRAM iterations")
        self._server_first, self._server_nonce = server_first, nonce
        return _unbase64(salt), int(iterations)

    def final(self, keys: ClientKeys) -> bytes:
        """client-final-message, with the keys for what `challenge` returned."""
        cbind_input = base64.b64encode(self._header + (self._binding or b""))
        without_proof = b"c=%b,r=%b" % (cbind_input, self._server_nonce)
        signed = b"%b,%b,%b" % (self._first_bare, self._server_first, without_proof)
        self._signature = _hmac(keys.server_key, signed)
        proof = _xor(keys.client_key, _hmac(keys.stored_key, signed))
        return b"%b,p=%b" % (without_proof, base64.b64encode(proof))

    def verify(self, server_final: bytes) -> None:
        """Takes server-final-message; raises ProofError unless it proves the server's knowledge."""
        if server_final.startswith(b"e="):
            raise ProofError("the server refused the SCRAM exchange")
        if not server_final.startswith(b"v="):
            raise ScramError("malformed SCRAM message (server-final-message)")
        signature = _unbase64(server_final[2:].partition(b",")[0])
        if not self._signature or not hmac.compare_digest(signature, self._signature):
            raise ProofError("incorrect server signature")


def _new_nonce() -> bytes:
    return base64.b64encode(secrets.token_bytes(NONCE_BYTES))


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(_KEY_BYTES)


def _unbase64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramError("malformed SCRAM message (base64)") from None
