"""What a worker needs beyond the settings: credentials and certificates, looked up."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from forebay.channel import Credential, DatabaseLogin, LoginMethod
from forebay.config.settings import AuthSettings, Config, ProxySettings
from forebay.identity import secrets
from forebay.identity.access_keys import AccessKey, resolve_access_keys
from forebay.node.certificates import (
    Certificate,
    CertificateError,
    Certificates,
    key_is_world_readable,
)
from forebay.node.certificates import concerns as concerns_of_certificate

log = logging.getLogger("forebay.node")

# By iam_auth and client_password_auth_type.
AUTH_METHODS: dict[tuple[str, str], LoginMethod] = {
    ("DISABLED", "POSTGRES_SCRAM_SHA_256"): "scram-sha-256",
    ("DISABLED", "POSTGRES_MD5"): "md5",
    ("REQUIRED", "POSTGRES_SCRAM_SHA_256"): "iam",
    ("REQUIRED", "POSTGRES_MD5"): "iam",
    ("ENABLED", "POSTGRES_SCRAM_SHA_256"): "iam-or-scram-sha-256",
    ("ENABLED", "POSTGRES_MD5"): "iam-or-md5",
}


@dataclass(frozen=True, slots=True)
class Material:
    """One proxy's users, its certificates, what client certificates are checked against, the access
    keys that its tokens are signed with, and its policies by name."""

    credentials: list[Credential]
    certificates: list[Certificate]
    client_ca_pem: str | None = None
    access_keys: list[AccessKey] = field(default_factory=list)
    policies: dict[str, str] = field(default_factory=dict)


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
        access_keys: list[AccessKey] = []
        certificates: list[Certificate] = []
        try:
            credentials = read_credentials(proxy, config, environ)
        except secrets.SecretError as error:
            problems += (f"proxies.{name}.auth: {each}" for each in error.problems)
        try:
            sources = [] if proxy.iam is None else proxy.iam.access_keys
            access_keys = resolve_access_keys(sources, environ=environ)
        except secrets.SecretError as error:
            problems += (f"proxies.{name}.iam.access_keys: {each}" for each in error.problems)
        try:
            certificates = kept.get(name, proxy)
        except CertificateError as error:
            problems.append(f"proxies.{name}.tls_certificate: {error}")
        found[name] = Material(credentials, certificates, access_keys=access_keys)
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
        Credential(
            username=secret.username,
            auth=method(auth),
            passwords=(secret.password.reveal(),),
            identity=secret.username,
            logins=(DatabaseLogin(secret.username, secret.password.reveal()),),
        )
        for secret, auth in zip(resolved, proxy.auth, strict=True)
    ]


def method(auth: AuthSettings) -> LoginMethod:
    """How this user's clients log in: by password, by IAM token, or by either."""
    return AUTH_METHODS[auth.iam_auth, auth.client_password_auth_type]


def concerns(config: Config, materials: Mapping[str, Material]) -> list[tuple[str, str]]:
    """What works and yet should be told, as (proxy, sentence)."""
    now_s = time.time()
    found: list[tuple[str, str]] = []
    for name, proxy in config.proxies.items():
        open_to_all = list(filter(secrets.world_readable, _sources(proxy)))
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
    return [*(auth.secret for auth in proxy.auth), *access_keys]
