"""The ways to prove who one is, in talks with clients that are functions: no socket."""

from base64 import b64encode
from collections.abc import Callable

import pytest

from forebay.identity.tokens import Reason, Refusal
from forebay.net.login.certificates import ClientCertificate
from forebay.net.login.kept import NOBODY, Proof, UserAuth, derive
from forebay.net.login.methods import METHODS, UNKNOWN_USERS, Method, NotProvedError
from forebay.node.users import AUTH_METHODS
from forebay.protocol import errors, md5, messages, scram
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError

HASH = b"h" * 32
TOKEN = b"db:1/?X-Amz-"


def auth_of(method: str, *passwords: str, user: str = "app") -> UserAuth:
    return UserAuth(user, method, passwords, derive(user, method, passwords))


async def prove(method: Method, talk: "Talk", user: str, auth: UserAuth) -> bool:
    return await (await method.ask(talk, user, auth))(auth) is not None


class Talk:
    """A client that gives these answers, each a function of what it was asked. The token TOKEN of
    the user "app" is right."""

    def __init__(
        self,
        *answers: Callable[[bytes], bytes],
        binding: bytes | None = None,
        is_encrypted: bool = True,
        names: tuple[str, ...] | None = None,
    ) -> None:
        self.binding = binding
        self.is_encrypted = is_encrypted
        self._names = names
        self.said: list[bytes] = []
        self._answers = list(answers)

    def certificate(self) -> ClientCertificate:
        if self._names is None:
            raise errors.certificate_required()
        return ClientCertificate(self._names)

    def say(self, message: bytes) -> None:
        self.said.append(message)

    async def answer(self) -> bytes:
        return self._answers.pop(0)(self.said[-1])

    async def long_answer(self) -> bytes:
        assert self.is_encrypted
        return await self.answer()

    async def refusal(self, token: bytes, user: str) -> Refusal | None:
        if token == TOKEN and user == "app":
            return None
        if token == TOKEN + b"storm":
            return Refusal(Reason.TOO_MANY, "said in the log")
        is_token = token.startswith(TOKEN)
        return Refusal(Reason.EXPIRED if is_token else Reason.NOT_A_TOKEN, "said in the log")


def asked(message: bytes) -> bytes:
    return messages.parse_authentication(message[5:])[1]


def scram_client(
    password: str, *, binding: bytes | None = None, known_binding: bytes | None = None
) -> tuple[Talk, scram.ClientExchange]:
    exchange = scram.ClientExchange(binding)

    def first(_: bytes) -> bytes:
        return messages.sasl_initial_response(exchange.mechanism, exchange.first())[5:]

    def final(said: bytes) -> bytes:
        salt, iterations = exchange.challenge(asked(said))
        return exchange.final(scram.ClientKeys.derive(password, salt, iterations))

    return Talk(first, final, binding=known_binding), exchange


def md5_client(user: str, password: str) -> Talk:
    def answer(said: bytes) -> bytes:
        proof = md5.response(md5.stored_hash(user, password), asked(said))
        return messages.password_message(proof)[5:]

    return Talk(answer)


def test_each_method_of_the_configuration_is_there() -> None:
    assert METHODS.keys() >= set(AUTH_METHODS.values())


@pytest.mark.parametrize(("password", "right"), [("new", True), ("old", True), ("x", False)])
async def test_md5(password: str, right: bool) -> None:
    method, auth = METHODS["md5"], auth_of("md5", "new", "old")
    assert await prove(method, md5_client("app", password), "app", auth) is right
    assert await prove(method, md5_client("other", password), "app", auth) is False


@pytest.mark.parametrize("binding", [None, HASH])
@pytest.mark.parametrize(("password", "right"), [("new", True), ("old", True), ("x", False)])
async def test_scram(password: str, right: bool, binding: bytes | None) -> None:
    auth = auth_of("scram-sha-256", "new", "old")
    talk, exchange = scram_client(password, binding=binding, known_binding=binding)
    assert await prove(METHODS["scram-sha-256"], talk, "app", auth) is right
    if right:
        exchange.verify(asked(talk.said[-1]))
    else:
        assert len(talk.said) == 2


async def test_unknown_users_are_asked_the_same_as_known_ones() -> None:
    known, _ = scram_client("x")
    auth = auth_of("scram-sha-256", "secret")
    assert await prove(METHODS["scram-sha-256"], known, "app", auth) is False
    salts = []
    for _ in range(2):
        unknown, exchange = scram_client("x")
        assert await prove(UNKNOWN_USERS, unknown, "nobody", NOBODY) is False
        assert unknown.said[0] == known.said[0]
        assert len(unknown.said[1]) == len(known.said[1])
        salts.append(exchange.challenge(asked(unknown.said[1])))
    assert salts[0] == salts[1]  # as those of a user who exists


