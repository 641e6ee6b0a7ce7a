"""What is kept of passwords, in each of the forms in which they may be known."""

import base64
import hashlib

import pytest

from forebay.net.login.kept import (
    MAX_CLEAR_PASSWORD_BYTES,
    ClearPasswords,
    Kept,
    UserEntry,
    derive,
    method_for,
)
from forebay.protocol import md5, scram


def stored_scram(password: str, salt: bytes = b"0123456789abcdef", iterations: int = 10) -> str:
    keys = scram.ClientKeys.derive(password, salt, iterations)
    encoded = (base64.b64encode(each).decode() for each in (salt, keys.stored_key, keys.server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *encoded)


SCRAM = stored_scram("secret")
MD5 = "md5" + md5.stored_hash("app", "secret")


@pytest.mark.parametrize(
    ("method", "passwords", "asked_by"),
    [
        ("md5", ("x",), "md5"),
        ("md5", (MD5,), "md5"),
        ("md5", (SCRAM,), "scram-sha-256"),
        ("md5", (SCRAM, "old"), "scram-sha-256"),
        ("md5", ("new", SCRAM), "md5"),
        ("md5", (MD5, SCRAM), "md5"),
        ("md5", (), "md5"),
        ("scram-sha-256", (MD5, "x"), "scram-sha-256"),
        ("scram-sha-256", (SCRAM, MD5), "scram-sha-256"),
        ("scram-sha-256", (), "scram-sha-256"),
        ("iam-or-md5", (SCRAM,), "iam-or-scram-sha-256"),
        ("iam-or-md5", (MD5,), "iam-or-md5"),
        ("iam", (MD5,), "iam"),
        ("cert", (), "cert"),
        ("trust", (SCRAM,), "trust"),
    ],
)
def test_the_newest_password_decides(
    method: str, passwords: tuple[str, ...], asked_by: str
) -> None:
    assert method_for(UserEntry("app", passwords, method)) == asked_by


@pytest.mark.parametrize("method", ["scram-sha-256", "iam-or-scram-sha-256"])
def test_an_md5_hash_cannot_be_proved_by_scram(method: str) -> None:
    with pytest.raises(ValueError) as caught:
        method_for(UserEntry("app", (MD5, MD5), method))
    way_out = method.replace("scram-sha-256", "md5")
    assert f'user "app" is known, which {method} cannot do with: use {way_out},' in str(
        caught.value
    )
    assert MD5[3:] not in str(caught.value)


def test_too_many_iterations() -> None:
    stored = SCRAM.replace("$10:", "$1000001:")
    with pytest.raises(ValueError, match='"app" has more than 1000000 iterations'):
        method_for(UserEntry("app", (stored,), "scram-sha-256"))
    assert method_for(UserEntry("app", (stored,), "iam")) == "iam"


def test_md5() -> None:
    kept = derive("app", "md5", ("new", MD5, SCRAM))
    assert kept == Kept(hashes=(md5.stored_hash("app", "new"), MD5[3:]))


def test_plain_passwords_keep_their_salt() -> None:
    first = derive("app", "scram-sha-256", ("new", "old"))
    second = derive("app", "scram-sha-256", ("newest", "new"))
    other = derive("other", "scram-sha-256", ("new",))
    assert first.verifiers[0] == second.verifiers[1]
    assert len({each.question for each in first.verifiers + second.verifiers}) == 1
    assert other.verifiers[0].salt != first.verifiers[0].salt
    assert first.verifiers[0].iterations == 4096
    assert not any(each.is_all_that_is_known for each in first.verifiers)


def test_a_stored_verifier_brings_its_salt() -> None:
    other = stored_scram("other", b"another salt....")
    same = stored_scram("same")
    kept = derive("app", "scram-sha-256", ("plain", SCRAM, other, MD5, same))
    assert kept.verifiers == (
        scram.make_verifier("plain", b"0123456789abcdef", 10),
        scram.Verifier.parse(SCRAM),
        scram.Verifier.parse(same),
    )
    assert [each.is_all_that_is_known for each in kept.verifiers] == [False, True, True]


@pytest.mark.parametrize("method", ["iam", "cert", "trust"])
def test_passwords_that_do_not_count(method: str) -> None:
    assert derive("app", method, ("x", MD5, SCRAM)) == Kept()


@pytest.mark.parametrize("method", ["iam-or-md5", "iam-or-scram-sha-256"])
@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("plain", True),
        ("by md5", True),
        ("by scram", True),
        ("by other scram", True),
        ("secret", False),
        ("", False),
        (MD5, False),
        ("x" * 70, False),
        ("x" * (MAX_CLEAR_PASSWORD_BYTES + 1), False),
        ("\udcff", False),
    ],
)
async def test_in_clear_each_form_can_be_proved(method: str, answer: str, right: bool) -> None:
    others = (stored_scram("by scram"), stored_scram("by other scram", b"x"))
    stored = ("md5" + md5.stored_hash("app", "by md5"), *others)
    kept = derive("app", method, ("plain", *stored))
    assert kept.clear is not None
    sent = answer.encode("utf-8", "surrogateescape")
    proof = kept.clear.find("app", sent)
    assert (proof is not None) is (right and "scram" not in answer)
    proof = proof or await kept.clear.find_verifier(sent)
    assert (proof is not None) is right
    keys = None if proof is None else proof.client_keys
    assert (keys is not None) is ("scram" in answer)
    if keys is not None:
        assert hashlib.sha256(keys.client_key).digest() == keys.stored_key
        assert keys.iterations == 10


@pytest.mark.parametrize("method", ["md5", "scram-sha-256", "iam-or-md5"])
def test_an_empty_password_is_none(method: str) -> None:
    assert method_for(UserEntry("app", ("",), method)) == method
    assert derive("app", method, ("",)) == derive("app", method, ())
    with pytest.raises(ValueError):
        method_for(UserEntry("app", ("", MD5), "scram-sha-256"))


async def test_nothing_is_right_where_nothing_is_known() -> None:
    nothing = ClearPasswords((), 64, (), ())
    assert nothing.find("app", b"") is None
    assert await nothing.find_verifier(b"") is None


def test_nothing_is_printed() -> None:
    for method in ("iam-or-md5", "scram-sha-256"):
        kept = derive("app", method, ("s3cret", SCRAM, MD5))
        assert repr(kept) == "Kept()"
