import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from forebay.identity.sources import aws as module
from forebay.identity.sources.aws import (
    CredentialsError,
    DeniedError,
    MissingError,
    SecretsManager,
    explain,
)
from forebay.identity.sources.secrets_manager import AwsSource
from forebay.identity.sources.source import SourceError

JSON = "application/x-amz-json-1.1"
ROLE = "arn:aws:sts::111122223333:assumed-role/forebay/i-0abc"


class Answering(ThreadingHTTPServer):
    """Stands at AWS's place and answers all requests alike; None: not at all."""

    status = 200
    body: bytes | None = b"{}"
    kind = JSON
    requests = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.over = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Answering)
        self.rfile.read(int(self.headers["Content-Length"]))
        server.requests += 1
        if server.body is None:
            server.over.wait(60)
            return
        self.send_response(server.status)
        self.send_header("Content-Type", server.kind)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with Answering() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def manager() -> Iterator[SecretsManager]:
    manager = SecretsManager({"AWS_REGION": "eu-west-1"})
    yield manager
    manager.close()


async def problem(manager: SecretsManager) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await manager.call(None, "get_secret_value", SecretId="app")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    return caught.value


def client_error(code: str, message: str = "hunter2", status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "GetSecretValue",
    )


async def test_an_answer(answering: Answering, manager: SecretsManager) -> None:
    answering.body = json.dumps({"SecretString": "x", "VersionId": "v"}).encode()
    found = await manager.call(None, "get_secret_value", SecretId="app")
    assert (found["SecretString"], found["VersionId"]) == ("x", "v")


async def test_one_client_for_each_region(
    answering: Answering, manager: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str | None] = []
    make_client = module.make_client

    def make(region: str | None) -> object:
        made.append(region)
        return make_client(region)

    monkeypatch.setattr(module, "make_client", make)
    for region in ("us-east-1", None, "us-east-1", "eu-west-1"):
        await manager.call(region, "get_secret_value", SecretId="app")
    assert made == ["us-east-1", "eu-west-1"]


async def test_an_html_page(answering: Answering, manager: SecretsManager) -> None:
    """With 200 it is an answer with nothing in it, for botocore; who called sees to that."""
    answering.kind, answering.body = "text/html", b"<html>hunter2</html>"
    assert "SecretString" not in await manager.call(None, "get_secret_value", SecretId="app")
    answering.status = 403
    assert "see AWS_ENDPOINT_URL" in (await problem(manager)).sentence
    answering.status = 502
    assert (await problem(manager)).transient


async def test_an_answer_that_is_no_object(answering: Answering, manager: SecretsManager) -> None:
    answering.body = b'["hunter2"]'
    assert (await problem(manager)).transient


