"""The text that opens the page to whoever knows it (``control_token``), and the cookies that stand
for it in browsers.

A cookie says until when it holds, under a signature that only who has the token can make: so it
survives a restart, and ends with the token. The token itself is in no cookie.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from forebay.identity.sources.local import fingerprint, read_file, read_local

MIN_CHARACTERS: Final = 16
"""Fewer could be guessed."""
MAX_CHARACTERS: Final = 1024
LOOK_INTERVAL_S: Final = 5.0
"""A file is looked at again after so long, when somebody comes."""
COOKIE_AGE_S: Final = 12 * 3600
_MAX_COOKIE_CHARACTERS: Final = 100
_PURPOSE: Final = b"forebay: a session of the page until "


class TokenError(Exception):
    """The token can't be had; the text says why, and nothing of what is there."""

    def __init__(self, source: str, text: str) -> None:
        super().__init__(f"node.control_token: {source}: {text}")


class Token:
    """A token that is read from its source, and again when its file changes.

    Times are arguments: ``now_s`` of a monotonic clock, ``now`` Unix time. All comparisons take the
    same time whatever is compared.
    """

    def __init__(self, source: str, environ: Mapping[str, str]) -> None:
        """Raises TokenError."""
        self._source = source
        self._environ = environ
        self._seen = self._fingerprint()
        self._looked_s = float("-inf")
        self._text = self._read()

    def fits(self, text: bytes, now_s: float) -> bool:
        """Whether somebody has shown the token."""
        self._look_again(now_s)
        return hmac.compare_digest(_digest(text), _digest(self._text))

    def cookie(self, now: float) -> str:
        """What a browser that has shown the token is given."""
        ends = str(int(now) + COOKIE_AGE_S)
        return f"{ends}.{self._signature(ends)}"

    def fits_cookie(self, cookie: str, now: float, now_s: float) -> bool:
        """Whether a browser has shown what it was given, and not too late."""
        self._look_again(now_s)
        ends, _, signature = cookie[:_MAX_COOKIE_CHARACTERS].partition(".")
        if not (ends.isascii() and ends.isdigit()):
            return False
        # Both are compared, so that nothing can be learnt from how long it takes.
        is_ours = hmac.compare_digest(signature.encode(), self._signature(ends).encode())
        return is_ours and now < int(ends)

    def _signature(self, ends: str) -> str:
        return hmac.digest(_digest(self._text), _PURPOSE + ends.encode(), "sha256").hex()

    def _look_again(self, now_s: float) -> None:
        """A token that can't be read any more stays: else nobody could look at what is wrong."""
        if now_s - self._looked_s < LOOK_INTERVAL_S:
            return
        self._looked_s = now_s
        seen = self._fingerprint()
        if seen != self._seen:
            try:
                self._text = self._read()
                self._seen = seen
            except TokenError:
                pass

    def _fingerprint(self) -> object:
        kind, _, path = self._source.partition(":")
        return fingerprint(path) if kind == "file" else None

    def _read(self) -> bytes:
        kind, _, path = self._source.partition(":")
        try:
            if kind == "file":
                content = read_file(path, MAX_CHARACTERS + 2)
            else:
                content = read_local(self._source, self._environ, {})
        except ValueError as error:
            raise TokenError(self._source, str(error)) from None
        text = content.strip()
        if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
            raise TokenError(
                self._source,
                f"holds {len(text)} characters; a token has {MIN_CHARACTERS} to {MAX_CHARACTERS}"
                " (openssl rand -hex 32 makes one)",
            )
        if not all(0x21 <= each <= 0x7E for each in text):
            raise TokenError(self._source, "holds spaces, or other than plain ASCII characters")
        return text


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
