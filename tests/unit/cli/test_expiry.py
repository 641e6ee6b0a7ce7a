"""When the certificates of a proxy expire."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from forebay.cli.expiry import MAX_TOLD, Expiries, look
from forebay.config import ProxySettings, TargetSettings
from forebay.embedded.certificates import VALID_FOR, Authority
from forebay.node.certificates import Certificate
from forebay.node.materials import Material

NOW = dt.datetime.now(dt.UTC)
END = f"{NOW + VALID_FOR:%Y-%m-%d}"
LONG_AGO = dt.timedelta(days=-30)
LATER = dt.timedelta(days=30)


def proxy(target: dict[str, Any] | None = None, **settings: Any) -> ProxySettings:
    return ProxySettings(target=TargetSettings(hosts=["db"], **(target or {})), **settings)


def material(*pems: bytes, self_made: bool = False, client_ca: bytes | None = None) -> Material:
    made = [Certificate(pem.decode(), "", self_made) for pem in pems]
    return Material([], made, client_ca_pem=None if client_ca is None else client_ca.decode())


def told(found: Expiries) -> list[tuple[str, str]]:
    return [(each.what, each.day) for each in found.certificates]


def test_a_certificate_with_its_chain() -> None:
    authority = Authority("Root")
    certificate, _ = authority.issue(["db.example.com"])
    settings = proxy(tls_certificate="server.crt", tls_private_key="server.key")
    found = look(settings, material(certificate + authority.certificate_pem))
    assert told(found) == [
        ("tls_certificate server.crt (CN=db.example.com)", END),
        ("tls_certificate server.crt (CN=Root)", END),
    ]
    assert dt.datetime.fromisoformat(found.certificates[0].expires).tzinfo is not None
    assert (found.problems, found.warnings) == ([], [])


def test_several_and_one_that_was_made() -> None:
    one, _ = Authority().issue(["a"])
    other, _ = Authority().issue(["b"])
    settings = proxy(tls_certificate=["a.crt", "b.crt"], tls_private_key=["a.key", "b.key"])
    assert [what for what, _ in told(look(settings, material(one, other)))] == [
        "tls_certificate a.crt (CN=a)",
        "tls_certificate b.crt (CN=b)",
    ]
    found = look(proxy(), material(one, self_made=True))
    assert told(found) == [("tls_certificate self-made (CN=a)", END)]


def in_file(path: Path, *pems: bytes) -> str:
    path.write_bytes(b"".join(pems))
    return str(path)


def test_what_is_shown_to_the_database_and_what_is_trusted(tmp_path: Path) -> None:
    authority = Authority("Root")
    own, _ = authority.issue(["app"])
    target = {
        "sslmode": "verify-full",
        "sslcert": in_file(tmp_path / "own.crt", own),
        "sslkey": "own.key",
        "sslrootcert": in_file(tmp_path / "ca.crt", authority.certificate_pem),
    }
    settings = proxy(target, tls_client_ca="clients.crt")
    found = look(settings, material(client_ca=Authority("Clients").certificate_pem))
    assert told(found) == [
        ("tls_client_ca clients.crt (CN=Clients)", END),
        (f"target.sslcert {tmp_path}/own.crt (CN=app)", END),
        (f"target.sslrootcert {tmp_path}/ca.crt (CN=Root)", END),
    ]
    assert found.problems == []
    assert [text.endswith(f" expires on {END}") for text in found.warnings] == [True] * 3
    before = dt.datetime.now(dt.UTC) + VALID_FOR - dt.timedelta(days=20)
    assert "is not valid today" in look(settings, material(), before).problems[0]


def test_of_many_authorities_the_first_to_end_is_told(tmp_path: Path) -> None:
    pems = [Authority(f"A{n}", LATER / 30 * n).certificate_pem for n in range(MAX_TOLD + 1)]
    bundle = in_file(tmp_path / "ca.crt", *reversed(pems))
    target = {"sslmode": "verify-full", "sslrootcert": bundle}
    found = look(proxy(target), material())
    assert told(found) == [(f"target.sslrootcert {bundle}, the first of 6 to end (CN=A0)", END)]


def test_the_systems_authorities_are_its_own_affair() -> None:
    target = {"sslmode": "verify-full", "sslrootcert": "system"}
    assert look(proxy(target), material()) == Expiries()


@pytest.mark.parametrize(
    ("key", "end"),
    [
        ("tls_client_ca", "clients can't be verified by it"),
        ("target.sslcert", "the database won't take it"),
        ("target.sslrootcert", "the database can't be verified by it"),
    ],
)
@pytest.mark.parametrize("moved_by", [LONG_AGO, LATER])
def test_what_is_not_valid(key: str, end: str, moved_by: dt.timedelta, tmp_path: Path) -> None:
    pem = Authority("A", moved_by).certificate_pem
    path = in_file(tmp_path / "a.crt", pem)
    if key == "tls_client_ca":
        found = look(proxy(tls_client_ca=path), material(client_ca=pem))
    else:
        given = {key.removeprefix("target."): path}
        found = look(proxy(given | ({"sslkey": "k"} if "sslcert" in given else {})), material())
    (text,) = found.problems
    assert text.startswith(f"{key} {path} is not valid today (")
    assert text.endswith(f"): {end}")
    assert len(found.certificates) == 1


def test_one_of_several_authorities_is_not_valid(tmp_path: Path) -> None:
    old, new = Authority("Old", LONG_AGO), Authority("New", dt.timedelta(days=20))
    now = NOW + dt.timedelta(days=20)
    path = in_file(tmp_path / "ca.crt", old.certificate_pem, new.certificate_pem)
    found = look(proxy({"sslrootcert": path}), material(), now)
    assert found.problems == []
    assert found.warnings[0] == (
        f"target.sslrootcert {path}: 1 of its 2 certificates are not valid"
    )


@pytest.mark.parametrize("content", [None, b"nonsense", b"-----BEGIN CERTIFICATE-----\nhunter2\n"])
def test_a_file_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "own.crt"
    if content is not None:
        path.write_bytes(content)
    found = look(proxy({"sslcert": str(path), "sslkey": "k"}), material())
    (text,) = found.problems
    assert text.startswith(f"target.sslcert: {path}: ")
    assert "hunter2" not in text
