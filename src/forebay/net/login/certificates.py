"""Certificates of clients: to whom they are issued.

Whether a certificate is valid (signed by the authority that is configured, not expired, meant for
clients) OpenSSL decides in the handshake, which fails otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

MAX_SHOWN_NAMES: Final = 5
MAX_SHOWN: Final = 128
"""How many characters of a name that a certificate claims stand in a sentence."""

_UNREADABLE: Final = (
    ValueError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The names that a certificate is issued to: its CN first (PostgreSQL's choice, where it has
    several the first), then its alternative names that are DNS names, mail addresses and URIs."""

    names: tuple[str, ...]

    @classmethod
    def parse(cls, der: bytes) -> "ClientCertificate":
        """Reads a certificate; without names if it cannot be read."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            names = [str(each.value) for each in common[:1]]
            names += _alternative_names(certificate)
        except _UNREADABLE:
            return cls(())
        return cls(tuple(names))

    def is_of(self, user: str, others: Iterable[str] = ()) -> bool:
        """Whether it is issued to this user, or to one of the other names. Upper and lower case
        differ, as in PostgreSQL."""
        return not {user, *others}.isdisjoint(self.names)

    @property
    def wrong_name(self) -> str:
        """Why it is refused, for the log."""
        if not self.names:
            return "the certificate has no name that could be a user's"
        shown = ", ".join(f'"{_shown(name)}"' for name in self.names[:MAX_SHOWN_NAMES])
        more = ", …" if len(self.names) > MAX_SHOWN_NAMES else ""
        return f"the certificate is issued to {shown}{more}"


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [
        name
        for kind in (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier)
        for name in extension.value.get_values_for_type(kind)
    ]


def _shown(text: str) -> str:
    text = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return "".join(c if c.isprintable() and c != '"' else "?" for c in text)
