"""What a worker needs beyond the settings: users, certificates, access keys and policies, looked up
and kept.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from forebay.channel import Credential
from forebay.config.settings import Config, Hidden, IamSettings, ProxySettings
from forebay.identity.access_keys import AccessKey, resolve_access_keys
from forebay.identity.keeper import Figures, Keeper
from forebay.identity.policy import Policies, PolicyError
from forebay.identity.principals import partition_of
from forebay.identity.secrets import SecretError, world_readable
from forebay.identity.sources.making import Sources
from forebay.node.certificates import (
    Certificate,
    CertificateError,
    Certificates,
    key_is_world_readable,
    read_authorities,
)
from forebay.node.certificates import concerns as concerns_of_certificate
from forebay.node.users import Users, users_of

log = logging.getLogger("forebay.node")

MAX_POLICY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Material:
    """One proxy's users (and where they come from, and when they change by themselves), its
    certificates, what client certificates are checked against, the access keys that its tokens are
    signed with, and its policies by name."""

    credentials: list[Credential]
    certificates: list[Certificate]
    client_ca_pem: str | None = None
    access_keys: list[AccessKey] = field(default_factory=list)
    policies: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    changes_at_s: float | None = None


class MaterialError(Exception):
    """Secrets or certificates can't be used. ``problems`` has one sentence for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Materials:
    """Gathers what proxies need. ``on_change`` is called with a source of secrets that has another
    value. For one event loop; `close` it in the end."""

    def __init__(self, environ: Mapping[str, str], on_change: Callable[[str], None]) -> None:
        self._environ = environ
        self._given: dict[str, Hidden] = {}
        self._keeper = Keeper(Sources(environ, self._given), on_change)
        self._certificates = Certificates()

    async def gather(self, config: Config, *, fresh: bool = False) -> dict[str, Material]:
        """Everything, by proxy; secrets that are known already are read again only if ``fresh``.

        Raises MaterialError with all that is wrong, and then keeps to what it had. The secrets
        of the configuration before stay in use, too, until `settle`."""
        problems: list[str] = []
        self._given.update(config.given_secrets)
        wanted = set(secrets_of(config))
        try:
            in_use = self._keeper.figures().keys()
            await self._keeper.open(in_use | wanted, fresh=wanted if fresh else ())
        except SecretError as error:
            problems += _placed(config, error.problems)
        found: dict[str, Material] = {}
        for name, proxy in config.proxies.items():
            material, wrong = self._gather_one(name, proxy, with_users=not problems)
            found[name] = material
            problems += (f"proxies.{name}.{text}" for text in wrong)
        if problems:
            raise MaterialError(problems)
        return found

    async def settle(self, config: Config) -> None:
        """This is the configuration now: secrets that it does not have are not kept any more."""
        await self._keeper.open(dict.fromkeys(secrets_of(config)))

    def _gather_one(
        self, name: str, proxy: ProxySettings, *, with_users: bool
    ) -> tuple[Material, list[str]]:
        """The material and what is wrong; users are left out if secrets could not be read."""
        problems: list[str] = []
        material = Material([], [])
        try:
            material = replace(material, certificates=self._certificates.get(name, proxy))
        except CertificateError as error:
            problems.append(f"tls_certificate: {error}")
        try:
            material = replace(material, client_ca_pem=read_authorities(proxy.tls_client_ca))
        except CertificateError as error:
            problems.append(f"tls_client_ca: {error}")
        if proxy.iam is not None:
            try:
                material = replace(material, access_keys=self._access_keys(proxy.iam))
            except SecretError as error:
                problems += (f"iam.access_keys: {each}" for each in error.problems)
            try:
                _check_endpoint(proxy.iam)
            except ValueError as error:
                problems.append(f"iam.sts_endpoint: {error}")
            try:
                material = replace(material, policies=read_policies(proxy.iam))
            except (PolicyError, ValueError) as error:
                problems += (f"iam.policies: {each}" for each in str(error).splitlines())
        if with_users:
            users = self.users(proxy)
            problems += (f"auth: {each}" for each in users.problems)
            material = with_users_of(material, users)
        return material, problems

    def _access_keys(self, iam: IamSettings) -> list[AccessKey]:
        return resolve_access_keys(
            iam.access_keys,
            environ=self._environ,
            account=iam.account or None,
            partition=partition_of(iam.region),
        )

    def users(self, proxy: ProxySettings) -> Users:
        """The users of a proxy whose secrets are in use, as they are known by now."""
        return users_of(proxy, self._keeper.versions, time.monotonic())

    def certificates(self, name: str, proxy: ProxySettings) -> list[Certificate]:
        """Read anew. Raises CertificateError."""
        return self._certificates.get(name, proxy)

    async def refresh(self, source: str) -> bool:
        """See Keeper.refresh."""
        return await self._keeper.refresh(source)

    def figures(self) -> dict[str, Figures]:
        """How each source of secrets does."""
        return self._keeper.figures()

    def error_of(self, source: str) -> str | None:
        """Why a source in use can't be read at the moment, or None."""
        return self._keeper.versions(source).error

    async def close(self) -> None:
        """Nothing is followed any more."""
        await self._keeper.close()


