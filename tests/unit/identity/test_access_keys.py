"""Access keys in all the forms that AWS's own tools print."""

import json
from pathlib import Path
from typing import Any

import pytest

from forebay.identity.access_keys import AccessKey, parse_access_key, resolve_access_keys
from forebay.identity.secrets import SecretError

ID, SECRET, SESSION = "AKIAFOREBAYTEST00001", "hunter2/+", "hunter2-session"
FLAT = {"AccessKeyId": ID, "SecretAccessKey": SECRET}
TEMPORARY = {**FLAT, "SessionToken": SESSION, "Expiration": "2026-11-28T10:30:00+00:00"}
EXPIRES_AT_S = 1_795_861_800.0


def parsed(value: Any) -> AccessKey:
    return parse_access_key(json.dumps(value).encode())


@pytest.mark.parametrize(
    "value",
    [
        FLAT,
        {"AccessKey": {"UserName": "dev", "Status": "Active", "CreateDate": "2026", **FLAT}},
        {**FLAT, "SessionToken": None, "Expiration": None},
    ],
)
def test_keys_of_users(value: dict[str, Any]) -> None:
    assert parsed(value) == (ID, SECRET, None, None, None)


@pytest.mark.parametrize(
    "value",
    [
        {"Credentials": TEMPORARY},
        {"Version": 1, **TEMPORARY},
        TEMPORARY | {"Expiration": "2026-11-28T10:30:00Z"},
        TEMPORARY | {"Expiration": "2026-11-28T11:30:00+01:00"},
        TEMPORARY | {"Expiration": "2026-11-28T10:30:00"},
    ],
)
def test_temporary_ones(value: dict[str, Any]) -> None:
    assert parsed(value) == (ID, SECRET, SESSION, EXPIRES_AT_S, None)


ACCOUNT = "111122223333"
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/i-0123"


@pytest.mark.parametrize(
    ("value", "owner"),
    [
        (FLAT, None),
        (FLAT | {"UserName": "dev"}, None),
        (FLAT | {"Arn": f"arn:aws:iam::{ACCOUNT}:user/team/dev"}, "team/dev"),
        (FLAT | {"UserArn": f"arn:aws:iam::{ACCOUNT}:user/dev"}, "dev"),
        ({"AccessKey": FLAT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/dev"}, "dev"),
        ({"AccessKey": {"UserName": "dev", **FLAT}, "Account": ACCOUNT}, "dev"),
        ({"Credentials": TEMPORARY, "AssumedRoleUser": {"Arn": SESSION_ARN}}, SESSION_ARN),
        (
            {
                "Credentials": TEMPORARY,
                "FederatedUser": {"Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/f"},
            },
            f"arn:aws:sts::{ACCOUNT}:federated-user/f",
        ),
        (
            {
                "Credentials": TEMPORARY,
                "AssumedRoleUser": {"Arn": SESSION_ARN},
                "Arn": SESSION_ARN,
            },
            SESSION_ARN,
        ),
    ],
)
def test_whose_it_is(value: dict[str, Any], owner: str | None) -> None:
    if owner is not None and not owner.startswith("arn:"):
        owner = f"arn:aws:iam::{ACCOUNT}:user/{owner}"
    assert parsed(value).owner_arn == owner


def test_the_account_of_the_configuration() -> None:
    content = json.dumps({"AccessKey": {"UserName": "dev", **FLAT}}).encode()
    found = parse_access_key(content, account=ACCOUNT, partition="aws-cn")
    assert found.owner_arn == f"arn:aws-cn:iam::{ACCOUNT}:user/dev"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"Arn": "hunter2"}, '"Arn" is not the ARN of a user or a session'),
        ({"Arn": 5}, '"Arn" is not the ARN'),
        ({"Arn": f"arn:aws:iam::{ACCOUNT}:role/publisher"}, '"Arn" is not the ARN'),
        ({"Arn": SESSION_ARN, "UserArn": SESSION_ARN + "x"}, "Arn and UserArn differ"),
        ({"AssumedRoleUser": {"Arn": "x"}}, '"AssumedRoleUser.Arn" is not'),
        ({"UserName": "a/hunter2", "Account": ACCOUNT}, '"UserName" is no name'),
        ({"UserName": "dev", "Account": 111122223333}, '"Account" must be'),
    ],
)
def test_owners_that_cannot_be(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parsed(FLAT | more)
    assert "hunter2" not in str(caught.value)


def test_no_secret_is_printed() -> None:
    assert repr(parsed(TEMPORARY)) == "AccessKey(…0001, ***)"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hunter2", "is not JSON"),
        ('"hunter2"', "must be a JSON object"),
        ("[" * 60_000, "is not JSON"),
        (json.dumps({"SecretAccessKey": SECRET}), 'has no key "AccessKeyId"'),
        (json.dumps({"AccessKeyId": ID}), 'has no key "SecretAccessKey"'),
        (json.dumps(FLAT | {"AccessKeyId": "hunter2 "}), "is no access key id"),
        (json.dumps(FLAT | {"AccessKeyId": "ü"}), "is no access key id"),
        (json.dumps(FLAT | {"SecretAccessKey": 5}), "must be a string that is not empty"),
        (json.dumps(FLAT | {"SecretAccessKey": "hunter2" * 200}), "is over 1024 characters"),
        (json.dumps(FLAT | {"SessionToken": ""}), "must be a string that is not empty"),
        (json.dumps(FLAT | {"Status": "Inactive"}), "make the key active"),
        (json.dumps(TEMPORARY | {"Expiration": "hunter2"}), '"Expiration" is no time'),
        (json.dumps(TEMPORARY | {"Expiration": "0001-01-01T00:00+23:59"}), "is no time"),
        (json.dumps(FLAT | {"SessionToken": "x" * 70_000}), "is over 65536 bytes"),
    ],
)
def test_what_cannot_be_used(content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_access_key(content.encode())
    assert "hunter2" not in str(caught.value)


def test_sources(tmp_path: Path) -> None:
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(FLAT))
    other = {"AccessKeyId": "other", "SecretAccessKey": SECRET}
    found = resolve_access_keys([f"file:{path}", "env:B"], environ={"B": json.dumps(other)})
    assert [each.access_key_id for each in found] == [ID, "other"]
    with pytest.raises(SecretError) as caught:
        resolve_access_keys(
            ["env:A", f"file:{path}", "env:B", "hunter2"],
            environ={"B": json.dumps(FLAT)},
        )
    assert caught.value.problems == (
        "env:A: this environment variable is not set",
        f"env:B: the same access key is in file:{path} already",
        "a secret: must be file:PATH or env:NAME",
    )
