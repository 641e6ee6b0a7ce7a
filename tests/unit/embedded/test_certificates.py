import ssl
from pathlib import Path

import pytest

from forebay.embedded.certificates import Authority


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A whole handshake in memory; raises what the client thinks of the certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(to_client, to_server, server_hostname=name)
    here = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (there, here):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass


def contexts(authority: Authority, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    certificate, key = authority.issue(["localhost", "127.0.0.1"])
    (directory / "crt").write_bytes(certificate)
    (directory / "key").write_bytes(key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "crt", directory / "key")
    client = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    return server, client


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_certificate_holds_for_its_names(tmp_path: Path, name: str) -> None:
    shake_hands(*contexts(Authority(), tmp_path), name)


def test_it_does_not_hold_for_others(tmp_path: Path) -> None:
    server, client = contexts(Authority(), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "elsewhere.example")


def test_another_authority_does_not_vouch_for_it(tmp_path: Path) -> None:
    server, _ = contexts(Authority(), tmp_path)
    _, client = contexts(Authority("another"), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, client, "localhost")
