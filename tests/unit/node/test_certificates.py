import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from forebay.config import ProxySettings, TargetSettings
from forebay.net.tls import self_signed_certificate
from forebay.node.certificates import (
    CertificateError,
    Certificates,
    concerns,
    fingerprint,
    key_is_world_readable,
    read,
    self_made,
)

PROXY = ProxySettings(
    listen=["db.example.org:5432", "127.0.0.1:0"], target=TargetSettings(hosts=["h"])
)


def write(folder: Path) -> tuple[str, str]:
    certificate, key = self_signed_certificate()
    (folder / "c.pem").write_text(certificate)
    (folder / "k.pem").write_text(key)
    return str(folder / "c.pem"), str(folder / "k.pem")


def test_a_self_made_one_stays_the_same() -> None:
    kept = Certificates()
    (first,) = kept.get("app", PROXY)
    assert first.self_made
    assert kept.get("app", PROXY)[0] is first
    assert kept.get("other", PROXY) != [first]
    assert "PRIVATE" not in repr(first)


def test_a_self_made_one_names_what_is_listened_on() -> None:
    parsed = x509.load_pem_x509_certificate(self_made(PROXY).certificate_pem.encode())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "db.example.org"]


def test_a_self_made_one_has_names_as_certificates_write_them() -> None:
    listen = ["bücher.example:1", "a..b:1"]
    proxy = ProxySettings(listen=listen, target=TargetSettings(hosts=["h"]))
    parsed = x509.load_pem_x509_certificate(self_made(proxy).certificate_pem.encode())
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "xn--bcher-kva.example"]


def test_files_are_read_and_fit(tmp_path: Path) -> None:
    certificate = read(*write(tmp_path))
    assert not certificate.self_made
    der = ssl.PEM_cert_to_DER_cert(certificate.certificate_pem)
    assert fingerprint(certificate) == hashlib.sha256(der).hexdigest()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    certificate, key = write(tmp_path)
    (tmp_path / "other.pem").write_text(self_signed_certificate()[1])
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").touch()
    for pair, said in (
        ((str(tmp_path / "absent"), key), "absent: can't be read: No such file"),
        ((certificate, str(tmp_path / "absent")), "absent: can't be read: No such file"),
        ((str(tmp_path / "a\0b"), key), "b: can't be read: embedded null byte"),
        ((str(tmp_path / "binary"), key), "is not PEM text"),
        ((certificate, str(tmp_path / "other.pem")), "other.pem: "),
        ((str(tmp_path / "empty"), key), "empty, "),
        ((key, certificate), "k.pem, "),
    ):
        with pytest.raises(CertificateError) as caught:
            read(*pair)
        assert said in str(caught.value)
        assert "BEGIN" not in str(caught.value)


def test_dates(tmp_path: Path) -> None:
    certificate = read(*write(tmp_path))
    now = datetime.now(UTC)
    assert concerns(certificate, now) == []
    assert "not valid before" in concerns(certificate, now - timedelta(days=2))[0]
    assert "expires on" in concerns(certificate, now + timedelta(days=820))[0]
    assert "expired on" in concerns(certificate, now + timedelta(days=830))[0]


def test_the_mode_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.touch(0o600)
    assert not key_is_world_readable(str(path))
    path.chmod(0o644)
    assert key_is_world_readable(str(path))
    assert not key_is_world_readable("/nowhere")
