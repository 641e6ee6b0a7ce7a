"""What a worker needs beyond the settings, looked up; everything that is wrong at once."""

from pathlib import Path

import pytest

from forebay.config import AuthSettings, Config, Hidden, ProxySettings, TargetSettings
from forebay.node.certificates import Certificates
from forebay.node.materials import MaterialError, concerns, gather, method, secret_variables

ENVIRON = {"A": '{"username": "app", "password": "s3cret"}'}


def config(*secrets: str, **settings: object) -> Config:
    auth = [AuthSettings(secret=each) for each in secrets]
    target = TargetSettings(hosts=["db:5432"])
    proxy = ProxySettings(auth=auth, target=target, **settings)  # type: ignore[arg-type]
    given = {"x": Hidden('{"username": "given", "password": "other"}')}
    return Config(proxies={"shop": proxy}, given_secrets=given)


def test_users_and_a_certificate() -> None:
    found = gather(config("env:A", "given:x"), Certificates(), ENVIRON)["shop"]
    assert [(each.username, each.password) for each in found.credentials] == [
        ("app", "s3cret"),
        ("given", "other"),
    ]
    assert found.certificate.self_made


def test_all_that_is_wrong_is_told() -> None:
    settings = config("env:B", "file:/nowhere", tls_certificate="/no", tls_private_key="/no")
    with pytest.raises(MaterialError) as caught:
        gather(settings, Certificates(), ENVIRON)
    told = caught.value.problems
    assert [each.split(":")[0] for each in told] == [
        *["proxies.shop.auth"] * 2,
        "proxies.shop.tls_certificate",
    ]


@pytest.mark.parametrize(
    ("kind", "name"), [("POSTGRES_SCRAM_SHA_256", "scram-sha-256"), ("POSTGRES_MD5", "md5")]
)
def test_methods(kind: str, name: str) -> None:
    auth = AuthSettings(secret="env:A", client_password_auth_type=kind)  # type: ignore[arg-type]
    assert method(auth) == name


def test_a_secret_that_everybody_can_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(ENVIRON["A"])
    secret.chmod(0o600)
    assert concerns(config(f"file:{secret}"), {}) == []
    secret.chmod(0o644)
    ((name, text),) = concerns(config(f"file:{secret}"), {})
    assert name == "shop"
    assert "can be read by every user" in text


def test_variables_that_a_worker_does_not_inherit() -> None:
    hidden = secret_variables(config("env:A", "file:/x", "given:x"))
    assert hidden == {"A", "FOREBAY_DATABASE_URL", "PGPASSWORD"}
