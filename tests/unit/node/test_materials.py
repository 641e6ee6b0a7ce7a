"""What a worker needs beyond the settings, looked up; everything that is wrong at once."""

import json
from pathlib import Path

import pytest

from forebay.config import (
    AuthSettings,
    Config,
    Hidden,
    IamSettings,
    ProxySettings,
    TargetSettings,
)
from forebay.node.materials import MaterialError, concerns
from tests.harness.credentials import credential
from tests.harness.gathering import gather

ENVIRON = {"A": '{"username": "app", "password": "s3cret"}'}


def config(*secrets: str, **settings: object) -> Config:
    auth = [AuthSettings(secret=each) for each in secrets]
    target = TargetSettings(hosts=["db:5432"])
    proxy = ProxySettings(auth=auth, target=target, **settings)  # type: ignore[arg-type]
    given = {"x": Hidden('{"username": "given", "password": "other"}')}
    return Config(proxies={"shop": proxy}, given_secrets=given)


async def test_users_and_a_certificate() -> None:
    found = (await gather(config("env:A", "given:x"), ENVIRON))["shop"]
    assert found.credentials == [credential("app", "s3cret"), credential("given", "other")]
    assert [each.self_made for each in found.certificates] == [True]


async def test_all_that_is_wrong_is_told() -> None:
    settings = config("env:B", "file:/nowhere", tls_certificate="/no", tls_private_key="/no")
    with pytest.raises(MaterialError) as caught:
        await gather(settings, ENVIRON)
    told = caught.value.problems
    assert [each.split(":")[0] for each in told] == [
        *["proxies.shop.auth"] * 2,
        "proxies.shop.tls_certificate",
    ]


KEY = {"AccessKeyId": "AKIA1", "SecretAccessKey": "s3cret"}


def iam(*access_keys: str) -> IamSettings:
    return IamSettings(
        verifier="keys", region="us-east-1", hosts=["h:1"], access_keys=list(access_keys)
    )


async def test_access_keys() -> None:
    settings = config("env:A", iam=iam("env:K"))
    environ = ENVIRON | {"K": json.dumps(KEY)}
    found = await gather(settings, environ)
    assert found["shop"].access_keys == [("AKIA1", "s3cret", None, None, None)]
    assert concerns(settings, found) == []
    with pytest.raises(MaterialError) as caught:
        await gather(settings, ENVIRON | {"K": '{"AccessKeyId": "s3cret"}'})
    (text,) = caught.value.problems
    assert text.startswith('proxies.shop.iam.access_keys: env:K: has no key "SecretAccessKey"')


async def test_access_keys_that_should_be_told_of(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(json.dumps(KEY | {"SessionToken": "x", "Expiration": "2020-01-01T00:00:00Z"}))
    file.chmod(0o644)
    settings = config("env:A", iam=iam(f"file:{file}"))
    told = [text for _, text in concerns(settings, await gather(settings, ENVIRON))]
    assert told[0] == f"file:{file} can be read by every user here"
    assert told[1] == "the access key …KIA1 in iam.access_keys has expired"


def test_a_secret_that_everybody_can_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(ENVIRON["A"])
    secret.chmod(0o600)
    assert concerns(config(f"file:{secret}"), {}) == []
    secret.chmod(0o644)
    ((name, text),) = concerns(config(f"file:{secret}"), {})
    assert name == "shop"
    assert "can be read by every user" in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"sts_endpoint": "sts.example.com"}, '"sts.example.com" is no address of STS'),
        ({"sts_endpoint": "https://sts.example.com", "region": "us-east-1"}, None),
        ({"region": "us-east-1"}, None),
    ],
)
async def test_an_address_of_sts_that_is_none(settings: dict[str, str], told: str | None) -> None:
    sts = IamSettings(verifier="sts", proxy_id="prx-1", **settings)
    if told is None:
        assert await gather(config("env:A", iam=sts), ENVIRON)
        return
    with pytest.raises(MaterialError) as caught:
        await gather(config("env:A", iam=sts), ENVIRON)
    (text,) = caught.value.problems
    assert text.startswith(f"proxies.shop.iam.sts_endpoint: {told}")
