"""``forebay token``: what it prints, and what it says when it can't."""

import json
import sys
from pathlib import Path

import pytest

from forebay.cli import run, token
from forebay.identity.access_keys import AccessKey
from forebay.identity.sts import Endpoint
from forebay.identity.sts.requests import presign
from forebay.identity.tokens import generate_db_auth_token

NOW_S = 1_795_861_800.0
ARGUMENTS = ["token", "--host", "db.example.com", "--port", "6432", "--user", "app_user"]
KEY = AccessKey("AKIAFOREBAYTEST00001", "s3cr3t")
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
STS = ["token", "--sts", "--proxy-id", "prx-orders"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS")
    for name in (*AWS, *endpoints, "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    # What botocore looks at when the variables have no key.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setattr(token.time, "time", lambda: NOW_S)


def set_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret_access_key)


def made(key: AccessKey, host: str = "db.example.com", region: str = "us-east-1") -> str:
    return generate_db_auth_token(host, 6432, "app_user", region, key, NOW_S) + "\n"


def test_a_key_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.json"
    value = {"AccessKeyId": KEY.access_key_id, "SecretAccessKey": KEY.secret_access_key}
    path.write_text(json.dumps({"AccessKey": value}))
    assert run([*ARGUMENTS, "--region", "us-east-1", "--keys", f"file:{path}"]) == 0
    assert capsys.readouterr().out == made(KEY)


def test_a_key_from_awss_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_key(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert run(ARGUMENTS) == 0
    assert capsys.readouterr().out == made(KEY, region="eu-west-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    assert run(ARGUMENTS) == 0
    assert capsys.readouterr().out == made(KEY._replace(session_token="session"))


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_address_of_ipv6(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_key(monkeypatch)
    arguments = [host if each == "db.example.com" else each for each in ARGUMENTS]
    assert run([*arguments, "--region", "us-east-1"]) == 0
    assert capsys.readouterr().out == made(KEY, host="[::1]")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--region", "us-east-1"], "there is no access key to sign with: give --keys file:PATH"),
        (["--keys", "env:ABSENT"], "env:ABSENT: this environment variable is not set"),
        (["--keys", "hunter2"], "a secret: must be file:PATH or env:NAME"),
        (["--region", "us east", "--keys", "env:K"], "is no region"),
        (["--keys", "env:K"], "there is no region: give --region, or set AWS_REGION"),
    ],
)
def test_what_is_wrong(
    more: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("K", '{"AccessKeyId": "AKIA1", "SecretAccessKey": "hunter2"}')
    assert run([*ARGUMENTS, *more]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("forebay token: ")
    assert said in captured.err
    assert "hunter2" not in captured.err


def test_a_key_from_the_files_of_the_aws_cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "credentials"
    path.write_text(
        f"[default]\naws_access_key_id = {KEY.access_key_id}\naws_secret_access_key = s3cr3t\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    assert run([*ARGUMENTS, "--region", "us-east-1"]) == 0
    assert capsys.readouterr().out == made(KEY)


def test_without_botocore(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert run([*ARGUMENTS, "--region", "us-east-1"]) == 2
    assert "pip install 'forebay[aws]'" in capsys.readouterr().err
    set_key(monkeypatch)
    assert run([*ARGUMENTS, "--region", "us-east-1"]) == 0


@pytest.mark.parametrize(
    ("more", "variable", "url"),
    [
        ([], "", "https://sts.eu-west-1.amazonaws.com"),
        (["--sts-endpoint", "https://sts.example"], "", "https://sts.example"),
        ([], "http://localhost:4566", "http://localhost:4566"),
    ],
)
def test_a_token_for_sts(
    more: list[str],
    variable: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_key(monkeypatch)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", variable)
    assert run([*STS, *more]) == 0
    endpoint = Endpoint.parse(url, "eu-west-1")
    assert capsys.readouterr().out == presign(endpoint, "prx-orders", KEY, NOW_S) + "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["token", "--sts"], "give --proxy-id"),
        ([*STS, "--user", "app_user"], "--user is for tokens without --sts only"),
        ([*ARGUMENTS, "--proxy-id", "prx"], "--proxy-id is for tokens with --sts only"),
        (["token", "--sts", "--proxy-id", "a:b"], "is no proxy id"),
        ([*STS, "--sts-endpoint", "ftp://h"], "is no address of STS"),
    ],
)
def test_options_that_do_not_fit(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_key(monkeypatch)
    assert run([*arguments, "--region", "us-east-1"]) == 2
    assert said in capsys.readouterr().err


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["token", "--host", "h"]) == 2
    assert "--port" in capsys.readouterr().err
