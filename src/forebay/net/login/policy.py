"""What a proxy demands of its clients."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from forebay.net.login.credentials import Credentials
from forebay.net.login.kept import UserAuth
from forebay.net.login.throttle import Throttle
from forebay.net.login.verifiers import TokenVerifier


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """What a proxy demands of its clients. Immutable: a reload makes another.

    `tls_context` made by `forebay.net.tls.server_context` offers channel binding as well.
    """

    credentials: Credentials
    require_tls: bool = True
    tls_context: ssl.SSLContext | None = None
    throttle: Throttle = field(default_factory=Throttle)
    login_timeout_s: float = 15.0
    refuse_options: bool = False
    """As RDS Proxy: no `options`, and few startup parameters."""
    verifier: TokenVerifier | None = None
    """Of IAM tokens; without it all are refused."""
    newer: Callable[[str], Awaitable[UserAuth | None]] | None = None
    """Takes a user's name and returns how the user logs in at present, if that is not what
    `credentials` have, else None. Awaited once at most in a login: after a wrong password, which
    is then held against what it returns, and before a user is asked whom `credentials` do not have.
    How often it looks anything up is its own affair. Cancelled at the login's timeout; raises
    nothing."""
