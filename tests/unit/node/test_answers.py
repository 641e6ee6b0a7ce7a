"""What a node answers its worker; secrets, STS and AWS are played."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from forebay.channel import Credential, MakeToken, NewerSecret, Refreshed, Token, VerifyToken
from forebay.config.settings import IamSettings
from forebay.identity import database_tokens
from forebay.identity.database_tokens import DatabaseTokenError
from forebay.identity.tokens import Reason
from forebay.node import answers as module
from forebay.node.answers import MAX_SOUGHT, Answers, sts_check
from forebay.node.materials import Material

POLICY = """{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*",
    "Action": "rds-db:connect", "Resource": "arn:aws:rds-db:*:*:dbuser:prx-1/*"}}"""
STS = IamSettings(verifier="sts", region="us-east-1", proxy_id="prx-1", policies=[POLICY])

Proxies = Mapping[str, tuple[Material, IamSettings | None, str | None]]


class Place:
    """``changing``: the sources that have another value when they are read."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.changing: set[str] = set()
        self.applied = 0
        self.gate: asyncio.Event | None = None
        self.answers = Answers(self, self.apply)

    async def refresh(self, source: str) -> bool:
        self.read.append(source)
        if self.gate is not None:
            await self.gate.wait()
        return source in self.changing

    async def apply(self) -> None:
        self.applied += 1

    def use(self, iam: IamSettings | None = None, **sources: str) -> None:
        """A proxy with these users."""
        policies = {} if iam is None else {"a.json": iam.policies[0]}
        users = [Credential(username=name, identity=name) for name in sources]
        material = Material(users, [], sources=sources, policies=policies)
        self.answers.use({"shop": (material, iam, None)})

    async def newer(self, user: str, proxy: str = "shop") -> bool:
        answer = await self.answers.answer(NewerSecret(proxy=proxy, user=user))
        assert isinstance(answer, Refreshed)
        return answer.changed


@pytest.fixture
def place() -> Any:
    made = Place()
    yield made
    made.answers.close()


# ---- newer secrets ----


async def test_the_secret_of_a_user_is_read_again(place: Place) -> None:
    place.use(app="secretsmanager:app", jobs="secretsmanager:jobs")
    assert await place.newer("app") is False
    assert place.read == ["secretsmanager:app"]
    place.changing = {"secretsmanager:app"}
    assert await place.newer("app") is True
    assert place.applied == 2, "it is in force before the worker hears of it"


async def test_a_change_that_is_known_but_not_in_force_yet_is_one(place: Place) -> None:
    """Somebody else's question, or a look at a file, has found it a moment ago."""
    place.use(app="secretsmanager:app")

    async def apply() -> None:
        users = [Credential(username="app", identity="app", passwords=("new",))]
        material = Material(users, [], sources={"app": "secretsmanager:app"})
        place.answers.use({"shop": (material, None, None)})

    place.answers._apply = apply
    assert await place.newer("app") is True
    assert await place.newer("app") is False


async def test_an_unknown_user_may_be_in_any_secret_by_now(place: Place) -> None:
    place.use(app="secretsmanager:app", app_clone="secretsmanager:app", jobs="file:/jobs")
    place.changing = {"file:/jobs"}
    assert await place.newer("stranger") is True
    assert sorted(place.read) == ["file:/jobs", "secretsmanager:app"]


