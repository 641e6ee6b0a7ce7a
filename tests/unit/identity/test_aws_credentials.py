"""Credentials by botocore's chain, and what is said without any."""

import sys
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.exceptions
import pytest

from forebay.identity.access_keys import AccessKey
from forebay.identity.aws_credentials import (
    AwsCredentials,
    CredentialsError,
    key_of_environment,
    region_of_environment,
)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")


def said(credentials: AwsCredentials) -> str:
    with pytest.raises(CredentialsError) as caught:
        credentials.key()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    assert AwsCredentials().key() == AccessKey("AKIA1", "s3cr3t")


def test_of_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found once, and asked for again by botocore when it is needed."""
    program = tmp_path / "credentials"
    answer = '{"Version": 1, "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "SessionToken": "t"}'
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    credentials = AwsCredentials()
    assert credentials.key() == credentials.key() == AccessKey("ASIA1", "s", "t")
    program.write_text("#!/bin/sh\necho hunter2 >&2\nexit 1\n")
    assert said(AwsCredentials()) == "no AWS credentials could be had (CredentialRetrievalError)"


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = AwsCredentials()
    assert said(credentials).startswith("no AWS credentials found: not in AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    assert credentials.key().access_key_id == "AKIA1"  # it looks again


def test_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    assert "pip install 'forebay[aws]'" in said(AwsCredentials())


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "hunter2")
    assert said(AwsCredentials()).startswith("AWS_PROFILE names a profile that")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            botocore.exceptions.SSOTokenLoadError(error_msg="hunter2"),
            "the login of IAM Identity Center has expired: aws sso login",
        ),
        (
            botocore.exceptions.UnauthorizedSSOTokenError(),
            "the login of IAM Identity Center has expired: aws sso login",
        ),
        (
            botocore.exceptions.ClientError(
                {"Error": {"Code": "AccessDenied", "Message": "hunter2"}}, "AssumeRole"
            ),
            "AWS refuses credentials: AssumeRole answered AccessDenied",
        ),
        (ValueError("hunter2"), "no AWS credentials could be had (ValueError)"),
    ],
)
def test_what_botocore_may_raise(error: Exception, sentence: str) -> None:
    class Session:
        def get_credentials(self) -> Any:
            raise error

    assert said(AwsCredentials(Session)) == sentence


def test_empty_ones() -> None:
    class Session:
        def get_credentials(self) -> botocore.credentials.Credentials:
            return botocore.credentials.Credentials("AKIA1", "")

    assert said(AwsCredentials(Session)).startswith("no AWS credentials found")


def test_variables() -> None:
    assert key_of_environment({}) is None
    assert key_of_environment({"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": ""}) is None
    given = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": ""}
    assert key_of_environment(given) == AccessKey("A", "s")
    given["AWS_SESSION_TOKEN"] = "t"
    assert key_of_environment(given) == AccessKey("A", "s", "t")
    assert region_of_environment({}) is None
    assert region_of_environment({"AWS_DEFAULT_REGION": "b"}) == "b"
    assert region_of_environment({"AWS_DEFAULT_REGION": "b", "AWS_REGION": "a"}) == "a"
