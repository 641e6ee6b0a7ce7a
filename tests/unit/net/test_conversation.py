"""The steps that conversations consist of."""

import pytest

from forebay.net import conversation
from forebay.net.conversation import Stretch, unexpected


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_kept_keys", type(conversation._kept_keys)())


def test_keys_are_kept_by_password_salt_and_iterations() -> None:
    step = Stretch("secret", b"salt", 1)
    assert step.kept() is None
    keys = step.compute()
    step.keep(keys)
    assert Stretch("secret", b"salt", 1).kept() is keys
    assert Stretch("other", b"salt", 1).kept() is None
    assert Stretch("secret", b"tlas", 1).kept() is None
    assert Stretch("secret", b"salt", 2).kept() is None
    # What belongs to the salt is not taken for the password's.
    assert Stretch("tsecret", b"sal", 1).kept() is None


def test_keys_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MAX_KEPT_KEYS", 3)
    keys = Stretch("secret", b"salt", 1).compute()
    for number in range(10):
        Stretch("secret", b"%d" % number, 1).keep(keys)
    assert [n for n in range(10) if Stretch("secret", b"%d" % n, 1).kept()] == [7, 8, 9]


def test_the_password_is_not_printed() -> None:
    assert "s3cret" not in repr(Stretch("s3cret", b"salt", 1))


@pytest.mark.parametrize(("kind", "name"), [(ord("W"), "'W'"), (0, "0x00"), (0x80, "0x80")])
def test_what_has_no_place_is_named(kind: int, name: str) -> None:
    assert name in str(unexpected(kind))
