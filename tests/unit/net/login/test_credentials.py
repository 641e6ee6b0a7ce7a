"""Who may log in."""

import pytest

from forebay.net.login import Credentials
from forebay.net.login.methods import METHODS
from forebay.protocol import md5, scram


async def test_verifiers_are_derived_once() -> None:
    first = await Credentials.derive([("app", "secret", "scram-sha-256"), ("old", "x", "md5")])
    app, old = first.get("app"), first.get("old")
    assert app is not None
    assert old is not None
    verifier = app.kept[0]
    assert verifier == scram.make_verifier("secret", verifier.salt)
    assert old.kept == (md5.stored_hash("old", "x"),)
    assert first.get("other") is None
    second = await Credentials.derive(
        [("app", "secret", "scram-sha-256"), ("old", "y", "md5")], previous=first
    )
    assert second.get("app") is app
    assert second.get("old") is not old


async def test_several_passwords_share_a_salt() -> None:
    table = await Credentials.derive(
        [("app", "new", "scram-sha-256"), ("app", "old", "scram-sha-256")]
    )
    app = table.get("app")
    assert app is not None
    assert app.passwords == ("new", "old")
    assert len({verifier.salt for verifier in app.kept}) == 1


async def test_secrets_are_not_printed() -> None:
    table = await Credentials.derive([("app", "s3cret", "scram-sha-256"), ("old", "s3cret", "md5")])
    assert "s3cret" not in repr(table)
    assert md5.stored_hash("old", "s3cret") not in repr(table)


@pytest.mark.parametrize(
    ("methods", "asked_by"),
    [
        ([], "scram-sha-256"),
        (["md5"], "scram-sha-256"),
        (["iam"], "iam"),
        (["iam", "iam"], "iam"),
        (["iam", "scram-sha-256"], "scram-sha-256"),
        (["iam-or-scram-sha-256"], "scram-sha-256"),
    ],
)
async def test_how_unknown_users_are_asked(methods: list[str], asked_by: str) -> None:
    table = await Credentials.derive(
        [(f"user{number}", "secret", method) for number, method in enumerate(methods)]
    )
    assert table.of_unknown_users is METHODS[asked_by]
