"""What STS has answered: whose the token is, or why it is refused. Pure.

An answer of 200 proves nothing by itself: emulators give it to requests that they do not know. So
nobody is let in but for the ARN of a user or a session, where a GetCallerIdentityResponse has it.
The answer is read as XML, which the STS API Reference documents; entities and document types, with
which XML can be made to do more than be read, are refused.
"""

import re
from typing import Final
from xml.parsers import expat

from forebay.identity.principals import MAX_PRINCIPAL_CHARACTERS, account_of
from forebay.identity.tokens import Reason, Refusal

MAX_ANSWER_BYTES: Final = 65_536
"""Real ones have 500 bytes; errors show what was signed, with the session token in it."""

_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
_IDENTITY: Final = ("GetCallerIdentityResponse", "GetCallerIdentityResult")
_ARN: Final = (*_IDENTITY, "Arn")
_ACCOUNT: Final = (*_IDENTITY, "Account")
_CODE: Final = ("ErrorResponse", "Error", "Code")
_WANTED: Final = frozenset({_ARN, _ACCOUNT, _CODE})
_MAX_DEPTH: Final = 16
_CODE_FORM: Final = re.compile(r"[A-Za-z.]{1,64}")
# The way out, by STS's code.
_MEANINGS: Final = {
    "SignatureDoesNotMatch": "its signature is wrong: it was changed, signed as POST, signed with"
    " another secret access key, or bound to another proxy than {proxy_id}",
    "InvalidClientTokenId": "its access key or session token is not known there",
    "ExpiredToken": "its temporary credentials have expired",
    "ExpiredTokenException": "its temporary credentials have expired",
    "AccessDenied": "a policy in AWS denies it",
}
_THROTTLED: Final = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded"})


def read_answer(status: int, body: bytes, proxy_id: str) -> str | Refusal:
    """The ARN of who has signed the request, or why nobody is let in for it.

    ``status``: HTTP's. ``body``: at most one byte more than MAX_ANSWER_BYTES.
    """
    if 300 <= status < 400:
        return _failed(f"answered {status}; redirects are not followed: name the right host")
    if len(body) > MAX_ANSWER_BYTES:
        return _failed(f"answered {status} with more than {MAX_ANSWER_BYTES} bytes")
    try:
        found = _texts(body)
    except ValueError as error:
        return _failed(f"answered {status} with something that {error}")
    if status != 200:
        return _refused(status, found.get(_CODE, ""), proxy_id)
    if _ARN not in found or _ACCOUNT not in found:
        return _failed("answered 200 without a GetCallerIdentityResult: it does not verify tokens")
    arn = found[_ARN]
    try:
        account = account_of(arn)
    except ValueError as error:
        shown = "".join(c if c.isprintable() else "?" for c in arn[:128])
        return Refusal(
            Reason.WRONG_PRINCIPAL, f'STS says that the token is of "{shown}", which {error}'
        )
    if account != found[_ACCOUNT]:
        return _failed("answered with an Account that is not its Arn's")
    return arn


def _refused(status: int, code: str, proxy_id: str) -> Refusal:
    code = code if _CODE_FORM.fullmatch(code) else ""
    if code in _THROTTLED or status == 429:
        return Refusal(Reason.TOO_MANY, f"STS answered {status} {code}: it is asked too often")
    if status >= 500 or not code:
        return _failed(f"answered {status} {code}".rstrip())
    meaning = _MEANINGS.get(code, "").format(proxy_id=proxy_id)
    return Refusal(
        Reason.STS_REFUSED, f"STS refuses the token with {code}{': ' if meaning else ''}{meaning}"
    )


def _failed(what: str) -> Refusal:
    return Refusal(Reason.STS_FAILED, f"STS {what}")


def _texts(body: bytes) -> dict[tuple[str, ...], str]:
    """The texts of the elements that are wanted, by the path to each; of the namespace of STS, or
    of none as errors of its front have. Raises ValueError for what is not to be read."""
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    reader = _Reader()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise ValueError("is not XML") from None
    return reader.found


class _Reader:
    """Takes what the parser finds."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, ...], str] = {}
        self._path: list[str] = []

    def start(self, name: str, _: object) -> None:
        namespace, _space, local = name.rpartition(" ")
        # One of another namespace is none of those that are wanted.
        self._path.append(local if namespace in ("", _NAMESPACE) else name)
        if len(self._path) > _MAX_DEPTH:
            raise ValueError("is nested too deeply")
        path = tuple(self._path)
        if path in self.found:
            raise ValueError(f"has {local} twice")
        if path in _WANTED:
            self.found[path] = ""

    def end(self, _: str) -> None:
        self._path.pop()

    def text(self, data: str) -> None:
        path = tuple(self._path)
        if path in self.found:
            self.found[path] += data
            if len(self.found[path]) > MAX_PRINCIPAL_CHARACTERS:
                raise ValueError(f"has a long {path[-1]}")

    def refuse(self, *_: object) -> None:
        raise ValueError("has a document type, which STS's answers have not")
