"""What node and worker say: told apart by tags, and no secret shows."""

from typing import get_args

import msgspec
import pytest

from forebay.channel import CertificatePair, Credential, NodeMessage, WorkerMessage, WorkerProxy
from forebay.config import ProxySettings, TargetSettings
from forebay.identity.access_keys import AccessKey
from tests.harness.credentials import credential


@pytest.mark.parametrize("union", [NodeMessage, WorkerMessage], ids=["node", "worker"])
def test_tags_are_different(union: object) -> None:
    tags = [getattr(each, "__origin__", each).__struct_config__.tag for each in get_args(union)]
    assert len(set(tags)) == len(tags) > 1


def test_secrets_are_not_printed() -> None:
    user = credential("app", "s3cret", "md5")
    proxy = WorkerProxy(
        name="shop",
        listeners=[3],
        settings=ProxySettings(target=TargetSettings(hosts=["db:5432"])),
        credentials=[user],
        certificates=[CertificatePair("certificate", "k3y")],
        access_keys=[AccessKey("AKIA1", "acc3ss")],
    )
    assert "app" in repr(user)
    assert "shop" in repr(proxy)
    assert not any(secret in repr([user, proxy]) for secret in ("s3cret", "k3y", "acc3ss"))


def test_a_credential_travels_whole() -> None:
    user = credential("app", "s3cret", "md5")
    data = msgspec.msgpack.encode(user)
    assert msgspec.msgpack.decode(data, type=Credential) == user


def test_an_access_key_travels_whole() -> None:
    for key in (AccessKey("AKIA1", "s3cret"), AccessKey("ASIA2", "s3cret", "session", 1.5)):
        data = msgspec.msgpack.encode(key)
        assert msgspec.msgpack.decode(data, type=AccessKey) == key
