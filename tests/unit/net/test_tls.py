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

from forebay.embedded.certificates import Authority
from forebay.net.encryption import Encryption
from forebay.net.handshake import handshake_step
from forebay.net.tls import (
    ClientContexts,
    TLSConfigurationError,
    client_context,
    end_point_hash,
    has_name,
    host_names,
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


# ---- Several certificates, and those of clients --------------------------------------------------

AUTHORITY = Authority()


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a handshake that is done; raises what either of them does."""
    ours = Encryption.begin(server, server_side=True, server_hostname=None)
    theirs = Encryption.begin(client, server_side=False, server_hostname=name)
    is_done = [False, False]
    while not all(is_done):
        is_done[0] = handshake_step(theirs.sslobj)
        ours.incoming.write(theirs.outgoing.read())
        is_done[1] = handshake_step(ours.sslobj)
        theirs.incoming.write(ours.outgoing.read())
    return ours.sslobj, theirs.sslobj


def required(**settings: str) -> ssl.SSLContext:
    context = client_context("require", **settings)
    assert context is not None
    return context


def stored(directory: Path, *names: str, authority: Authority = AUTHORITY) -> dict[str, str]:
    """The files of a certificate of a client's own."""
    certificate, key = authority.issue(names)
    (directory / "client.crt").write_bytes(certificate)
    (directory / "client.key").write_bytes(key)
    return {"sslcert": str(directory / "client.crt"), "sslkey": str(directory / "client.key")}


NAMES = ("first.test", "one.test", "*.two.test", "both.test", "127.0.0.1")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("first.test", 0),
        ("one.test", 1),
        ("ONE.test", 1),
        ("a.two.test", 2),
        ("two.test", 0),
        ("a.b.two.test", 0),
        ("unknown.test", 0),
        ("both.test", 1),
        ("127.0.0.1", 0),  # addresses are never asked for
        (None, 0),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_certificate_that_a_client_asks_for(
    asked: str | None, shown: int, version: ssl.TLSVersion
) -> None:
    pairs = [
        AUTHORITY.issue(["first.test"]),
        AUTHORITY.issue(["one.test", "both.test", "127.0.0.1"]),
        AUTHORITY.issue(["*.two.test", "both.test"]),
    ]
    context = server_context(*pairs[0], *pairs[1:])
    client = required()
    client.maximum_version = version
    ours, theirs = shake_hands(context, client, asked)
    der = ssl.PEM_cert_to_DER_cert(pairs[shown][0].decode())
    assert theirs.getpeercert(binary_form=True) == der
    assert theirs.selected_alpn_protocol() == "postgresql"
    chosen = ours.context
    assert chosen.end_point == end_point_hash(der)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("names", "host", "has"),
    [
        ({"a.test"}, "A.Test", True),
        ({"a.test"}, "a.test.", True),
        ({"*.test"}, "a.test", True),
        ({"*.test"}, "test", False),
        ({"*.test"}, "*.test", True),
        ({"*.test"}, "a.b.test", False),
        ({"a*.test"}, "ab.test", False),
        ({"*"}, "test", False),
        ({"*."}, "test.", False),
        (set(), "", False),
    ],
)
def test_names_of_hosts(names: set[str], host: str, has: bool) -> None:
    assert has_name(names, host) is has


def test_the_names_in_a_certificate() -> None:
    certificate, _ = AUTHORITY.issue(["A.test", "*.b.test", "127.0.0.1"])
    assert host_names(ssl.PEM_cert_to_DER_cert(certificate.decode())) == {"a.test", "*.b.test"}
    only_common = signed(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    assert host_names(only_common) == frozenset()
    with pytest.raises(ValueError):
        host_names(b"nonsense")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_of_clients(tmp_path: Path, version: ssl.TLSVersion) -> None:
    pairs = AUTHORITY.issue(["one.test"]), AUTHORITY.issue(["two.test"])
    context = server_context(*pairs[0], pairs[1], client_ca_pem=AUTHORITY.certificate_pem)
    for files in ({}, stored(tmp_path, "app")):
        for name in ("one.test", "two.test"):
            client = required(**files)
            client.maximum_version = version
            ours, _ = shake_hands(context, client, name)
            assert (ours.getpeercert(binary_form=True) is not None) is bool(files)
            assert ours.context.verify_mode is ssl.CERT_OPTIONAL


@pytest.mark.parametrize(
    ("authority", "reason"),
    [
        (Authority("other"), "unable to get local issuer certificate"),
        (Authority("Forebay test authority"), "unable to get local issuer certificate"),
        (None, "certificate has expired"),
    ],
)
def test_certificates_that_nobody_vouches_for(
    tmp_path: Path, authority: Authority | None, reason: str
) -> None:
    trusted = AUTHORITY if authority else Authority("late", dt.timedelta(days=-30))
    context = server_context(CERTIFICATE, KEY, client_ca_pem=trusted.certificate_pem)
    client = required(**stored(tmp_path, "app", authority=authority or trusted))
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(context, client)
    assert reason in caught.value.verify_message


@pytest.mark.parametrize("pem", ["", "nonsense", KEY, "ä", CERTIFICATE[:200]])
def test_unusable_authorities(pem: str) -> None:
    with pytest.raises(TLSConfigurationError, match="the certificates of clients' authorities"):
        server_context(CERTIFICATE, KEY, client_ca_pem=pem)


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"sslkey": None}, "go together"),
        ({"sslcert": None}, "go together"),
        ({"sslcert": "/nonexistent/x"}, 'certificate file "/nonexistent/x" does not exist'),
        ({"sslkey": "/nonexistent/x"}, 'private key file "/nonexistent/x" does not exist'),
        ({"sslkey": "/"}, 'could not read private key file "/"'),
        ({"sslcert": os.devnull}, "cannot be used: "),
        ({"sslkey": os.devnull}, "cannot be used: "),
    ],
)
def test_our_own_certificate_cannot_be_used(
    tmp_path: Path, missing: dict[str, str | None], sentence: str
) -> None:
    files = stored(tmp_path, "app") | missing
    with pytest.raises(TLSConfigurationError, match=sentence):
        client_context("require", **files)  # type: ignore[arg-type]


def test_an_encrypted_key_of_our_own(tmp_path: Path) -> None:
    (tmp_path / "own.crt").write_text(CERTIFICATE)
    (tmp_path / "own.key").write_text(encrypted_key())
    with pytest.raises(TLSConfigurationError, match="the private key is encrypted"):
        required(sslcert=str(tmp_path / "own.crt"), sslkey=str(tmp_path / "own.key"))


def test_contexts_with_our_own_certificate_are_made_anew_when_it_changes(tmp_path: Path) -> None:
    contexts, files = ClientContexts(), stored(tmp_path, "app")
    first = contexts.get("require", **files)
    assert contexts.get("require", **files) is first
    assert contexts.get("require") is not first
    for path in files.values():
        os.utime(path, (1, 1))
        second = contexts.get("require", **files)
        assert second is not first
        first = second
