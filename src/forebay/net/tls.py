"""TLS contexts for both sides, and the certificate that is made when none is given.

A server context knows the hash of its own certificate (tls-server-end-point, RFC 5929), which SCRAM
binds to and which Python's ssl module does not tell.
"""

import datetime as dt
import functools
import hashlib
import ipaddress
import ssl
import tempfile
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ALPN: Final = "postgresql"
"""PostgreSQL 17's ALPN name, without which direct TLS is refused."""
SSLMODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SYSTEM_ROOTS: Final = "system"
"""The sslrootcert that stands for the roots the operating system trusts, as in libpq."""
SELF_SIGNED_DAYS: Final = 825


class TLSConfigurationError(ValueError):
    """A certificate, key or root that cannot be used; the message says which and why."""


class ServerContext(ssl.SSLContext):
    """A server's SSLContext that knows its certificate's hash for channel binding.

    `end_point` is None if the certificate's signature names no hash (Ed25519): then channel binding
    is not offered, as PostgreSQL does not.
    """

    end_point: bytes | None = None


def server_context(certificate_pem: str | bytes, private_key_pem: str | bytes) -> ServerContext:
    """The context for clients: TLS 1.2 or newer, session tickets, ALPN "postgresql".

    The certificate may be followed by its chain. Raises TLSConfigurationError.
    """
    certificate, key = _as_bytes(certificate_pem), _as_bytes(private_key_pem)
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # One ticket is enough to resume with; each more costs every login time and bytes.
    context.num_tickets = 1
    _load_chain(context, certificate, key)
    try:
        der = ssl.PEM_cert_to_DER_cert(_first_certificate(certificate))
        context.end_point = end_point_hash(der)
    except ValueError as error:
        raise TLSConfigurationError(f"the TLS certificate cannot be read: {error}") from None
    return context


def _load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # OpenSSL, as Python wraps it, takes files only. This one is readable by its owner alone and is
    # gone before this function returns.
    with tempfile.NamedTemporaryFile(prefix="forebay-", suffix=".pem") as file:
        file.write(key.rstrip() + b"\n" + certificate)
        file.flush()
        try:
            # An encrypted key would make OpenSSL ask for its password on the terminal.
            context.load_cert_chain(file.name, password=_refuse_password)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise TLSConfigurationError(
                f"the TLS certificate and private key cannot be used: {reason}"
            ) from None


def _as_bytes(pem: str | bytes) -> bytes:
    return pem.encode("utf-8") if isinstance(pem, str) else pem


def _refuse_password() -> str:
    raise ValueError("the private key is encrypted")


def _first_certificate(pem: bytes) -> str:
    begin = pem.find(b"-----BEGIN CERTIFICATE-----")
    end_mark = b"-----END CERTIFICATE-----"
    end = pem.find(end_mark, begin)
    if begin < 0 or end < 0:
        raise ValueError("no certificate in it")
    return pem[begin : end + len(end_mark)].decode("ascii")


@functools.lru_cache(maxsize=64)
def end_point_hash(certificate_der: bytes) -> bytes | None:
    """The tls-server-end-point channel binding of a certificate (RFC 5929, section 4.1).

    The hash is that of the certificate's own signature, SHA-256 in place of MD5 and SHA-1; None if
    the signature names none. Raises ValueError for what is no certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    except x509.InvalidVersion as error:  # OpenSSL takes it
        raise ValueError(str(error)) from None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name.replace("-", "_"), certificate_der).digest()


def self_signed_certificate(
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
    now: dt.datetime | None = None,
) -> tuple[str, str]:
    """Makes an ECDSA P-256 certificate for these host names and addresses.

    Returns (certificate, private key), both PEM. A client with sslmode=verify-full accepts it if it
    is given the certificate as sslrootcert.
    """
    now = now or dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(identifier, False)
        .sign(key, hashes.SHA256())
    )
    private_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private_key.decode()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def client_context(sslmode: str, sslrootcert: str | None = None) -> ssl.SSLContext | None:
    """The context for database connections, by libpq's words; None for "disable".

    As in libpq, a root certificate is checked against in every mode that is given one,
    "verify-full" checks the host's name too, and "system" stands for the system's roots (and for
    verify-full). Raises TLSConfigurationError.
    """
    if sslmode not in SSLMODES:
        raise TLSConfigurationError(f'invalid sslmode value: "{sslmode}"')
    if sslmode == "disable":
        return None
    if sslrootcert == SYSTEM_ROOTS and sslmode != "verify-full":
        raise TLSConfigurationError(
            f'weak sslmode "{sslmode}" may not be used with sslrootcert=system (use "verify-full")'
        )
    if sslrootcert is None and sslmode.startswith("verify-"):
        raise TLSConfigurationError(f"sslmode={sslmode} needs sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.check_hostname = sslmode == "verify-full"
    context.verify_mode = ssl.CERT_NONE if sslrootcert is None else ssl.CERT_REQUIRED
    if sslrootcert == SYSTEM_ROOTS:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    elif sslrootcert is not None:
        try:
            context.load_verify_locations(cafile=sslrootcert)
        except FileNotFoundError:
            raise TLSConfigurationError(
                f'root certificate file "{sslrootcert}" does not exist'
            ) from None
        except (OSError, ssl.SSLError) as error:
            raise TLSConfigurationError(
                f'could not read root certificate file "{sslrootcert}": {error}'
            ) from None
    return context


class ClientContexts:
    """Keeps client contexts, for reading a bundle of roots costs milliseconds."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str | None], tuple[int, ssl.SSLContext | None]] = {}

    def get(self, sslmode: str, sslrootcert: str | None = None) -> ssl.SSLContext | None:
        """As `client_context`, but the same object for as long as the file of roots is the same."""
        changed_ns = _changed_ns(sslrootcert)
        kept = self._kept.get((sslmode, sslrootcert))
        if kept is None or kept[0] != changed_ns:
            kept = changed_ns, client_context(sslmode, sslrootcert)
            self._kept[sslmode, sslrootcert] = kept
        return kept[1]


def _changed_ns(path: str | None) -> int:
    if path is None or path == SYSTEM_ROOTS:
        return 0
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return -1


def ssl_reason(error: ssl.SSLError) -> str:
    """What went wrong in OpenSSL's words, without Python's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or "connection closed").replace("_", " ").lower()
