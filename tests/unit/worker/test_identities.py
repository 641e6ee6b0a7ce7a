"""How database connections log in: what the node and the clients have told, in the right order."""

import base64
import contextlib
import time
from collections.abc import Iterable
from typing import Any

import pytest

from forebay.channel import CallError, Credential, DatabaseLogin, MakeToken, SilenceError, Token
from forebay.net.connector import ConnectError, IamToken, Md5Hash, Target
from forebay.protocol import md5, scram
from forebay.protocol.errors import PgError
from forebay.worker import identities as module
from forebay.worker.identities import Attempt, Identities

TARGET = Target("db.internal", 5433)
SALT = b"0123456789abcdef"


class Node:
    """Makes tokens, or is gone."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.error: CallError | None = None

    async def ask(self, request: Any, expected: type[Any], timeout_s: float) -> Any:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        assert expected is Token
        return Token(token=f"token-{len(self.asked)}")


def identities(*credentials: Credential, node: Node | None = None) -> Identities:
    made = Identities("shop", lambda: TARGET, (node or Node()).ask)
    made.use(credentials)
    return made


def user(name: str, *logins: str | tuple[str, str], **changes: Any) -> Credential:
    """A user with these passwords at the database, newest first; of another name where it says."""
    pairs = [(name, each) if isinstance(each, str) else each for each in logins]
    given = {"username": name, "identity": name} | changes
    return Credential(logins=tuple(DatabaseLogin(*each) for each in pairs), **given)


def verifier(password: str, salt: bytes = SALT) -> tuple[str, scram.ClientKeys]:
    """As pg_authid holds it, and what a client that knows the password has."""
    keys = scram.ClientKeys.derive(password, salt, 4096)
    parts = (base64.b64encode(each).decode() for each in (salt, keys.stored_key, keys.server_key))
    return "SCRAM-SHA-256$4096:{}${}:{}".format(*parts), keys


async def shown(made: Identities, identity: str = "app") -> list[tuple[str, object]]:
    return [(each.user, each.proof) for each in await made.attempts(identity)]


async def test_passwords_are_tried_newest_first_and_rejected_ones_last() -> None:
    made = identities(user("app", "pending", "current", "previous"))
    pending, current, previous = await made.attempts("app")
    assert [each.proof for each in (pending, current, previous)] == [
        *("pending", "current", "previous")
    ]
    made.failed(pending)
    assert [proof for _, proof in await shown(made)] == ["current", "previous", "pending"]
    made.failed(current)
    made.worked(previous)
    assert [proof for _, proof in await shown(made)] == ["previous", "pending", "current"]
    made.worked(pending)  # setSecret has come
    assert [proof for _, proof in await shown(made)] == ["pending", "previous", "current"]


async def test_a_rejection_is_forgotten_with_the_password() -> None:
    made = identities(user("app", "two", "one"))
    newest, _ = await made.attempts("app")
    made.failed(newest)
    made.use([user("app", "three")])
    made.use([user("app", "two", "one")])
    assert [proof for _, proof in await shown(made)] == ["two", "one"]


async def test_two_names_of_a_rotation_share_an_identity() -> None:
    both = ("app_clone", "new"), ("app", "old")
    made = identities(
        user("app", *both, identity="pool"), user("app_clone", *both, identity="pool")
    )
    assert await shown(made, "pool") == [("app_clone", "new"), ("app", "old")]
    assert "pool" in made
    assert "app" not in made
    assert made.first == "pool"


def test_what_logs_in_otherwise_is_told_and_what_is_gone() -> None:
    one, two, three = user("a", "1"), user("b", "1"), user("c", "1")
    made = identities(one, two, three)
    assert made.use([user("a", "1"), user("b", "2"), user("d", "1")]) == ["b", "c"]
    assert "c" not in made
    assert made.use([]) == ["a", "b", "d"]
    assert made.first is None


async def test_a_user_who_is_gone_is_refused() -> None:
    made = identities(user("app", "x"))
    made.use([])
    with pytest.raises(PgError) as caught:
        await made.attempts("app")
    assert caught.value.sqlstate == "28000"


async def test_the_stored_forms_of_passwords() -> None:
    hashed = md5.stored_hash("app", "hush")
    made = identities(user("app", f"md5{hashed}", ""))
    assert await shown(made) == [("app", Md5Hash(hashed)), ("app", None)]
    assert "hush" not in repr(await made.attempts("app"))
    assert hashed not in repr(await made.attempts("app"))


async def test_a_verifier_is_of_use_when_a_client_has_shown_its_keys() -> None:
    stored, keys = verifier("hush")
    made = identities(user("app", stored))
    with pytest.raises(ConnectError, match="when a client of the user has logged in") as caught:
        await made.attempts("app")
    assert not caught.value.transient
    assert stored not in str(caught.value)
    other = verifier("other")[1]
    made.note_keys("app", [stored], other)  # of another password: no use
    with pytest.raises(ConnectError):
        await made.attempts("app")
    made.note_keys("app", ["plain", stored], keys)
    assert await shown(made) == [("app", keys)]


async def test_without_keys_a_verifier_is_passed_over_for_what_can_be_tried() -> None:
    new, keys = verifier("new")
    made = identities(user("app", new, "old"))
    assert await shown(made) == [("app", "old")]
    made.note_keys("app", [new], keys)
    assert await shown(made) == [("app", keys), ("app", "old")]


async def test_no_more_keys_are_kept_than_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 2)
    found = {name: verifier(name) for name in ("a", "b", "c")}
    made = identities(*(user(name, stored) for name, (stored, _) in found.items()))

    async def known() -> list[str]:
        there = []
        for name in found:
            with contextlib.suppress(ConnectError):
                there += [each.user for each in await made.attempts(name)]
        return there

    for name in ("a", "b", "a", "c"):
        stored, keys = found[name]
        made.note_keys(name, [stored], keys)
    assert await known() == ["a", "c"], "the one used last but two is forgotten"


# ---- who was looked up in the database ----


async def test_who_was_looked_up_logs_in_with_what_the_client_has_shown() -> None:
    stored, keys = verifier("hush")
    made = identities()
    assert "guest" not in made
    made.learn("guest", (stored,))
    assert "guest" in made
    made.note_keys("guest", (), keys)
    assert await shown(made, "guest") == [("guest", keys)]
    hashed = md5.stored_hash("guest", "other")
    made.learn("guest", (f"md5{hashed}",))
    assert await shown(made, "guest") == [("guest", Md5Hash(hashed))]


async def test_a_secret_goes_before_what_was_looked_up() -> None:
    made = identities()
    made.learn("app", ("from-the-database",))
    made.use([user("app", "from-the-secret")])
    assert await shown(made) == [("app", "from-the-secret")]


async def test_who_has_had_a_secret_is_gone_with_it() -> None:
    made = identities()
    made.learn("app", ("from-the-database",))
    made.use([user("app", "from-the-secret")])
    made.learn("app", ("from-the-database",))  # of a login that began before
    assert made.use([]) == ["app"]
    assert "app" not in made


async def test_no_more_are_remembered_than_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LEARNED", 2)
    made = identities()
    for name in ("a", "b", "a", "c"):
        made.learn(name, ("x",))
    assert [name for name in "abc" if name in made] == ["a", "c"]


def test_who_was_looked_up_can_be_forgotten() -> None:
    made = identities(user("app", "x"))
    made.learn("app", ("x",))
    made.learn("guest", ("x",))
    assert made.unlearn() == ["guest"], "the other has a secret"
    assert "guest" not in made
    assert made.unlearn() == []


async def test_rejections_of_who_was_looked_up_do_not_pile_up() -> None:
    made = identities()
    for number in range(10):
        made.learn("guest", (f"password {number}",))
        (attempt,) = await made.attempts("guest")
        made.failed(attempt)
    assert len(made._rejected) <= 1


# ---- tokens ----


async def test_tokens_of_forebays_own_role_are_made_for_each_connection() -> None:
    node = Node()
    made = identities(user("app", "", auth_scheme="IAM_AUTH"), node=node)
    assert await shown(made) == [("app", IamToken("token-1"))]
    assert await shown(made) == [("app", IamToken("token-2"))]
    assert node.asked[0] == MakeToken(proxy="shop", user="app", host="db.internal", port=5433)
    assert "token-" not in repr(await made.attempts("app"))


@pytest.mark.parametrize("may_wait", [True, False])
async def test_who_gets_no_token_waits_only_where_the_node_keeps_silent(may_wait: bool) -> None:
    node = Node()
    node.error = (SilenceError if may_wait else CallError)("there are no AWS credentials")
    made = identities(user("app", "", auth_scheme="IAM_AUTH"), node=node)
    with pytest.raises(ConnectError, match='user "app" could be made: there are no') as caught:
        await made.attempts("app")
    assert caught.value.transient is may_wait


def accept(made: Identities, token: str, name: str = "app", *, lasts_s: float = 600.0) -> None:
    made.accepted.accept(token.encode(), name, time.time() + lasts_s)


async def test_connections_are_opened_with_the_token_that_lasts_longest() -> None:
    made = identities(user("app", ""), user("jobs", "x"))
    made.by_tokens = True
    with pytest.raises(ConnectError, match="with the tokens that clients log in with") as caught:
        await made.attempts("app")
    assert not caught.value.transient
    accept(made, "short", lasts_s=60)
    accept(made, "long")
    accept(made, "short too", lasts_s=60)
    assert await shown(made) == [("app", IamToken("long"))]
    assert await shown(made, "jobs") == [("jobs", "x")]


async def test_a_token_that_has_expired_is_not_shown() -> None:
    made = identities(user("app", ""))
    made.by_tokens = True
    accept(made, "old", lasts_s=-1)
    with pytest.raises(ConnectError):
        await made.attempts("app")


async def test_a_token_that_is_rejected_is_not_tried_again() -> None:
    made = identities(user("app", "", ""))
    made.by_tokens = True
    accept(made, "revoked")
    (attempt,) = await made.attempts("app")
    made.failed(attempt)
    with pytest.raises(ConnectError):
        await made.attempts("app")
    assert not made.accepted.is_accepted(b"revoked", "app", time.time())


async def test_behind_a_token_stands_a_password_if_there_is_one() -> None:
    made = identities(user("app", "hush"))
    made.by_tokens = True
    accept(made, "token")
    assert await shown(made) == [("app", IamToken("token")), ("app", "hush")]


async def test_a_certificate_of_our_own_needs_neither_token_nor_password() -> None:
    target = Target("db", sslcert="a.crt", sslkey="a.key")
    made = Identities("shop", lambda: target, Node().ask)
    made.use([user("app", "")])
    made.by_tokens = True
    assert await shown(made) == [("app", None)]


def names(attempts: Iterable[Attempt]) -> list[str]:
    return [each.user for each in attempts]


async def test_nothing_secret_is_shown() -> None:
    stored, keys = verifier("hush")
    made = identities(user("app", "plain text", stored))
    made.note_keys("app", [stored], keys)
    attempts = await made.attempts("app")
    assert names(attempts) == ["app", "app"]
    text = repr(attempts)
    for secret in ("plain text", stored, repr(keys.client_key)):
        assert secret not in text
