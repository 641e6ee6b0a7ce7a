"""Logging clients in: encryption, the startup packet, and the proof of who they are."""

from forebay.net.login.credentials import Credentials, UserAuth
from forebay.net.login.login import LoggedIn, LoginFailed, LoginPolicy, log_in, refuse
from forebay.net.login.throttle import Throttle

__all__ = [
    "Credentials",
    "LoggedIn",
    "LoginFailed",
    "LoginPolicy",
    "Throttle",
    "UserAuth",
    "log_in",
    "refuse",
]
