"""The ways to prove who one is, in talks with clients that are functions: no socket."""

from collections.abc import Callable

import pytest

from forebay.identity.tokens import Reason, Refusal
from forebay.net.login.methods import METHODS, UNKNOWN_USERS, Method, NotProvedError
from forebay.node.materials import AUTH_METHODS
from forebay.protocol import md5, messages, scram
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError

HASH = b"h" * 32
TOKEN = b"db:1/?X-Amz-"


class Talk:
    """A client that gives these answers, each a function of what it was asked. The token TOKEN of
    the user "app" is right."""

    def __init__(
        self,
        *answers: Callable[[bytes], bytes],
        binding: bytes | None = None,
        is_encrypted: bool = True,
    ) -> None:
        self.binding = binding
        self.is_encrypted = is_encrypted
        self.said: list[bytes] = []
        self._answers = list(answers)

    def say(self, message: bytes) -> None:
        self.said.append(message)

    async def answer(self) -> bytes:
        return self._answers.pop(0)(self.said[-1])

    async def long_answer(self) -> bytes:
        assert self.is_encrypted
        return await self.answer()

    def refusal(self, token: bytes, user: str) -> Refusal | None:
        if token == TOKEN and user == "app":
            return None
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
    assert METHODS.keys() == set(AUTH_METHODS.values())


@pytest.mark.parametrize("method", [METHODS["md5"], METHODS["scram-sha-256"]])
def test_any_number_of_passwords(method: Method) -> None:
    assert len(method.derive("app", ("new", "old"))) == 2


@pytest.mark.parametrize(("password", "right"), [("new", True), ("old", True), ("x", False)])
async def test_md5(password: str, right: bool) -> None:
    method = METHODS["md5"]
    kept = method.derive("app", ("new", "old"))
    assert await method.prove(md5_client("app", password), "app", kept) is right
    assert await method.prove(md5_client("other", password), "app", kept) is False


@pytest.mark.parametrize("binding", [None, HASH])
@pytest.mark.parametrize(("password", "right"), [("new", True), ("old", True), ("x", False)])
async def test_scram(password: str, right: bool, binding: bytes | None) -> None:
    method = METHODS["scram-sha-256"]
    kept = method.derive("app", ("new", "old"))
    talk, exchange = scram_client(password, binding=binding, known_binding=binding)
    assert await method.prove(talk, "app", kept) is right
    if right:
        exchange.verify(asked(talk.said[-1]))
    else:
        assert len(talk.said) == 2


async def test_unknown_users_are_asked_the_same_as_known_ones() -> None:
    known, _ = scram_client("x")
    kept = METHODS["scram-sha-256"].derive("app", ("secret",))
    assert await METHODS["scram-sha-256"].prove(known, "app", kept) is False
    salts = []
    for _ in range(2):
        unknown, exchange = scram_client("x")
        assert await UNKNOWN_USERS.prove(unknown, "nobody", None) is False
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
        await UNKNOWN_USERS.prove(talk, "nobody", None)
    assert messages.parse_sasl_mechanisms(asked(talk.said[0])) == offered


@pytest.mark.parametrize("name", METHODS)
async def test_nonsense(name: str) -> None:
    method = METHODS[name]
    with pytest.raises((PgError, MalformedMessageError)):
        await method.prove(Talk(lambda _: b"nonsense"), "app", method.derive("app", ("x",)))


async def test_an_empty_md5_answer() -> None:
    with pytest.raises(PgError, match="supports only"):
        await METHODS["md5"].prove(Talk(lambda _: b"\0"), "app", ("hash",))


def plain(answer: bytes, **settings: bool) -> Talk:
    """A client that answers with a password, or a token, as it is."""
    return Talk(lambda _: answer + b"\0", **settings)


async def told(name: str, answer: bytes, user: str = "app") -> tuple[str, str, str]:
    """SQLSTATE and text for the client, and the reason for the log, of what is refused."""
    method = METHODS[name]
    with pytest.raises(NotProvedError) as caught:
        await method.prove(plain(answer), user, method.derive(user, ("new", "old")))
    return caught.value.error.sqlstate, caught.value.error.message, caught.value.reason


IAM_FAILED = (
    "The IAM authentication failed for the role {}."
    " Check the IAM token for this role and try again."
)


async def test_a_token() -> None:
    talk = plain(TOKEN)
    assert await METHODS["iam"].prove(talk, "app", METHODS["iam"].derive("app", ("new",)))
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
        await METHODS["iam"].prove(talk, "app", None)
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
    method = METHODS[name]
    kept = method.derive("app", ("new", "old", "aa"))
    talk = plain(answer)
    assert await method.prove(talk, "app", kept) is right
    assert talk.said == [messages.authentication_cleartext_password()]


@EITHER
async def test_a_token_that_is_wrong_is_told_apart_from_a_password(name: str) -> None:
    expected = ("28P01", IAM_FAILED.format("app"), "said in the log")
    assert await told(name, TOKEN + b"x") == expected


@EITHER
async def test_a_password_that_looks_like_a_token(name: str) -> None:
    method = METHODS[name]
    kept = method.derive("app", ((TOKEN + b"x").decode(),))
    assert await method.prove(plain(TOKEN + b"x"), "app", kept)


@EITHER
async def test_an_empty_answer(name: str) -> None:
    method = METHODS[name]
    with pytest.raises(PgError, match="supports only"):
        await method.prove(plain(b""), "app", method.derive("app", ("new",)))


@pytest.mark.parametrize(("password", "right"), [("new", True), ("x", False)])
async def test_passwords_without_encryption_are_proved(password: str, right: bool) -> None:
    talk, _ = scram_client(password)
    talk.is_encrypted = False
    method = METHODS["iam-or-scram-sha-256"]
    assert await method.prove(talk, "app", method.derive("app", ("new",))) is right
    talk = md5_client("app", password)
    talk.is_encrypted = False
    method = METHODS["iam-or-md5"]
    assert await method.prove(talk, "app", method.derive("app", ("new",))) is right


@EITHER
def test_no_password_is_printed(name: str) -> None:
    assert "s3cret" not in repr(METHODS[name].derive("app", ("s3cret",))[0])