@pytest.mark.parametrize(
    ("binding", "offered"),
    [(None, [scram.MECHANISM]), (HASH, [scram.MECHANISM_PLUS, scram.MECHANISM])],
)
async def test_what_is_offered(binding: bytes | None, offered: list[str]) -> None:
    talk = Talk(lambda _: messages.sasl_initial_response("GSSAPI", b"")[5:], binding=binding)
    with pytest.raises(PgError, match="supports only"):
        await prove(UNKNOWN_USERS, talk, "nobody", NOBODY)
    assert messages.parse_sasl_mechanisms(asked(talk.said[0])) == offered


@pytest.mark.parametrize("name", METHODS.keys() - {"cert", "trust"})
async def test_nonsense(name: str) -> None:
    with pytest.raises((PgError, MalformedMessageError)):
        await prove(METHODS[name], Talk(lambda _: b"nonsense"), "app", auth_of(name, "x"))


async def test_an_empty_md5_answer() -> None:
    with pytest.raises(PgError, match="supports only"):
        await prove(METHODS["md5"], Talk(lambda _: b"\0"), "app", auth_of("md5", "x"))


def plain(answer: bytes, **settings: bool) -> Talk:
    """A client that answers with a password, or a token, as it is."""
    return Talk(lambda _: answer + b"\0", **settings)


async def told(name: str, answer: bytes, user: str = "app") -> tuple[str, str, str]:
    """SQLSTATE and text for the client, and the reason for the log, of what is refused."""
    with pytest.raises(NotProvedError) as caught:
        await prove(METHODS[name], plain(answer), user, auth_of(name, "new", "old", user=user))
    return caught.value.error.sqlstate, caught.value.error.message, caught.value.reason


IAM_FAILED = (
    "The IAM authentication failed for the role {}."
    " Check the IAM token for this role and try again."
)


async def test_a_token() -> None:
    talk = plain(TOKEN)
    assert await prove(METHODS["iam"], talk, "app", auth_of("iam", "new"))
    assert talk.said == [messages.authentication_cleartext_password()]


@pytest.mark.parametrize("answer", [b"new", b"", TOKEN + b"x"])
async def test_what_is_no_right_token(answer: bytes) -> None:
    expected = ("28P01", IAM_FAILED.format("app"), "said in the log")
    assert await told("iam", answer) == expected


async def test_a_token_of_another_user() -> None:
    assert (await told("iam", TOKEN, "other"))[1] == IAM_FAILED.format("other")


async def test_tokens_need_encryption() -> None:
    talk = plain(TOKEN, is_encrypted=False)
    with pytest.raises(PgError) as caught:
        await prove(METHODS["iam"], talk, "app", auth_of("iam"))
    assert caught.value.message == "IAM authentication is allowed only with SSL connections."
    assert caught.value.sqlstate == "28000"
    assert talk.said == []  # no password was asked for


EITHER = pytest.mark.parametrize("name", ["iam-or-scram-sha-256", "iam-or-md5"])


@EITHER
@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (TOKEN, True),
        (b"new", True),
        (b"old", True),
        ("a\u00aa\u00ad".encode(), True),  # as RFC 4013 prepares it: "aa"
        (b"x", False),
        (b"new ", False),
        (b"x" * 60_000, False),
        (b"\xff", False),
    ],
)
async def test_either_token_or_password(name: str, answer: bytes, right: bool) -> None:
    talk = plain(answer)
    assert await prove(METHODS[name], talk, "app", auth_of(name, "new", "old", "aa")) is right
    assert talk.said == [messages.authentication_cleartext_password()]


@EITHER
async def test_a_token_that_is_wrong_is_told_apart_from_a_password(name: str) -> None:
    expected = ("28P01", IAM_FAILED.format("app"), "said in the log")
    assert await told(name, TOKEN + b"x") == expected


@EITHER
async def test_a_password_that_looks_like_a_token(name: str) -> None:
    auth = auth_of(name, (TOKEN + b"x").decode())
    assert await prove(METHODS[name], plain(TOKEN + b"x"), "app", auth)


@EITHER
async def test_an_empty_answer(name: str) -> None:
    with pytest.raises(PgError, match="supports only"):
        await prove(METHODS[name], plain(b""), "app", auth_of(name, "new"))


@pytest.mark.parametrize(("password", "right"), [("new", True), ("x", False)])
async def test_passwords_without_encryption_are_proved(password: str, right: bool) -> None:
    talk, _ = scram_client(password)
    talk.is_encrypted = False
    name = "iam-or-scram-sha-256"
    assert await prove(METHODS[name], talk, "app", auth_of(name, "new")) is right
    talk = md5_client("app", password)
    talk.is_encrypted = False
    assert await prove(METHODS["iam-or-md5"], talk, "app", auth_of("iam-or-md5", "new")) is right


