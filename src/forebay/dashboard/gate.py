"""Who may see what: decided from a request's head alone. Pure; time is an argument.

Without a token only this machine can connect, but its browsers may be told by others' pages to:
so the name that a request is for must be this machine's (against DNS rebinding), and no other
site's page gets an answer. With a token, whoever shows it may look.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final

from forebay.dashboard.token import Token
from forebay.net.login.throttle import Throttle

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer."""
HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""For load balancers, which come under any name and know no token."""
FORM: Final = frozenset({"/login", "/logout"})
PUBLIC_SUFFIXES: Final = (".css", ".js", ".svg", ".txt")
"""Files of the page, in which there is nothing of this node."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered instead. ``delay_s``: after so long."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


class Gate:
    """Decides, and remembers from where wrong tokens came. ``port`` tells the cookies of several
    nodes of one machine apart, for browsers do not."""

    def __init__(self, token: Token | None, port: int) -> None:
        self._token = token
        self._throttle = Throttle()
        self.cookie_name = f"forebay_{port}"

    @property
    def has_token(self) -> bool:
        """Whether a token is needed."""
        return self._token is not None

    def refusal(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        address: str,
        *,
        now: float,
        now_s: float,
    ) -> Refusal | None:
        """Why a request is not answered; None if it is. ``headers``: by names in small letters."""
        allowed: tuple[str, ...] = ("GET", "HEAD")
        if path in FORM:
            if self._token is None:
                return Refusal(404, "not found\n")
            allowed = ("GET", "HEAD", "POST") if path == "/login" else ("POST",)
        if method not in allowed:
            return Refusal(405, "method not allowed\n", {"Allow": ", ".join(allowed)})
        if path in HEALTH:
            return None
        if headers.get("sec-fetch-site") == "cross-site" and path not in ("/", "/login"):
            return Refusal(403, "another site's page may not read this\n")
        if self._token is None:
            return None if is_this_machine(headers.get("host", "")) else _strange_host()
        if path in FORM or path.endswith(PUBLIC_SUFFIXES):
            return None
        return self._unless_known(self._token, headers, address, now, now_s)

    def log_in(self, text: str, address: str, *, now: float, now_s: float) -> str | float:
        """The cookie for who has shown the token; else for how many seconds the answer waits."""
        if self._token is not None and self._token.fits(
            text.strip().encode(errors="replace"), now_s
        ):
            self._throttle.succeeded("", address)
            return self._token.cookie(now)
        return self._throttle.failed("", address, now_s)

    def _unless_known(
        self, token: Token, headers: Mapping[str, str], address: str, now: float, now_s: float
    ) -> Refusal | None:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.casefold() == "bearer":
            if token.fits(shown.strip().encode(errors="replace"), now_s):
                return None
            return _unknown("this is not the token", self._throttle.failed("", address, now_s))
        cookie = cookie_in(headers.get("cookie", ""), self.cookie_name)
        if cookie and token.fits_cookie(cookie, now, now_s):
            return None
        return _unknown("a token is needed (Authorization: Bearer …), or a login at /login", 0.0)


def is_this_machine(host: str) -> bool:
    """Whether a Host header names this machine as loopback addresses do."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.removeprefix("[").removesuffix("]").casefold()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def cookie_in(header: str, name: str) -> str:
    """A cookie's value, or ""."""
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _strange_host() -> Refusal:
    text = (
        "Without control_token this is for names of this machine only, as in http://localhost. A"
        " reverse proxy has to send such a name as Host, or control_token has to be set.\n"
    )
    return Refusal(421, text)


def _unknown(text: str, delay_s: float) -> Refusal:
    return Refusal(401, f"{text}\n", {"WWW-Authenticate": 'Bearer realm="forebay"'}, delay_s)
