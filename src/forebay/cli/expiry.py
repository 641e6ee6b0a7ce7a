"""Certificates of a proxy with their ends: its own, those that it trusts, and the one that it shows
to the database.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from cryptography import x509

from forebay.config import ProxySettings
from forebay.node.certificates import EXPIRES_SOON, CertificateError, read_authorities
from forebay.node.materials import Material

# Of more in one file, as the system's authorities are, the one that ends first is told.
MAX_TOLD = 5


class CertificateReport(msgspec.Struct, frozen=True, kw_only=True):
    """``what``: the key that names it, and whose it is. ``expires``: in ISO 8601."""

    what: str
    expires: str

    @property
    def day(self) -> str:
        return self.expires[:10]


@dataclass(slots=True)
class Expiries:
    """All of them, and what is not well of those that nothing else tells about."""

    certificates: list[CertificateReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look(proxy: ProxySettings, material: Material, now: datetime | None = None) -> Expiries:
    """Reads the files that are not in the material."""
    now = now or datetime.now(UTC)
    found = Expiries()
    files = [certificate for certificate, _ in proxy.certificate_files()]
    for index, certificate in enumerate(material.certificates):
        name = "self-made" if certificate.self_made else files[index]
        found.certificates += _told(f"tls_certificate {name}", certificate.certificate_pem)
    if material.client_ca_pem is not None:
        what = f"tls_client_ca {proxy.tls_client_ca}"
        found.certificates += _told(what, material.client_ca_pem)
        _judge(found, what, material.client_ca_pem, now, "clients can't be verified by it")
    target = proxy.target
    for key, path, end in (
        ("target.sslcert", target.sslcert, "the database won't take it"),
        ("target.sslrootcert", target.sslrootcert, "the database can't be verified by it"),
    ):
        if path is None or path == "system":
            continue
        try:
            pem = read_authorities(path) or ""
        except CertificateError as error:
            found.problems.append(f"{key}: {error}")
            continue
        found.certificates += _told(f"{key} {path}", pem)
        _judge(found, f"{key} {path}", pem, now, end)
    return found


def _told(what: str, pem: str) -> Iterator[CertificateReport]:
    parsed = x509.load_pem_x509_certificates(pem.encode())
    if len(parsed) > MAX_TOLD:
        first = min(parsed, key=lambda each: each.not_valid_after_utc)
        what, parsed = f"{what}, the first of {len(parsed)} to end", [first]
    for each in parsed:
        whose = each.subject.rfc4514_string()
        expires = each.not_valid_after_utc.isoformat()
        yield CertificateReport(what=f"{what} ({whose})" if whose else what, expires=expires)


def _judge(found: Expiries, what: str, pem: str, now: datetime, end: str) -> None:
    """Notes a file in which no certificate is valid, and one in which some are not, or not long."""
    parsed = x509.load_pem_x509_certificates(pem.encode())
    valid = [
        each for each in parsed if each.not_valid_before_utc <= now <= each.not_valid_after_utc
    ]
    if not valid:
        dates = ", ".join(
            f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
            for each in parsed[:MAX_TOLD]
        )
        found.problems.append(f"{what} is not valid today ({dates}): {end}")
        return
    gone = len(parsed) - len(valid)
    if gone:
        found.warnings.append(f"{what}: {gone} of its {len(parsed)} certificates are not valid")
    soon = [each for each in valid if now > each.not_valid_after_utc - EXPIRES_SOON]
    if len(soon) == len(valid):
        last = max(each.not_valid_after_utc for each in soon)
        found.warnings.append(f"{what} expires on {last:%Y-%m-%d}")