@pytest.mark.parametrize("name", ["iam", "iam-or-md5"])
async def test_too_many_tokens(name: str) -> None:
    with pytest.raises(NotProvedError) as caught:
        await prove(METHODS[name], plain(TOKEN + b"storm"), "app", auth_of(name))
    error = caught.value.error
    assert (error.sqlstate, error.message) == (
        "28P01",
        "The IAM authentication failed because of too many competing requests.",
    )
    assert not caught.value.is_wrong


async def test_no_verifier_is_troubled_for_nobody() -> None:
    assert await prove(METHODS["iam"], plain(TOKEN), "app", NOBODY) is False


@EITHER
async def test_a_verifier_is_enough_for_a_password_in_clear(name: str) -> None:
    keys = scram.ClientKeys.derive("secret", b"some salt", 10)
    parts = (b64encode(each).decode() for each in (keys.salt, keys.stored_key, keys.server_key))
    auth = auth_of(name, "SCRAM-SHA-256$10:{}${}:{}".format(*parts))
    for answer, proof in ((b"secret", Proof(keys)), (b"wrong", None), (TOKEN, Proof())):
        check = await METHODS[name].ask(plain(answer), "app", auth)
        assert await check(auth) == proof


# ---- One answer against newer credentials --------------------------------------------------------


def clients() -> dict[str, Talk]:
    return {
        "scram-sha-256": scram_client("newest")[0],
        "md5": md5_client("app", "newest"),
        "iam-or-md5": plain(b"newest"),
    }


@pytest.mark.parametrize("name", clients())
async def test_one_answer_is_held_against_newer_credentials(name: str) -> None:
    talk = clients()[name]
    check = await METHODS[name].ask(talk, "app", auth_of(name, "new"))
    assert await check(auth_of(name, "new")) is None
    assert await check(auth_of(name, "other")) is None
    # Whoever may log in with tokens or certificates alone from now on cannot with a password.
    for other in ("iam", "cert", "trust"):
        assert await check(auth_of(other, "newest")) is None
    assert await check(auth_of(name, "newest", "new")) == Proof()


async def test_a_proof_for_another_salt_is_wrong() -> None:
    talk, _ = scram_client("newest")
    keys = scram.ClientKeys.derive("newest", b"another salt", 10)
    stored = scram.Verifier(b"another salt", 10, keys.stored_key, keys.server_key, True)
    auth = auth_of("scram-sha-256", "new")
    check = await METHODS["scram-sha-256"].ask(talk, "app", auth)
    newer = auth_of("scram-sha-256")
    object.__setattr__(newer.kept, "verifiers", (stored,))
    assert await check(newer) is None


async def test_a_stored_verifier_gives_the_clients_keys_away() -> None:
    keys = scram.ClientKeys.derive("secret", b"some salt", 10)
    stored = scram.Verifier(b"some salt", 10, keys.stored_key, keys.server_key, True)
    auth = auth_of("scram-sha-256")
    object.__setattr__(auth.kept, "verifiers", (stored,))
    talk, _ = scram_client("secret")
    check = await METHODS["scram-sha-256"].ask(talk, "app", auth)
    assert await check(auth) == Proof(keys)


# ---- Certificates, and no proof ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "accepted", "right"),
    [
        (("app",), (), True),
        (("App", "web"), ("web",), True),
        (("App",), (), False),
        ((), (), False),
    ],
)
async def test_a_certificate(
    names: tuple[str, ...], accepted: tuple[str, ...], right: bool
) -> None:
    auth = UserAuth("app", "cert", (), cert_names=accepted)
    talk = Talk(names=names)
    check = await METHODS["cert"].ask(talk, "app", auth)
    assert talk.said == []
    assert await check(NOBODY) is None
    if right:
        assert await check(auth) == Proof()
        return
    with pytest.raises(NotProvedError, match='failed for user "app"') as caught:
        await check(auth)
    assert caught.value.error.sqlstate == "28000"
    assert "the certificate" in caught.value.reason


async def test_no_certificate() -> None:
    with pytest.raises(PgError, match="connection requires a valid client certificate"):
        await METHODS["cert"].ask(Talk(), "app", UserAuth("app", "cert", ()))


async def test_trust() -> None:
    talk = Talk()
    check = await METHODS["trust"].ask(talk, "app", NOBODY)
    assert await check(NOBODY) is None
    assert await check(UserAuth("app", "trust", ())) == Proof()
    assert talk.said == []
