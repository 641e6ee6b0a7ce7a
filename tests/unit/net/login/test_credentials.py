"""Who may log in."""

import pytest

from forebay.net.login import Credentials, UserAuth, UserEntry, derive_user
from forebay.net.login.methods import METHODS
from forebay.protocol import md5, scram

APP = UserEntry("app", ("secret",), "scram-sha-256")


async def test_verifiers_are_derived_once() -> None:
    first = await Credentials.derive([APP, UserEntry("old", ("x",), "md5")])
    app, old = first.get("app"), first.get("old")
    assert app is not None
    assert old is not None
    (verifier,) = app.kept.verifiers
    assert verifier == scram.make_verifier("secret", verifier.salt)
    assert old.kept.hashes == (md5.stored_hash("old", "x"),)
    assert first.get("other") is None
    second = await Credentials.derive([APP, UserEntry("old", ("y",), "md5")], previous=first)
    assert second.get("app") is app
    assert second.get("old") is not old


async def test_what_is_not_derived_of_passwords_may_change_alone() -> None:
    app = await derive_user(APP)
    other = await derive_user(
        UserEntry("app", ("secret",), "scram-sha-256", "verify-full", ("web",)), app
    )
    assert (other.client_cert, other.cert_names) == ("verify-full", ("web",))
    assert other.kept is app.kept
    renamed = await derive_user(UserEntry("other", ("secret",), "scram-sha-256"), app)
    assert renamed.kept != app.kept


async def test_one_user_is_pushed() -> None:
    table = await Credentials.derive([APP, UserEntry("old", ("x",), "md5")])
    newer = await derive_user(UserEntry("app", ("new", "secret"), "scram-sha-256"))
    other = await derive_user(UserEntry("other", ("x",), "md5"))
    changed = table.with_users([newer, other], without=["old", "unknown"])
    assert changed.users == {"app": newer, "other": other}
    assert table.users.keys() == {"app", "old"}
    assert table.with_users([], without=["app"]).users.keys() == {"old"}
    assert table.with_users([newer], without=["app"]).get("app") is newer


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([APP, APP], 'user "app" is named twice'),
        ([UserEntry("app", (), "gss")], 'user "app": there is no method "gss"'),
        (
            [UserEntry("app", ("md5" + "0" * 32,), "scram-sha-256")],
            'the MD5 hash of the password of user "app"',
        ),
    ],
)
async def test_what_cannot_be(entries: list[UserEntry], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        await Credentials.derive(entries)


async def test_secrets_are_not_printed() -> None:
    entries = [
        UserEntry("app", ("s3cret",), "scram-sha-256"),
        UserEntry("old", ("s3cret",), "md5"),
        UserEntry("both", ("s3cret",), "iam-or-md5"),
    ]
    table = await Credentials.derive(entries)
    for text in (repr(table), repr(entries)):
        assert "s3cret" not in text
        assert md5.stored_hash("old", "s3cret") not in text


@pytest.mark.parametrize(
    ("methods", "asked_by"),
    [
        ([], "scram-sha-256"),
        (["md5"], "scram-sha-256"),
        (["iam"], "iam"),
        (["iam", "iam"], "iam"),
        (["iam", "scram-sha-256"], "scram-sha-256"),
        (["iam-or-scram-sha-256"], "scram-sha-256"),
        (["cert", "cert"], "cert"),
        (["trust"], "trust"),
        (["trust", "cert"], "scram-sha-256"),
    ],
)
def test_how_unknown_users_are_asked(methods: list[str], asked_by: str) -> None:
    users = [UserAuth(f"user{number}", method, ()) for number, method in enumerate(methods)]
    table = Credentials({user.user: user for user in users})
    assert table.of_unknown_users is METHODS[asked_by]
