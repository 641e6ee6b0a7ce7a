"""What the worker asks of the node: newer secrets, whose a token is, a token of Forebay's own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from forebay.channel import (
    AdminQuery,
    AdminResult,
    MakeToken,
    NewerSecret,
    NodeAnswer,
    Refreshed,
    Token,
    Verified,
    VerifyToken,
    WorkerRequest,
)
from forebay.config.settings import IamSettings
from forebay.identity.authorization import Authorization
from forebay.identity.policy import Policies
from forebay.identity.rotation import CLONE_SUFFIX
from forebay.identity.token_check import TokenCheck
from forebay.node.materials import Material

if TYPE_CHECKING:  # few nodes ask AWS for anything, so what does is imported where it is needed
    from forebay.identity.database_tokens import DatabaseTokens
    from forebay.identity.sts import StsVerifier


AnswerConsole = Callable[[AdminQuery], Awaitable[AdminResult]]
"""Answers the clients of the admin database."""

# For a user whom nobody knows, so many secrets are looked into at most.
MAX_SOUGHT = 20


class Refresher(Protocol):
    """Reads secrets anew."""

    async def refresh(self, source: str) -> bool:
        """Whether it has changed."""


class Answers:
    """Answers one node's worker. ``apply`` returns when what has changed in the secrets is in
    force."""

    def __init__(self, secrets: Refresher, apply: Callable[[], Awaitable[None]]) -> None:
        self.console: AnswerConsole | None = None
        self._secrets = secrets
        self._apply = apply
        self._proxies: Mapping[str, tuple[Material, IamSettings | None, str | None]] = {}
        self._sts: dict[str, tuple[object, StsVerifier, TokenCheck]] = {}
        self._tokens: DatabaseTokens | None = None

    def use(self, proxies: Mapping[str, tuple[Material, IamSettings | None, str | None]]) -> None:
        """These are the proxies from now on: of each its material, how its tokens are verified, and
        the region of its target."""
        self._proxies = proxies
        wanted = {
            name: (iam, material.policies)
            for name, (material, iam, _) in proxies.items()
            if iam is not None and iam.verifier == "sts"
        }
        for name in [name for name in self._sts if self._sts[name][0] != wanted.get(name)]:
            self._sts.pop(name)[1].close()
        for name, (iam, policies) in wanted.items():
            if name not in self._sts:
                verifier, check = sts_check(iam, policies)
                self._sts[name] = (iam, policies), verifier, check

    def close(self) -> None:
        """Nothing is asked of AWS any more."""
        self.use({})
        if self._tokens is not None:
            self._tokens.close()

    async def answer(self, request: WorkerRequest) -> NodeAnswer:
        """Raises ValueError with a reason for what can't be answered."""
        match request:
            case NewerSecret(proxy=proxy, user=user):
                return Refreshed(changed=await self._refresh(proxy, user))
            case VerifyToken():
                return await self._verify(request)
            case AdminQuery():
                if self.console is None:
                    raise ValueError("this Forebay has no admin database")
                return await self.console(request)
            case MakeToken():
                return await self._make_token(request)

    async def _refresh(self, proxy: str, user: str) -> bool:
        if proxy not in self._proxies or self._has_none(proxy, user):
            return False
        material, _, _ = self._proxies[proxy]
        source = material.sources.get(user) or material.sources.get(_twin(user))
        sought = [source] if source is not None else _sought(material)
        changed = await asyncio.gather(*map(self._secrets.refresh, sought))
        await self._apply()
        present = self._proxies.get(proxy)
        return any(changed) or (
            present is not None and present[0].credentials != material.credentials
        )

    def _has_none(self, proxy: str, user: str) -> bool:
        """Whether this is a user, or an identity, that needs no secret."""
        material, _, _ = self._proxies[proxy]
        return user not in material.sources and any(
            user in (each.username, each.identity) for each in material.credentials
        )

    async def _verify(self, request: VerifyToken) -> Verified:
        if request.proxy not in self._sts:
            raise ValueError("this proxy has no sts verifier")
        _, _, check = self._sts[request.proxy]
        refusal = await check.check(request.token, request.user, request.peer)
        if refusal is None:
            return Verified()
        return Verified(reason=refusal.reason, sentence=refusal.sentence)

    async def _make_token(self, request: MakeToken) -> Token:
        if request.proxy not in self._proxies:
            raise ValueError("there is no such proxy")
        _, _, region = self._proxies[request.proxy]
        from forebay.identity.database_tokens import DatabaseTokenError, DatabaseTokens

        if self._tokens is None:
            self._tokens = DatabaseTokens()
        try:
            text = await self._tokens.token(request.host, request.port, request.user, region)
        except DatabaseTokenError as error:
            raise ValueError(str(error)) from None
        return Token(token=text)


def _twin(user: str) -> str:
    """The other name of a user whose secret alternates between two, as AWS names them."""
    base = user.removesuffix(CLONE_SUFFIX)
    return base if base != user else user + CLONE_SUFFIX


def _sought(material: Material) -> list[str]:
    """Where a user whom nobody knows may be by now: a secret's user name may alternate."""
    sources = list(dict.fromkeys(material.sources.values()))
    if len(sources) <= MAX_SOUGHT:
        return sources
    return [each for each in sources if each.startswith(("file:", "userlist:"))][:MAX_SOUGHT]


def sts_check(iam: IamSettings, policies: Mapping[str, str]) -> "tuple[StsVerifier, TokenCheck]":
    """The verifier ``sts`` with the policies behind it. Raises ValueError for an endpoint that is
    none."""
    from forebay.identity.sts import Endpoint, StsVerifier

    region = iam.region or "us-east-1"
    endpoint = (
        Endpoint.parse(iam.sts_endpoint, region) if iam.sts_endpoint else Endpoint.of_region(region)
    )
    verifier = StsVerifier([endpoint], iam.proxy_id)
    authorization = Authorization(
        Policies.parse(dict(policies)) if policies else None,
        region=region,
        proxy_id=iam.proxy_id,
        account=iam.account or None,
    )
    return verifier, TokenCheck(verifier, authorization)
