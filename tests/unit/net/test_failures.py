"""What went wrong, in a word."""

import errno
import socket

import pytest

from forebay.net.encryption import PeerGoneError, TLSError
from forebay.net.failures import kind_of
from forebay.net.server_login import AuthenticationError
from forebay.protocol.messages import MalformedMessageError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "refused"),
        (FileNotFoundError(), "refused"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "refused"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), "timeout"),
        (PeerGoneError(), "lost"),
        (ConnectionResetError(), "lost"),
        (TLSError("certificate"), "other"),
        (OSError(errno.EHOSTUNREACH, "no route"), "timeout"),
        (OSError(errno.EACCES, "no"), "other"),
        (AuthenticationError("no password"), "auth"),
        (MalformedMessageError("nonsense"), "protocol"),
        (ValueError(), "other"),
    ],
)
def test_kinds(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind
