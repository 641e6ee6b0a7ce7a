"""The ways to prove who one is, in talks with clients that are functions: no socket."""

from collections.abc import Callable

import pytest

from forebay.net.login.methods import METHODS, UNKNOWN_USERS, Method
from forebay.node.materials import AUTH_METHODS
from forebay.protocol import md5, messages, scram
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError

HASH = b"h" * 32


class Talk:
    """A client that gives these answers, each a function of what it was asked."""

    def __init__(self, *answers: Callable[[bytes], bytes], binding: bytes | None = None) -> None:
        self.binding = binding
        self.said: list[bytes] = []
        self._answers = list(answers)

    def say(self, message: bytes) -> None:
        self.said.append(message)

    async def answer(self) -> bytes:
        return self._answers.pop(0)(self.said[-1])


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


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
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
