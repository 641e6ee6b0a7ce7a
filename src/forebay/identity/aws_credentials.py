"""Credentials for AWS from where AWS's own tools have them: botocore's standard chain.

botocore is in the extra ``aws``, and imported when it is needed: a Forebay that asks nothing of AWS
does not need it. Errors are sentences that name what was tried and show no secret.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from forebay.identity.access_keys import AccessKey

ENVIRONMENT: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")

_NOT_INSTALLED: Final = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and to look elsewhere botocore must "
    "be installed: pip install 'forebay[aws]'"
)
_NONE_FOUND: Final = (
    "no AWS credentials found: not in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in the "
    "files of the AWS CLI, and this machine, container or function has no role"
)
_EXPIRED_LOGIN: Final = "the login of IAM Identity Center has expired: aws sso login"
_LOGIN_ERRORS: Final = frozenset(
    {"SSOTokenLoadError", "UnauthorizedSSOTokenError", "TokenRetrievalError"}
)


class CredentialsError(Exception):
    """There are no credentials; the text is a sentence for the log."""


class AwsCredentials:
    """The credentials of this process. What botocore finds once it keeps and renews, so `key` is
    cheap but for the first time and when temporary ones are renewed; then it may block."""

    def __init__(self, make_session: Callable[[], Any] | None = None) -> None:
        """``make_session``: instead of botocore.session.get_session."""
        self._make_session = make_session
        self._found: Any = None

    def key(self) -> AccessKey:
        """Credentials that are valid now. Blocks: not for an event loop's thread. Raises
        CredentialsError."""
        try:
            if self._found is None:
                self._found = (self._make_session or _botocore_session)().get_credentials()
            if self._found is None:
                raise CredentialsError(_NONE_FOUND)
            found = self._found.get_frozen_credentials()
        except CredentialsError:
            raise
        except Exception as error:  # noqa: BLE001 - botocore has dozens, of no common class
            self._found = None
            raise CredentialsError(_sentence(error)) from None
        if not found.access_key or not found.secret_key:
            self._found = None
            raise CredentialsError(_NONE_FOUND)
        return AccessKey(found.access_key, found.secret_key, found.token or None)


def key_of_environment(environ: Mapping[str, str]) -> AccessKey | None:
    """The access key in AWS's variables, or None."""
    access_key_id, secret_access_key = (environ.get(name) for name in ENVIRONMENT)
    if not access_key_id or not secret_access_key:
        return None
    return AccessKey(access_key_id, secret_access_key, environ.get("AWS_SESSION_TOKEN") or None)


def region_of_environment(environ: Mapping[str, str]) -> str | None:
    """The region in AWS's variables, or None."""
    return next((environ[name] for name in REGION_VARIABLES if environ.get(name)), None)


def _botocore_session() -> Any:
    try:
        session = importlib.import_module("botocore.session")
    except ImportError:
        raise CredentialsError(_NOT_INSTALLED) from None
    return session.get_session()


def _sentence(error: Exception) -> str:
    """What went wrong, by its kind. Messages are not shown: a program that gives out credentials,
    say, may have printed them where botocore takes its message from."""
    name = type(error).__name__
    if name in _LOGIN_ERRORS:
        return _EXPIRED_LOGIN
    if name == "ProfileNotFound":
        return "AWS_PROFILE names a profile that the files of the AWS CLI have not"
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code", "")
        operation = getattr(error, "operation_name", "")
        return f"AWS refuses credentials: {operation} answered {code}"
    return f"no AWS credentials could be had ({name})"