def with_users_of(material: Material, users: Users) -> Material:
    """The material with these users."""
    return replace(
        material,
        credentials=users.credentials,
        sources=users.sources,
        changes_at_s=users.changes_at_s,
    )


def secrets_of(config: Config) -> Iterator[str]:
    """The sources of users in a configuration."""
    for proxy in config.proxies.values():
        yield from (auth.secret for auth in proxy.auth if auth.secret)


def _placed(config: Config, problems: Iterable[str]) -> Iterator[str]:
    """Each with the proxies whose secret it is about."""
    for problem in problems:
        of = [
            name
            for name, proxy in config.proxies.items()
            if any(auth.secret and problem.startswith(f"{auth.secret}:") for auth in proxy.auth)
        ]
        yield from (f"proxies.{name}.auth: {problem}" for name in of or ["NAME"])


def _check_endpoint(iam: IamSettings) -> None:
    """Raises ValueError with what is wrong."""
    if iam.sts_endpoint:  # few have one, so what asks STS is imported where it is needed
        from forebay.identity.sts import Endpoint

        Endpoint.parse(iam.sts_endpoint, iam.region or "us-east-1")


def read_policies(iam: IamSettings) -> dict[str, str]:
    """The texts of policies, by the names that the log has for them. Raises PolicyError for what
    can't be used, ValueError for what can't be read."""
    texts: dict[str, str] = {}
    for number, policy in enumerate(iam.policies, 1):
        if not policy.startswith("file:"):
            texts[f"policies[{number - 1}]"] = policy
            continue
        path = Path(policy.removeprefix("file:"))
        try:
            with path.open("rb") as file:
                content = file.read(MAX_POLICY_BYTES + 1)
            text = content.decode()
        except OSError as error:
            raise ValueError(f"{path}: can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path}: is not UTF-8 text") from None
        if len(content) > MAX_POLICY_BYTES:
            raise ValueError(f"{path}: is over {MAX_POLICY_BYTES} bytes")
        texts[str(path)] = text
    if texts:
        Policies.parse(texts)
    return texts


def concerns(config: Config, materials: Mapping[str, Material]) -> list[tuple[str, str]]:
    """What works and yet should be told, as (proxy, sentence)."""
    now_s = time.time()
    found: list[tuple[str, str]] = []
    for name, proxy in config.proxies.items():
        open_to_all = list(filter(world_readable, _sources(proxy)))
        open_to_all += (key for _, key in proxy.certificate_files() if key_is_world_readable(key))
        found += ((name, f"{each} can be read by every user here") for each in open_to_all)
        if name in materials:
            for certificate in materials[name].certificates:
                found += ((name, each) for each in concerns_of_certificate(certificate))
            found += (
                (name, f"the access key {key.shown_id} in iam.access_keys has expired")
                for key in materials[name].access_keys
                if key.expires_at_s is not None and key.expires_at_s <= now_s
            )
    return found


def _sources(proxy: ProxySettings) -> list[str]:
    """Where everything secret of a proxy's comes from, certificates apart."""
    access_keys = [] if proxy.iam is None else proxy.iam.access_keys
    return [*(auth.secret for auth in proxy.auth if auth.secret), *access_keys]
