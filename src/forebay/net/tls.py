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
from collections.abc import Collection
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


_ClientFiles = tuple[str, str | None, str | None, str | None]
_States = list[tuple[int, int] | None]


class TLSConfigurationError(ValueError):
    """A certificate, key or root that cannot be used; the message says which and why."""


class ServerContext(ssl.SSLContext):
    """A server's SSLContext that knows its certificate's hash for channel binding.

    `end_point` is None if the certificate's signature names no hash (Ed25519): then channel binding
    is not offered, as PostgreSQL does not. `host_names` are those that the certificate is for.
    """

    end_point: bytes | None = None
    host_names: frozenset[str] = frozenset()


def server_context(
    certificate_pem: str | bytes,
    private_key_pem: str | bytes,
    *more: tuple[str | bytes, str | bytes],
    client_ca_pem: str | bytes | None = None,
) -> ServerContext:
    """The context for clients: TLS 1.2 or newer, session tickets, ALPN "postgresql".

    A certificate may be followed by its chain. `more` are further (certificate, private key): the
    client sees the first one that has the name it asks for (SNI), and the first of all if none has,
    or it asks for none. With `client_ca_pem` clients may show certificates; one that these
    authorities do not vouch for ends the handshake. Raises TLSConfigurationError.
    """
    contexts = [
        _server_context(_as_bytes(certificate), _as_bytes(key), client_ca_pem)
        for certificate, key in ((certificate_pem, private_key_pem), *more)
    ]
    first = contexts[0]
    if more:
        first.sni_callback = functools.partial(_choose, tuple(contexts))
    return first


def _server_context(
    certificate: bytes, key: bytes, client_ca_pem: str | bytes | None
) -> ServerContext:
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
        context.host_names = host_names(der)
    except ValueError as error:
        raise TLSConfigurationError(f"the TLS certificate cannot be read: {error}") from None
    if client_ca_pem is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(cadata=_as_bytes(client_ca_pem).decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or "there is no certificate in it"
            raise TLSConfigurationError(
                f"the certificates of clients' authorities cannot be used: {reason}"
            ) from None
    return context


def _choose(
    contexts: tuple[ServerContext, ...],
    sslobj: ssl.SSLObject,
    name: str | None,
    _: ssl.SSLContext,
) -> None:
    """Puts another context in place of the one that the handshake has begun with."""
    chosen = next((each for each in contexts if name and has_name(each.host_names, name)), None)
    if chosen is not None and chosen is not contexts[0]:
        sslobj.context = chosen


def host_names(certificate_der: bytes) -> frozenset[str]:
    """The host names that a certificate is for, in lower case: its alternative names, or its common
    name if it has no alternative names. Raises ValueError for what is no certificate."""
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        kind = x509.SubjectAlternativeName
        names = certificate.extensions.get_extension_for_class(kind).value
        found = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found = [str(each.value) for each in common]
    except (
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ValueError(str(error)) from None
    return frozenset(name.lower() for name in found)


def has_name(names: Collection[str], host: str) -> bool:
    """Whether a host's name is among these, of which "*.example.com" stands for all with one more
    label (RFC 6125, section 6.4.3)."""
    host = host.lower().removesuffix(".")
    _, dot, parent = host.partition(".")
    return host in names or (bool(dot) and f"*.{parent}" in names)


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


def client_context(
    sslmode: str,
    sslrootcert: str | None = None,
    sslcert: str | None = None,
    sslkey: str | None = None,
) -> ssl.SSLContext | None:
    """The context for database connections, by libpq's words; None for "disable".

    As in libpq, a root certificate is checked against in every mode that is given one,
    "verify-full" checks the host's name too, and "system" stands for the system's roots (and for
    verify-full). `sslcert` and `sslkey` are the files of our own certificate (its chain may follow)
    and private key; both or none. Raises TLSConfigurationError.
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
    if sslcert is not None or sslkey is not None:
        _load_own(context, sslcert, sslkey)
    return context


def _load_own(context: ssl.SSLContext, sslcert: str | None, sslkey: str | None) -> None:
    if sslcert is None or sslkey is None:
        raise TLSConfigurationError("sslcert and sslkey go together: one of them is missing")
    for path, what in ((sslcert, "certificate file"), (sslkey, "private key file")):
        try:
            with Path(path).open("rb"):
                pass
        except FileNotFoundError:
            raise TLSConfigurationError(f'{what} "{path}" does not exist') from None
        except OSError as error:
            raise TLSConfigurationError(f'could not read {what} "{path}": {error}') from None
    try:
        context.load_cert_chain(sslcert, sslkey, password=_refuse_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise TLSConfigurationError(
            f'certificate "{sslcert}" and private key "{sslkey}" cannot be used: {reason}'
        ) from None


class ClientContexts:
    """Keeps client contexts, for reading a bundle of roots costs milliseconds."""

    def __init__(self) -> None:
        self._kept: dict[_ClientFiles, tuple[_States, ssl.SSLContext | None]] = {}

    def get(
        self,
        sslmode: str,
        sslrootcert: str | None = None,
        sslcert: str | None = None,
        sslkey: str | None = None,
    ) -> ssl.SSLContext | None:
        """As `client_context`, but the same object for as long as the files are the same."""
        wanted = sslmode, sslrootcert, sslcert, sslkey
        states = [_state(path) for path in wanted[1:]]
        kept = self._kept.get(wanted)
        if kept is None or kept[0] != states:
            kept = states, client_context(*wanted)
            self._kept[wanted] = kept
        return kept[1]


def _state(path: str | None) -> tuple[int, int] | None:
    """What is another when a file has changed, or another has taken its place; None if there is no
    such file."""
    if path is None or path == SYSTEM_ROOTS:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def ssl_reason(error: ssl.SSLError) -> str:
    """What went wrong in OpenSSL's words, without Python's file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or "connection closed").replace("_", " ").lower()
