"""Requests to AWS Secrets Manager, and what their failures mean, in sentences.

botocore is loaded when the first secret is read from AWS; it comes with ``forebay[aws]``. It finds
credentials, region and endpoint by the usual variables and files. A sentence never repeats what
was answered but for names of a known form: an endpoint can answer anything.
"""

import logging
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

from forebay.identity.sources.source import SourceError
from forebay.identity.threads import Threads

REQUESTS_AT_ONCE: Final = 8
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 5.0
ATTEMPTS: Final = 2
"""botocore's own, for failures that may pass; what else is tried again is the keeper's to say."""

_MISSING: Final = 'needs botocore: pip install "forebay[aws]"'
THROTTLED: Final = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"),
        *("TooManyRequestsException", "RequestLimitExceeded", "LimitExceededException"),
        *("RequestThrottledException", "BandwidthLimitExceeded", "SlowDown"),
    }
)
DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
BAD_CREDENTIALS: Final = frozenset(
    {
        *("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
        *("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature"),
        *("MissingAuthenticationToken", "MissingAuthenticationTokenException", "NotAuthorized"),
    }
)
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_CODE: Final = re.compile(r"[A-Za-z.]{1,64}")
_WHO: Final = re.compile(
    r"(arn:aws[a-z-]{0,16}:(?:sts|iam)::[0-9]{12}:[A-Za-z0-9+=,.@_/-]{1,192})"
    r" is not authorized to perform: (?:secretsmanager|kms):[A-Za-z]{1,32}"
)
# By the name of the class in botocore.exceptions: what it means, and whether it may pass.
_FAILURES: Final = {
    "NoCredentialsError": (
        "there are no AWS credentials: set both keys, or give this process a role or a profile",
        False,
    ),
    "PartialCredentialsError": ("the AWS credentials lack a part: set both keys", False),
    "ProfileNotFound": ("there is no profile as AWS_PROFILE names", False),
    "CredentialRetrievalError": ("AWS credentials can't be retrieved from their source", True),
    "MetadataRetrievalError": ("AWS credentials can't be retrieved from the metadata", True),
    "TokenRetrievalError": ("the login at IAM Identity Center has ended: aws sso login", False),
    "SSOTokenLoadError": ("there is no login at IAM Identity Center: aws sso login", False),
    "UnauthorizedSSOTokenError": (
        "the login at IAM Identity Center has ended: aws sso login",
        False,
    ),
    "NoRegionError": ("there is no region: set AWS_REGION, or name the secret by its ARN", False),
    "InvalidRegionError": ("the region is none that AWS has: see AWS_REGION", False),
    "EndpointConnectionError": ("Secrets Manager can't be reached: no connection", True),
    "ConnectTimeoutError": (
        f"Secrets Manager can't be reached: no connection within {CONNECT_TIMEOUT_S:g} s",
        True,
    ),
    "ReadTimeoutError": (f"Secrets Manager did not answer within {READ_TIMEOUT_S:g} s", True),
    "ConnectionClosedError": ("Secrets Manager closed the connection", True),
    "ProxyConnectionError": ("the proxy of HTTPS_PROXY can't be reached", True),
    "SSLError": (
        "TLS with Secrets Manager failed: see AWS_CA_BUNDLE and AWS_ENDPOINT_URL",
        True,
    ),
    "HTTPClientError": ("Secrets Manager can't be reached: the request failed", True),
    "ResponseParserError": ("what answered is not Secrets Manager: see AWS_ENDPOINT_URL", True),
    "ParamValidationError": ("AWS has no secrets of that name: it is not of the right form", False),
}


class SecretsManager:
    """Secrets Manager in each region that is asked for, all by the same few threads.

    ``environ`` says which region is meant without one (AWS_REGION); all else botocore takes from
    the process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._threads = Threads("secretsmanager", most=REQUESTS_AT_ONCE)
        self._clients: dict[str | None, Any] = {}
        self._making = threading.Lock()  # making clients is not safe among threads, using them is

    async def call(self, region: str | None, operation: str, **parameters: str) -> dict[str, Any]:
        """What AWS answers to ``get_secret_value``, say. Raises SourceError, and VersionMissing.

        ``region`` None: the one of the usual variables and files."""
        return await self._threads.run(lambda: self._call(region, operation, parameters))

    def close(self) -> None:
        self._threads.close()
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _call(
        self, region: str | None, operation: str, parameters: dict[str, str]
    ) -> dict[str, Any]:
        region = region or self._environ.get("AWS_REGION") or None  # botocore knows no AWS_REGION
        try:
            client = self._client(region)
            answer = getattr(client, operation)(**parameters)
        except ImportError:
            raise SourceError(_MISSING) from None
        except Exception as error:  # noqa: BLE001 - botocore lets through what its libraries raise
            found = explain(error, operation)
            if isinstance(found, CredentialsError):
                self._forget(region)  # the next attempt looks for credentials anew
            # From None: a traceback would show botocore's message.
            raise found from None
        return answer if isinstance(answer, dict) else {}

    def _client(self, region: str | None) -> Any:
        with self._making:
            if region not in self._clients:
                self._clients[region] = make_client(region)
            return self._clients[region]

    def _forget(self, region: str | None) -> None:
        with self._making:
            self._clients.pop(region, None)


class DeniedError(SourceError):
    """AWS lets this role do other things, but not this."""


class MissingError(SourceError):
    """There is no such secret, or it has no version with this label or id."""


class CredentialsError(SourceError):
    """AWS does not know the credentials, or there are none."""


def make_client(
    region: str | None, service: str = "secretsmanager", endpoint_url: str | None = None
) -> Any:
    """A client of botocore's. Raises ImportError without botocore, and what botocore raises."""
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=REQUESTS_AT_ONCE,
        user_agent_extra="forebay",
    )
    # At debug they log whole answers, with the secrets in them.
    for name in ("botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return get_session().create_client(
        service, region_name=region, endpoint_url=endpoint_url, config=config
    )