async def test_slow(
    answering: Answering, manager: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    answering.body = None
    error = await problem(manager)
    assert "did not answer within" in error.sentence
    assert error.transient


async def test_unreachable(
    answering: Answering, manager: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    error = await problem(manager)
    assert "can't be reached: no connection" in error.sentence
    assert error.transient


async def test_what_botocore_is_told(
    answering: Answering, manager: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tries again by itself, as often as it is told."""
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    monkeypatch.setattr("time.sleep", lambda _: None)
    answering.status, answering.body = 500, b"{}"
    assert (await problem(manager)).transient
    assert answering.requests == 2


async def test_no_secret_in_the_log(
    answering: Answering, manager: SecretsManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answering.body = b'{"SecretString": "hunter2"}'
    found = await manager.call(None, "get_secret_value", SecretId="app")
    assert found["SecretString"] == "hunter2"
    assert "hunter2" not in caplog.text


async def test_credentials_are_looked_for_anew(
    answering: Answering, manager: SecretsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering.status, answering.body = 400, b'{"__type": "ExpiredTokenException"}'
    assert "have expired" in (await problem(manager)).sentence
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "there are no AWS credentials" in (await problem(manager)).sentence


async def test_no_region(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    manager = SecretsManager({})
    error = await problem(manager)
    assert "set AWS_REGION, or name the secret by its ARN" in error.sentence
    manager.close()


async def test_without_botocore(manager: SecretsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    error = await problem(manager)
    assert error.sentence == 'needs botocore: pip install "forebay[aws]"'


@pytest.mark.parametrize(
    ("error", "kind", "said", "transient"),
    [
        (
            client_error("AccessDeniedException"),
            DeniedError,
            "to this role: allow secretsmanager:GetSecretValue on it",
            False,
        ),
        (
            client_error(
                "AccessDeniedException",
                f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on x",
            ),
            DeniedError,
            f"to {ROLE}: allow secretsmanager:GetSecretValue",
            False,
        ),
        (
            client_error("AccessDeniedException", "Access to KMS is not allowed"),
            DeniedError,
            "allow kms:Decrypt on the secret's key",
            False,
        ),
        (
            client_error("ResourceNotFoundException"),
            MissingError,
            "has no such secret in this region",
            False,
        ),
        (
            client_error("InvalidRequestException", "… because it was marked for deletion."),
            SourceError,
            "restore-secret",
            False,
        ),
        (
            client_error("InvalidRequestException"),
            SourceError,
            "with an error (InvalidRequestException, HTTP 400)",
            False,
        ),
        (client_error("DecryptionFailure"), SourceError, "its KMS key can't decrypt it", False),
        (client_error("ExpiredTokenException"), CredentialsError, "have expired", False),
        (
            client_error("UnrecognizedClientException"),
            CredentialsError,
            "does not take the credentials",
            False,
        ),
        (client_error("InvalidSignatureException"), CredentialsError, "and the clock", False),
        (client_error("ThrottlingException"), SourceError, "throttled", True),
        (client_error("Anything", status=429), SourceError, "throttled", True),
        (
            client_error("InternalServiceError", status=500),
            SourceError,
            "(InternalServiceError, HTTP 500)",
            True,
        ),
        (
            client_error("<hunter2>"),
            SourceError,
            "(no error that it has, HTTP 400): see AWS_ENDPOINT_URL",
            True,
        ),
        (exceptions.NoCredentialsError(), CredentialsError, "there are no AWS credentials", False),
        (
            exceptions.PartialCredentialsError(provider="env", cred_var="x"),
            CredentialsError,
            "lack a part",
            False,
        ),
        (
            exceptions.ProfileNotFound(profile="x"),
            CredentialsError,
            "no profile as AWS_PROFILE names",
            False,
        ),
        (exceptions.SSOTokenLoadError(error_msg="x"), CredentialsError, "aws sso login", False),
        (exceptions.UnauthorizedSSOTokenError(), CredentialsError, "aws sso login", False),
        (
            exceptions.ConnectTimeoutError(endpoint_url="x"),
            SourceError,
            "no connection within 3 s",
            True,
        ),
        (
            exceptions.ConnectionClosedError(endpoint_url="x"),
            SourceError,
            "closed the connection",
            True,
        ),
        (exceptions.SSLError(endpoint_url="x", error="x"), SourceError, "see AWS_CA_BUNDLE", True),
        (
            exceptions.ParamValidationError(report="hunter2"),
            SourceError,
            "not of the right form",
            False,
        ),
        (RuntimeError("hunter2"), SourceError, "can't be read from AWS: RuntimeError", True),
    ],
)
def test_what_failures_mean(
    error: Exception, kind: type[SourceError], said: str, transient: bool
) -> None:
    found = explain(error, "get_secret_value")
    assert type(found) is kind
    assert said in found.sentence
    assert "hunter2" not in found.sentence
    assert found.transient == transient


def test_every_failure_that_is_named_is_botocores() -> None:
    assert [
        name
        for name in module._FAILURES
        if not hasattr(exceptions, name) and name != "ResponseParserError"
    ] == []


async def test_a_source_behind_an_html_page(answering: Answering, manager: SecretsManager) -> None:
    answering.kind, answering.body = "text/html", b"<html>hunter2</html>"
    with pytest.raises(SourceError, match="what answered is not Secrets Manager") as caught:
        await AwsSource("secretsmanager:app", manager).fetch()
    assert caught.value.transient
