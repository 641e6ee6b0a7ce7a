"""The settings' own decisions."""

import pickle

import pytest

from forebay.config.settings import Hidden, IamSettings, PoolSettings, ProxySettings, TargetSettings


def test_hidden_text_shows_nowhere() -> None:
    secret = Hidden("s3cret")
    assert secret.reveal() == "s3cret"
    assert "s3cret" not in f"{secret} {secret!r}"
    assert secret == Hidden("s3cret") != Hidden("other")
    assert hash(secret) == hash(Hidden("s3cret"))
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(("limit", "half"), [(100, 50), (45, 22), (1, 0)])
def test_idle_connections_are_half_of_all_unless_told(limit: int, half: int) -> None:
    assert PoolSettings(max_connections_percent=limit).max_idle_connections_percent == half
    told = PoolSettings(max_connections_percent=limit, max_idle_connections_percent=0)
    assert told.max_idle_connections_percent == 0


def test_addresses() -> None:
    proxy = ProxySettings(listen=[":7000", "/run/x:7001"], target=TargetSettings(hosts=["db"]))
    assert [each.port for each in proxy.listen_addresses()] == [7000, 7001]
    assert str(proxy.target.addresses()[0]) == "db:5432"
    with pytest.raises(ValueError):
        TargetSettings(hosts=[":5432"]).addresses()


def test_hosts_are_what_is_signed() -> None:
    hosts = ["Db.example.com:6432", "db", "[::1]:1"]
    iam = IamSettings(verifier="keys", region="us-east-1", hosts=hosts, access_keys=["env:K"])
    assert iam.host_names() == ["db.example.com:6432", "db:5432", "[::1]:1"]
