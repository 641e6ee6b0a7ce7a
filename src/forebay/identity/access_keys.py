"""Access keys, with which IAM tokens are signed, from where the operator keeps them.

A source is written ``file:PATH`` or ``env:NAME``. What is read there is the JSON that
``aws iam create-access-key``, ``aws sts assume-role`` (or another of STS) or
``aws configure export-credentials`` prints, or just ``{"AccessKeyId": …, "SecretAccessKey": …}``,
with ``SessionToken`` and ``Expiration`` for temporary ones. Whose it is stands there too, for
policies: as what these commands print beside the key, or as ``"Arn"``.
Errors name the source and say what is wrong with it. They never show what it holds.
"""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from forebay.identity.principals import ACCOUNT, USER_NAME, account_of
from forebay.identity.secrets import MAX_SECRET_BYTES, fetch, read_each

MAX_SECRET_CHARACTERS: Final = 1024
"""AWS's own have 40."""

_ID: Final = re.compile(r"\w{1,128}", re.ASCII)
_FORM: Final = '{"AccessKeyId": "…", "SecretAccessKey": "…"}'


class AccessKey(NamedTuple):
    """One access key. ``session_token`` and ``expires_at_s`` (seconds since 1970) are those of
    temporary credentials, else None. ``owner_arn``: whose it is, as GetCallerIdentity would tell
    it, or None. Its repr hides all but the end of the id."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at_s: float | None = None
    owner_arn: str | None = None

    def __repr__(self) -> str:
        return f"AccessKey({self.shown_id}, ***)"

    @property
    def shown_id(self) -> str:
        """Enough of the id to know the key by, as logs have it."""
        return shown_id(self.access_key_id)


def shown_id(access_key_id: str) -> str:
    """The end of an access key's id."""
    return f"…{access_key_id[-4:]}"


def resolve_access_keys(
    sources: Iterable[str],
    *,
    environ: Mapping[str, str] | None = None,
    account: str | None = None,
    partition: str = "aws",
) -> list[AccessKey]:
    """Read every source, in order. Raises SecretError with everything that is wrong.

    ``account`` and ``partition``: see parse_access_key."""
    environ = os.environ if environ is None else environ
    return read_each(
        sources,
        lambda source: parse_access_key(fetch(source, environ, {}), account, partition),
        lambda key: (key.access_key_id, "the same access key"),
    )


def parse_access_key(
    content: bytes, account: str | None = None, partition: str = "aws"
) -> AccessKey:
    """Reads one access key's JSON. Raises ValueError with what is wrong, and none of it in it.

    ``account``, ``partition``: where a user is of whom only ``UserName`` is told, unless "Account"
    stands beside it; if neither is known, the owner is not. Such a user has no path: one with a
    path needs "Arn".
    """
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"is over {MAX_SECRET_BYTES} bytes")
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"is not JSON; it must be {_FORM}") from None
    if not isinstance(value, dict):
        raise ValueError(f"must be a JSON object: {_FORM}")
    whole = value
    for wrapper in ("AccessKey", "Credentials"):  # of CreateAccessKey, and of STS
        if isinstance(value.get(wrapper), dict):
            value = value[wrapper]
            break
    access_key_id = _text(value, "AccessKeyId")
    if not _ID.fullmatch(access_key_id):
        raise ValueError('"AccessKeyId" is no access key id: ASCII letters, digits and _')
    if value.get("Status", "Active") != "Active":
        raise ValueError('"Status" is not "Active": make the key active, or take it out')
    return AccessKey(
        access_key_id,
        _text(value, "SecretAccessKey", MAX_SECRET_CHARACTERS),
        None if value.get("SessionToken") is None else _text(value, "SessionToken"),
        None if value.get("Expiration") is None else _time(_text(value, "Expiration")),
        _owner(value | whole, account, partition),
    )


def _owner(value: Mapping[str, Any], account: str | None, partition: str) -> str | None:
    """Whose the key is, by all that is said of that. Raises ValueError."""
    found = {name: value[name] for name in ("Arn", "UserArn") if value.get(name) is not None}
    for holder in ("AssumedRoleUser", "FederatedUser"):
        if isinstance(value.get(holder), dict) and value[holder].get("Arn") is not None:
            found[f"{holder}.Arn"] = value[holder]["Arn"]
    for name, arn in found.items():
        try:
            account_of(arn if isinstance(arn, str) else "")
        except ValueError as error:
            raise ValueError(f'"{name}" {error}') from None
    if len(set(found.values())) > 1:
        raise ValueError(f"tells of several owners: {' and '.join(sorted(found))} differ")
    if found:
        return next(iter(found.values()))  # type: ignore[no-any-return]
    user_name = value.get("UserName")
    account = value.get("Account", value.get("AccountId", account))
    if user_name is None or account is None:
        return None
    if not isinstance(user_name, str) or not USER_NAME.fullmatch(user_name):
        raise ValueError('"UserName" is no name of an IAM user')
    if not isinstance(account, str) or not ACCOUNT.fullmatch(account):
        raise ValueError('"Account" must be a string of twelve digits')
    return f"arn:{partition}:iam::{account}:user/{user_name}"


def _text(value: Mapping[str, Any], name: str, longest: int | None = None) -> str:
    if name not in value:
        raise ValueError(f'has no key "{name}"; it must be {_FORM}')
    text = value[name]
    if not isinstance(text, str) or not text:
        raise ValueError(f'"{name}" must be a string that is not empty')
    if longest is not None and len(text) > longest:
        raise ValueError(f'"{name}" is over {longest} characters')
    return text


def _time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or not 1970 < time.year < 9999:
        raise ValueError('"Expiration" is no time, as in "2026-11-28T10:30:00Z"')
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