async def test_secrets_are_read_at_the_same_time(place: Place) -> None:
    """Each may take seconds, and a login waits for them."""
    place.gate = asyncio.Event()
    place.use(a="secretsmanager:a", b="secretsmanager:b", c="secretsmanager:c")
    asking = asyncio.ensure_future(place.newer("stranger"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(place.read) == 3
    place.gate.set()
    assert await asking is False


async def test_for_an_unknown_user_no_more_are_read_than_a_limit(place: Place) -> None:
    place.use(**{f"a{n}": f"secretsmanager:{n}" for n in range(MAX_SOUGHT)})
    await place.newer("stranger")
    assert len(place.read) == MAX_SOUGHT
    place.read.clear()
    many = {f"a{n}": f"secretsmanager:{n}" for n in range(MAX_SOUGHT)}
    place.use(**many, **{f"b{n}": f"file:/{n}" for n in range(MAX_SOUGHT + 1)}, c="env:C")
    await place.newer("stranger")
    assert len(place.read) == MAX_SOUGHT
    assert all(each.startswith("file:") for each in place.read)


async def test_no_secrets_and_a_proxy_that_is_gone(place: Place) -> None:
    place.use()
    assert await place.newer("app") is False
    assert await place.newer("app", "gone") is False
    assert place.read == []


async def test_for_a_user_without_a_secret_the_others_are_left_alone(place: Place) -> None:
    place.changing = {"secretsmanager:app"}
    guest = Credential(username="guest", identity="guests")
    material = Material([guest], [], sources={"app": "secretsmanager:app"})
    place.answers.use({"shop": (material, None, None)})
    assert await place.newer("guest") is False
    assert await place.newer("guests") is False
    assert place.read == []


# ---- sts ----


async def verify(place: Place, token: bytes = b"hunter2", proxy: str = "shop") -> Any:
    request = VerifyToken(proxy=proxy, user="app", peer="192.0.2.1", token=token)
    return await place.answers.answer(request)


async def test_what_is_no_token_is_refused_with_the_reason(place: Place) -> None:
    place.use(STS)
    answer = await verify(place)
    assert answer.reason == Reason.NOT_A_TOKEN.value
    assert answer.sentence
    assert "hunter2" not in answer.sentence


@pytest.mark.parametrize("iam", [None, IamSettings(verifier="database", policies=[""])])
async def test_a_proxy_without_sts_verifies_nothing(place: Place, iam: IamSettings | None) -> None:
    place.use(iam)
    with pytest.raises(ValueError, match="no sts verifier"):
        await verify(place)
    with pytest.raises(ValueError, match="no sts verifier"):
        await verify(place, proxy="gone")


async def test_verifiers_are_made_anew_only_for_what_has_changed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    closed: list[str] = []

    class Verifier:
        def __init__(self, region: str) -> None:
            self.region = region
            made.append(region)

        def close(self) -> None:
            closed.append(self.region)

    def check(iam: IamSettings, policies: Mapping[str, str]) -> tuple[Any, None]:
        return Verifier(iam.region), None

    monkeypatch.setattr(module, "sts_check", check)
    place.use(STS)
    place.use(STS)
    assert (made, closed) == (["us-east-1"], [])
    place.use(IamSettings(verifier="sts", region="eu-west-1", proxy_id="prx-1", policies=[POLICY]))
    assert (made, closed) == (["us-east-1", "eu-west-1"], ["us-east-1"])
    place.use(None)
    assert closed == ["us-east-1", "eu-west-1"]


def test_where_sts_is() -> None:
    def urls(**settings: Any) -> list[str]:
        iam = IamSettings(verifier="sts", proxy_id="prx-1", policies=[POLICY], **settings)
        verifier, _ = sts_check(iam, {"a": POLICY})
        verifier.close()
        return list(verifier._endpoints)

    assert urls(region="eu-west-1") == ["https://sts.eu-west-1.amazonaws.com/"]
    assert urls(sts_endpoint="http://127.0.0.1:4566") == ["http://127.0.0.1:4566/"]
    with pytest.raises(ValueError, match="is no address of STS"):
        urls(sts_endpoint="ftp://x")


# ---- tokens of our own ----


class Tokens:
    """Stands in for DatabaseTokens."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: DatabaseTokenError | None = None
        self.closed = False

    async def token(self, *asked: object) -> str:
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return "t0ken"

    def close(self) -> None:
        self.closed = True


REQUEST = MakeToken(proxy="shop", user="app", host="db", port=5432)


async def test_tokens_are_made_for_the_targets_region(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens()
    monkeypatch.setattr(database_tokens, "DatabaseTokens", lambda: tokens)
    place.answers.use({"shop": (Material([], []), None, "eu-west-1")})
    assert await place.answers.answer(REQUEST) == Token(token="t0ken")
    assert tokens.asked == [("db", 5432, "app", "eu-west-1")]
    tokens.error = DatabaseTokenError("there are no AWS credentials")
    with pytest.raises(ValueError, match=r"^there are no AWS credentials$"):
        await place.answers.answer(REQUEST)
    place.answers.close()
    assert tokens.closed


async def test_no_token_is_made_for_a_proxy_that_is_gone(place: Place) -> None:
    with pytest.raises(ValueError, match="no such proxy"):
        await place.answers.answer(REQUEST)
