import pytest
from scramp import ScramMechanism

from bench.wire import ClientError, Scram, error_text, keys, parse_row


def test_row() -> None:
    body = b"\0\3" + b"\0\0\0\2ab" + b"\xff\xff\xff\xff" + b"\0\0\0\0"
    assert parse_row(body) == ["ab", None, ""]


def test_error() -> None:
    assert error_text(b"SFATAL\0C28P01\0Mno entry\0\0") == "28P01: no entry"
    assert error_text(b"") == "?????: no message"


def test_scram_against_another_implementation() -> None:
    mechanism = ScramMechanism("SCRAM-SHA-256")
    secrets = mechanism.make_auth_info("secret", iteration_count=4096)
    server = mechanism.make_server(lambda _: secrets)
    client = Scram("secret", user="app")
    server.set_client_first(client.first().decode())
    final = client.final(server.get_server_first().encode())
    server.set_client_final(final.decode())
    client.verify(server.get_server_final().encode())
    with pytest.raises(ClientError, match="signature"):
        client.verify(b"v=AAAA")


def test_scram_refuses_another_nonce() -> None:
    with pytest.raises(ClientError, match="challenge"):
        Scram("secret").final(b"r=other,s=AAAA,i=4096")


def test_a_password_is_stretched_once_per_salt() -> None:
    assert keys("p", b"salt", 4096) is keys("p", b"salt", 4096)
    assert keys("p", b"salt", 4096) != keys("p", b"tlas", 4096)