def explain(error: BaseException, operation: str) -> SourceError:
    """The failure of a request as a sentence."""
    response = getattr(error, "response", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        return _explain_answer(response, operation)
    for each in type(error).__mro__:
        if each.__name__ in _FAILURES and each.__module__.startswith("botocore."):
            sentence, transient = _FAILURES[each.__name__]
            return _failure_class(each.__name__)(sentence, transient=transient)
    name = type(error).__name__
    return SourceError(f"can't be read from AWS: {name}", transient=True)


def _failure_class(name: str) -> type[SourceError]:
    is_about_them = any(word in name for word in ("Credential", "Token", "Profile", "Metadata"))
    return CredentialsError if is_about_them else SourceError


def _explain_answer(response: Mapping[str, Any], operation: str) -> SourceError:
    """What an answer that is an error says."""
    code = str(response["Error"].get("Code", ""))
    message = str(response["Error"].get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in DENIED:
        return DeniedError(_denied(message, operation))
    if code == "ResourceNotFoundException":
        return MissingError(
            "Secrets Manager has no such secret in this region, or no value in it: see the name,"
            " the region and the account"
        )
    if code == "InvalidRequestException" and "delet" in message:
        return SourceError(
            "is deleted, or will be: bring it back with aws secretsmanager restore-secret"
        )
    if code == "DecryptionFailure":
        return SourceError("its KMS key can't decrypt it: see that the key is enabled")
    if code in EXPIRED:
        return CredentialsError("the AWS credentials have expired: log in again, or renew them")
    if code in BAD_CREDENTIALS:
        return CredentialsError(
            "AWS does not take the credentials: see the access key, its secret and the clock"
        )
    if code in THROTTLED or status == 429:
        return SourceError("AWS takes no more requests for now: throttled", transient=True)
    name = code if _CODE.fullmatch(code) else "no error that it has"
    return SourceError(
        f"Secrets Manager answered with an error ({name}, HTTP {status})"
        + ("" if _CODE.fullmatch(code) else ": see AWS_ENDPOINT_URL"),
        transient=not isinstance(status, int) or status >= 500 or name != code,
    )


def _denied(message: str, operation: str) -> str:
    """What is to be allowed, and to whom if AWS says so."""
    action = "".join(word.capitalize() for word in operation.split("_"))
    who = _WHO.search(message)
    said = who[1] if who is not None else "this role"
    if "KMS" in message or "kms:" in message:
        return f"AWS denies it to {said}: allow kms:Decrypt on the secret's key"
    return f"AWS denies it to {said}: allow secretsmanager:{action} on it"
