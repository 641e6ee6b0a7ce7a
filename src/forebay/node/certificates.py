"""The TLS certificate and key of each proxy: read, checked, or made at start."""

import logging
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from forebay.channel import CertificatePair
from forebay.config.settings import Config, ProxySettings
from forebay.net import tls

log = logging.getLogger("forebay.node")

MAX_PEM_BYTES = 1024 * 1024
EXPIRES_SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate (with its chain) and its key, both PEM. The repr hides the key."""

    certificate_pem: str
    private_key_pem: str
    self_made: bool

    @property
    def pair(self) -> CertificatePair:
        """As a worker is told it."""
        return CertificatePair(self.certificate_pem, self.private_key_pem)

    def __repr__(self) -> str:
        return f"Certificate({'self-made' if self.self_made else 'given'}, {fingerprint(self)})"


class CertificateError(Exception):
    """A certificate or key can't be used; the text names the file and says why."""


class Certificates:
    """Keeps the self-made ones, so that a reload doesn't take away what clients came to trust."""

    def __init__(self) -> None:
        self._self_made: dict[str, Certificate] = {}

    def get(self, name: str, proxy: ProxySettings) -> list[Certificate]:
        """The proxy's certificates, at least one. Raises CertificateError."""
        files = proxy.certificate_files()
        if not files:
            if name not in self._self_made:
                self._self_made[name] = self_made(proxy)
                log.info(
                    "Made a TLS certificate, for none is configured",
                    extra={"fields": {"proxy": name, "sha256": fingerprint(self._self_made[name])}},
                )
            return [self._self_made[name]]
        return [read(certificate, key) for certificate, key in files]


def self_made(proxy: ProxySettings) -> Certificate:
    """A new certificate for this machine's loopback names and the hosts that are listened on."""
    hosts = [each.host for each in proxy.listen_addresses() if each.host and not each.is_unix]
    names = ("localhost", "127.0.0.1", "::1", *filter(None, map(_in_dns, hosts)))
    names = tuple(dict.fromkeys(names))
    certificate, key = tls.self_signed_certificate(names)
    return Certificate(certificate, key, self_made=True)


def _in_dns(host: str) -> str:
    """The host as clients will look for it, in ASCII; "" if it is the name of none."""
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return ""


def read(certificate_path: str, key_path: str) -> Certificate:
    """Read both files and see that they belong together. Raises CertificateError."""
    certificate, key = _text(certificate_path), _text(key_path)
    try:
        tls.server_context(certificate, key)
    except ValueError as error:
        raise CertificateError(f"{certificate_path}, {key_path}: {error}") from None
    return Certificate(certificate, key, self_made=False)


def certificate_files(config: Config) -> Iterator[str]:
    """The files that proxies' certificates are in, with their keys and authorities."""
    for proxy in config.proxies.values():
        for certificate, key in proxy.certificate_files():
            yield from (certificate, key)
        if proxy.tls_client_ca is not None:
            yield proxy.tls_client_ca


def read_authorities(path: str | None) -> str | None:
    """The certificates of authorities in a file. Raises CertificateError."""
    if path is None:
        return None
    text = _text(path)
    try:
        if not x509.load_pem_x509_certificates(text.encode()):
            raise ValueError
    except ValueError:
        raise CertificateError(f"{path}: has no certificate in it, or one that is broken") from None
    return text


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise CertificateError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:  # a zero byte in the name
        raise CertificateError(f"{path}: can't be read: {error}") from None
    if len(content) > MAX_PEM_BYTES:
        raise CertificateError(f"{path}: is over {MAX_PEM_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CertificateError(f"{path}: is not PEM text") from None


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the certificate, in hexadecimal, as ``openssl x509 -fingerprint`` computes it."""
    parsed = x509.load_pem_x509_certificate(certificate.certificate_pem.encode())
    return parsed.fingerprint(hashes.SHA256()).hex()


def concerns(certificate: Certificate, now: datetime | None = None) -> list[str]:
    """What is doubtful about its dates and its chain's, in sentences."""
    now = now or datetime.now(UTC)
    return invalid(certificate, now) or [
        f"{what} expires on {each.not_valid_after_utc:%Y-%m-%d}"
        for what, each in _chain(certificate)
        if now > each.not_valid_after_utc - EXPIRES_SOON
    ]


def first_expiry(certificates: Iterable[Certificate]) -> datetime | None:
    """When the first of them expires, chains included; None if there is none."""
    ends = [each.not_valid_after_utc for one in certificates for _, each in _chain(one)]
    return min(ends, default=None)


def invalid(certificate: Certificate, now: datetime | None = None) -> list[str]:
    """Why clients that verify would refuse it or its chain today, in sentences."""
    now = now or datetime.now(UTC)
    found: list[str] = []
    for what, each in _chain(certificate):
        if now < each.not_valid_before_utc:
            found.append(f"{what} is not valid before {each.not_valid_before_utc:%Y-%m-%d}")
        if now > each.not_valid_after_utc:
            found.append(f"{what} expired on {each.not_valid_after_utc:%Y-%m-%d}")
    return found


def _chain(certificate: Certificate) -> list[tuple[str, x509.Certificate]]:
    first, *others = x509.load_pem_x509_certificates(certificate.certificate_pem.encode())
    named = ((f'"{each.subject.rfc4514_string()}" in the TLS chain', each) for each in others)
    return [("the TLS certificate", first), *named]


def key_is_world_readable(path: str) -> bool:
    """Whether every user of this machine can read the private key's file (best effort)."""
    try:
        return bool(Path(path).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
