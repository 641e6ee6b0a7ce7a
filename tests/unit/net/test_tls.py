"""TLS contexts and certificates."""

import datetime as dt
import hashlib
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from forebay.net.tls import (
    ClientContexts,
    TLSConfigurationError,
    client_context,
    end_point_hash,
    self_signed_certificate,
    server_context,
)

CERTIFICATE, KEY = self_signed_certificate()


def signed(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    hashing: hashes.HashAlgorithm | None,
) -> bytes:
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    return builder.sign(key, hashing).public_bytes(serialization.Encoding.DER)


def test_self_signed_certificate() -> None:
    certificate = x509.load_pem_x509_certificate(CERTIFICATE.encode())
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_server_context() -> None:
    context = server_context(CERTIFICATE, KEY.encode())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert not context.options & ssl.OP_NO_TICKET
    der = ssl.PEM_cert_to_DER_cert(CERTIFICATE)
    assert context.end_point == hashlib.sha256(der).digest()


def test_the_leaf_of_a_chain_counts() -> None:
    other, _ = self_signed_certificate(("other.test",))
    context = server_context(CERTIFICATE + other, KEY)
    assert context.end_point == hashlib.sha256(ssl.PEM_cert_to_DER_cert(CERTIFICATE)).digest()


def test_end_point_hash_follows_the_signature() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    der = signed(key, hashes.SHA384())
    assert end_point_hash(der) == hashlib.sha384(der).digest()
    assert end_point_hash(signed(ed25519.Ed25519PrivateKey.generate(), None)) is None
    with pytest.raises(ValueError):
        end_point_hash(b"nonsense")


def test_a_certificate_of_an_unknown_version() -> None:
    """OpenSSL does not mind: a database may show one."""
    der = ssl.PEM_cert_to_DER_cert(CERTIFICATE)
    version = der.index(b"\xa0\x03\x02\x01\x02") + 4
    with pytest.raises(ValueError, match="not a valid X509 version"):
        end_point_hash(der[:version] + b"\x01" + der[version + 1 :])


def encrypted_key() -> str:
    key = serialization.load_pem_private_key(KEY.encode(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return pem.decode()


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        ("", ""),
        (CERTIFICATE, ""),
        ("", KEY),
        (CERTIFICATE, self_signed_certificate()[1]),
        (CERTIFICATE, encrypted_key()),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", KEY),
    ],
)
def test_unusable_certificates(certificate: str, key: str) -> None:
    with pytest.raises(TLSConfigurationError) as caught:
        server_context(certificate, key)
    assert "PRIVATE" not in str(caught.value)


def test_client_contexts_by_sslmode(tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.write_text(CERTIFICATE)
    assert client_context("disable") is None
    for mode in ("allow", "prefer", "require"):
        context = client_context(mode)
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    for mode, hostname in (("require", False), ("verify-ca", False), ("verify-full", True)):
        context = client_context(mode, str(root))
        assert context is not None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, hostname)
    system = client_context("verify-full", "system")
    assert system is not None
    assert system.check_hostname


@pytest.mark.parametrize(
    ("mode", "root"),
    [
        ("nonsense", None),
        ("verify-ca", None),
        ("verify-full", None),
        ("require", "system"),
        ("require", "/nonexistent/root.crt"),
        ("verify-full", os.devnull),
    ],
)
def test_unusable_client_settings(mode: str, root: str | None) -> None:
    with pytest.raises(TLSConfigurationError):
        client_context(mode, root)


def test_contexts_are_kept_until_the_file_changes(tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.write_text(CERTIFICATE)
    contexts = ClientContexts()
    first = contexts.get("verify-full", str(root))
    assert contexts.get("verify-full", str(root)) is first
    assert contexts.get("verify-ca", str(root)) is not first
    os.utime(root, (1, 1))
    assert contexts.get("verify-full", str(root)) is not first
    root.unlink()
    with pytest.raises(TLSConfigurationError):
        contexts.get("verify-full", str(root))
    assert contexts.get("prefer") is contexts.get("prefer")
