"""To whom a client's certificate is issued."""

import datetime as dt
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from forebay.net.login.certificates import MAX_SHOWN, ClientCertificate

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*common: str, others: list[x509.GeneralName] | None = None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each) for each in common])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if others is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_names() -> None:
    others = [
        x509.DNSName("web.test"),
        x509.RFC822Name("app@mail.test"),
        x509.UniformResourceIdentifier("spiffe://test/app"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    ]
    read = ClientCertificate.parse(certificate("app", "other", others=others))
    assert read.names == ("app", "web.test", "app@mail.test", "spiffe://test/app")
    assert ClientCertificate.parse(certificate("äpp")).names == ("äpp",)
    assert ClientCertificate.parse(certificate(others=[])).names == ()


@pytest.mark.parametrize(
    ("user", "others", "right"),
    [
        ("app", (), True),
        ("web.test", (), True),
        ("admin", ("x", "web.test"), True),
        ("App", (), False),
        ("ap", (), False),
        ("", (), False),
        ("test", (), False),
    ],
)
def test_whose_it_is(user: str, others: tuple[str, ...], right: bool) -> None:
    assert ClientCertificate(("app", "web.test")).is_of(user, others) is right


def test_nothing_is_made_of_what_cannot_be_read() -> None:
    for der in (b"", b"nonsense", certificate("app")[:-1], certificate("app") + b"x"):
        assert ClientCertificate.parse(der).names == ()
    assert not ClientCertificate(()).is_of("")


def test_what_the_log_says() -> None:
    assert ClientCertificate(()).wrong_name == "the certificate has no name that could be a user's"
    few = ClientCertificate(("app", 'x"\n', "y" * 200)).wrong_name
    assert few == f'the certificate is issued to "app", "x??", "{"y" * (MAX_SHOWN - 1)}…"'
    assert ClientCertificate(tuple("abcdef")).wrong_name.endswith('"d", "e", …')
