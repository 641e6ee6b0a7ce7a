"""What a worker needs beyond the settings: credentials and certificates, looked up."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from forebay.channel import Credential
from forebay.config.settings import AuthSettings, Config, ProxySettings
from forebay.identity import secrets
from forebay.node.certificates import (
    Certificate,
    CertificateError,
    Certificates,
    key_is_world_readable,
)
from forebay.node.certificates import concerns as concerns_of_certificate

log = logging.getLogger("forebay.node")

Method = Literal["scram-sha-256", "md5"]
AUTH_METHODS: dict[str, Method] = {
    "POSTGRES_SCRAM_SHA_256": "scram-sha-256",
    "POSTGRES_MD5": "md5",
}


@dataclass(frozen=True, slots=True)
class Material:
    """One proxy's users and its certificate."""

    credentials: list[Credential]
    certificate: Certificate


class MaterialError(Exception):
    """Secrets or certificates can't be used. ``problems`` has one sentence for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def gather(config: Config, kept: Certificates, environ: Mapping[str, str]) -> dict[str, Material]:
    """Look up everything, by proxy. Raises MaterialError with all that is wrong."""
    found: dict[str, Material] = {}
    problems: list[str] = []
    for name, proxy in config.proxies.items():
        credentials: list[Credential] = []
        certificate = None
        try:
            credentials = read_credentials(proxy, config, environ)
        except secrets.SecretError as error:
            problems += (f"proxies.{name}.auth: {each}" for each in error.problems)
        try:
            certificate = kept.get(name, proxy)
        except CertificateError as error:
            problems.append(f"proxies.{name}.tls_certificate: {error}")
        if certificate is not None:
            found[name] = Material(credentials, certificate)
    if problems:
        raise MaterialError(problems)
    return found


def read_credentials(
    proxy: ProxySettings, config: Config, environ: Mapping[str, str]
) -> list[Credential]:
    """The users of one proxy. Raises SecretError with everything that is wrong."""
    resolved = secrets.resolve(
        (auth.secret for auth in proxy.auth), environ=environ, given=config.given_secrets
    )
    return [
        Credential(secret.username, secret.password.reveal(), method(auth))
        for secret, auth in zip(resolved, proxy.auth, strict=True)
    ]


def method(auth: AuthSettings) -> Method:
    """How this user's clients prove the password: "scram-sha-256" or "md5"."""
    return AUTH_METHODS[auth.client_password_auth_type]


def concerns(config: Config, materials: Mapping[str, Material]) -> list[tuple[str, str]]:
    """What works and yet should be told, as (proxy, sentence)."""
    found: list[tuple[str, str]] = []
    for name, proxy in config.proxies.items():
        open_to_all = [a.secret for a in proxy.auth if secrets.world_readable(a.secret)]
        if proxy.tls_private_key and key_is_world_readable(proxy.tls_private_key):
            open_to_all.append(proxy.tls_private_key)
        found += ((name, f"{each} can be read by every user here") for each in open_to_all)
        if name in materials:
            found += ((name, each) for each in concerns_of_certificate(materials[name].certificate))
    return found


def secret_variables(config: Config) -> frozenset[str]:
    """Environment variables that hold secrets: a worker has no need to inherit them."""
    named = (
        auth.secret.removeprefix("env:")
        for proxy in config.proxies.values()
        for auth in proxy.auth
        if auth.secret.startswith("env:")
    )
    return frozenset({*named, "FOREBAY_DATABASE_URL", "PGPASSWORD"})
