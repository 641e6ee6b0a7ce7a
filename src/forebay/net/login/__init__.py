"""Logging clients in: encryption, the startup packet, and the proof of who they are."""

from forebay.net.login.credentials import Credentials, derive_user
from forebay.net.login.kept import UserAuth, UserEntry
from forebay.net.login.login import LoggedIn, LoginFailed, log_in, refuse
from forebay.net.login.policy import LoginPolicy
from forebay.net.login.throttle import Throttle
from forebay.net.login.verifiers import TokenVerifier

__all__ = [
    "Credentials",
    "LoggedIn",
    "LoginFailed",
    "LoginPolicy",
    "Throttle",
    "TokenVerifier",
    "UserAuth",
    "UserEntry",
    "derive_user",
    "log_in",
    "refuse",
]
